"""The tokens that a model writes after its prompts, observed.

observation      keys of a prefill, kept; attention of the tokens that follow
recurrence       states of layers that do not attend, kept between passes
greedy_decoding  greedy decoding of a batch's questions together; the same over given texts; their check
detokenization   tokens -> their texts; where the answer begins
"""
