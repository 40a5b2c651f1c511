"""A checkpoint's weights.

files    the files that hold them: a directory, or a repository of the hub, of which no more is fetched than is read
report   weights that are missing, left over, or of another shape
removal  heads and layers taken out of a model
sizes    how large its parts are
"""
