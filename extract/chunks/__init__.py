"""A run in chunks; a process does one after another.

asked     what is asked for, read once, and compared with the run that is there
chunk     a chunk, run
pool      the chunks of a run on a Ray cluster
actor     one process of that cluster
progress  how far its chunks are, and whether they are to stop
"""
