"""Where in the image heads look.

reading    the maps of a run
grids      where patches lie in the image
measures   numbers of each map, and the mean map of each head
halves     what is chosen on one half of the images, tested on the other
ranking    heads by how they look; those that localise best
pointing   how often a head looks where the answer lies
results    all of it; verdict: the same in words
"""
