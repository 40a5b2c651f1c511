"""A checkpoint's weights.

files    the files that hold them: a directory, or a repository of the hub; only what is read is fetched
report   weights that are missing, left over, or of another shape
removal  heads and layers taken out of a model
sizes    how large its parts are
"""
