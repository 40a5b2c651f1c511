"""The files that hold a checkpoint's weights.

files    a directory, or a repository of the hub, of which no more is fetched than is read
report   weights that are missing, left over, or of another shape
"""
