"""Jobs on a run: later commands that run its model over its samples again, such as knock-outs.

head_sets   sets of heads and layers, as jobs and plans name them
job         a job on disk: its settings, its ledgers, and its rows
writer      writes one
"""
