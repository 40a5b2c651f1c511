"""Checkpoints -> observed models.

families              the table of model families
checkpoint            what a loaded model offers, whatever loaded it
loading               a path or hub id -> a loaded model
transformers_format   checkpoints in the format of transformers
llava/                LLaVA's checkpoints as released, and the original package
weights               tensors -> a model of transformers, with nothing missing
self_check            two forward passes before a run
answers, transfer     logits -> prediction, p_yes, p_no; copies to and from the device
"""
