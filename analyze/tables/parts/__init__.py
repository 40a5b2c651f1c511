"""Some parts of `heads`: what workers read and add up. Loads neither pandas nor matplotlib, so that workers start fast.

steps     columns of `steps`, by one step of each text
reading   the values of the samples of some parts, as arrays
sums      these values added up
"""
