"""What the scorers of other tools read, from a run.

forms      the files of each tool, and which runs fit
rows       a run -> the questions that are written, and their answers
reading    how each tool reads an answer
"""
