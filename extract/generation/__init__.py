"""The tokens that a model writes after its prompts, observed.

attention   keys of a prefill, kept; attention of the tokens that follow
steps       greedy decoding of a batch's questions together; the same over given texts
text        tokens -> their texts; where the answer begins
"""
