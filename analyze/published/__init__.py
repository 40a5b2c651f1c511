"""A run compared with figures that its model's authors or others published.

reference   the figures, from data/reference
verify      which of them the run matches
"""
