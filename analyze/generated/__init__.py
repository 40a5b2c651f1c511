"""Where heads look while the model writes.

reading   the sums that are needed of the rows of generated tokens, from one reading, part by part
steps     image mass by step, by role and by layer, and whether it falls along the texts
heads     which heads look most while writing, against those at the prompt
words     the verdict in words
results   all of it together
"""
