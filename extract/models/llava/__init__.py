"""LLaVA's own checkpoints.

released           the released format -> observed models
assembly           its tensors -> the classes of transformers, part by part; its tokenizer, token for token
tensors            its tensors: whole, LoRA over a base, or projector only
original_package   the original package itself, run and observed
"""
