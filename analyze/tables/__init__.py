"""A run as pandas.

frames       a run opened for analysis: its samples, its categories, the rows of `heads` as DataFrames
rows         the rows of one part, checked
text_scope   which tokens `t2v` and `v2t` count as text
bins         bins of attention values, for histograms and for quantiles
grid         the groups of a tally, and grouping by them
tallies      the rows grouped: counts, sums, extremes and histograms; all that readers need
image_sums   sums over images, for intervals of means
values       the values of each sample, as arrays
output       results: tables as CSV files and as text, behind a verdict
"""
