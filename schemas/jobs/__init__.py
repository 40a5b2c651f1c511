"""Jobs on a run: later commands that run its model over its samples again, such as knock-outs.

head_sets   sets of heads and layers, as jobs and plans name them
settings    what a job was asked, in its `run.json`
rows        the rows of a job's table
"""
