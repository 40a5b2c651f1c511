"""The tokens that a model writes after its prompts, observed.

attention   keys of a prefill, kept; attention of the tokens that follow
steps       greedy decoding of a batch's questions together; the same over given texts
check       a few steps against those of the plain model
text        tokens -> their texts; where the answer begins
"""
