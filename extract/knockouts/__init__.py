"""Knock-outs: the model's answers with a part of it knocked out. Run by `python -m extract knock-out`.

cli, command    the command's flags; what it takes from a run
runner          the loop of a job: a run's samples through its model again
sets            which heads and layers are knocked out together
changes         what is done to them, to which tokens
prefill         one untouched pass, kept as far as the knock-outs need it
attention       attention of sequences that share a prefix, with some heads changed
growing         from an untouched pass up the layers, with ever more knock-outs side by side
references      what heads put out on other images; which image takes another's place
passes          batches of images -> the rows of their questions
"""
