"""Where in the image heads look.

reading   the maps of a run
"""
