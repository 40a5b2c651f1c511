"""Checkpoints -> observed models.

families, checkpoint  the table of model families; what all loaded models offer
loading               a path or hub id -> a loaded model, or how its prompts are written
transformers_format   checkpoints in the format of transformers
transformers_model    a model of transformers, observed
llava/                LLaVA's checkpoints as released, and the original package
weights/, fingerprint files that hold weights, and what does not fit; what tells weights apart
unknown/              what no table says of a model
self_check            two forward passes before a run
answers, transfer     logits -> prediction, margin, lead; copies to and from the device
"""
