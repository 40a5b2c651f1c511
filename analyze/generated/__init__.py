"""Where heads look while the model writes.

reading      the sums that are needed of the rows of generated tokens, from one reading, part by part
steps        image mass by step, by role and by layer, and whether it falls along the texts
heads        which heads look most while writing, against those at the prompt
vocabulary   groups of words in a file, and where texts have them
groups       image mass of groups of words
verdict      the verdict in words
results      all of it together
"""
