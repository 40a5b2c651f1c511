"""Which heads or layers can be cut: some images rank them, others test sets of them that were knocked out.

halves     the images that rank, and those that test
criteria   what heads and layers are ranked by
ranking    the criteria on the ranking half: intervals, reliability, how they agree
design     the sets to knock out: the least important, the most, and random ones; as files
curves     what the sets cost on the testing half
controls   the same against random sets
plan       the largest set that loses little, and what it saves
results    both steps, and their results
verdict    the same in words
"""
