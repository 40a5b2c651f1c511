"""A run as pandas.

flows    the mass columns as a reader meets them, and what counts as text
blocks   the rows of `heads`, read part by part
counts   one pass over the rows -> histograms and means
"""
