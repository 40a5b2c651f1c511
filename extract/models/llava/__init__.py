"""LLaVA's own checkpoints.

released           the released format -> observed models
assembly           its tensors -> the classes of transformers, part by part
tensors, lora      its tensors: whole, LoRA over a base, or projector only; what a LoRA adds
tokenizer          its tokenizer, token for token
original_package   the original package itself, run and observed
"""
