"""Knock-outs that jobs measured on a run.

jobs      the rows of a job as arrays, and which job measured single heads or layers
effects   what each head adds to the right answer, and what is lost without it
"""
