"""What no table says of a model: what is refused by its config.json, before any weight is read.

refusals  forms of checkpoints and of language models that are not read, each in one line
"""
