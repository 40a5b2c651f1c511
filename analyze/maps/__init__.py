"""Where in the image heads look.

reading   the maps of a run
content   which heads respond to what an image shows
"""
