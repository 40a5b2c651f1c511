"""A checkpoint's weights.

files      the files that hold them: a directory, or a repository of the hub; only what is read is fetched
tensors    what one of these files holds
adapter    the base that an adapter names
lora       what LoRA adapters make of weights
quantised  quantised weights: what reads them, and the matrices that they stand for
devices    layers divided among several GPUs
report     weights that are missing, left over, or of another shape
parts      how large parts of a model are; heads and layers taken out
"""
