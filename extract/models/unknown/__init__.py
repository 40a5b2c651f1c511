"""What no table says of a model: refused by its config.json, before any weight is read; or measured before a run.

refusals          forms of checkpoints and of language models that are not read, each in one line
values            values of a config.json that are of another kind than they must be
passes, measured  passes over one prompt; what they tell: causality, packing, the way of the image
"""
