"""Runs made of samples of other runs, which stay as they are.

samples   the samples of a run, read with their values and written to another run
subset    some samples of one run
merge     the samples of several runs
"""
