"""Images and their questions -> forward passes -> what was observed of each sample.

batching     images and their questions -> batches
forward      batches -> outcomes
samples      the row of a sample, with its values in the other tables
batch_size   how many images go through the model at once, found by trial
"""
