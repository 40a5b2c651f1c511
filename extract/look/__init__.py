"""One image and one question: `python -m extract look`, and the same as an object for notebooks.

settings  what can be asked of the command
command   the command: a run of one sample, a table, and an overlay
looker    a loaded model that is asked about images
found     what it found, which shows itself in a notebook
"""
