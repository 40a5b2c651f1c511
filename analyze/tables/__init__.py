"""A run as pandas.

frames       a run opened for analysis: its samples, its categories, what is to be read of `heads`
rows         the rows of one part, checked
parts/       what workers read of some parts, and add up
text_scope   which tokens `t2v` and `v2t` count as text
bins         bins of attention values, for histograms and for quantiles
grid         the groups of a tally
tallies      the rows of a run added up by group: counts, sums, extremes and histograms; all that readers need
open_images  the images of a tally, whose samples may be in several tasks
values       the values of each sample, as arrays; kept: the same in a file
"""
