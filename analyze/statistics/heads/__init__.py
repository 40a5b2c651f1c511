"""Claims about the heads of a model, many at once.

means          which heads are told from 0, and whether the highest is told from the others
permutations   values permuted within layers, from different images
"""
