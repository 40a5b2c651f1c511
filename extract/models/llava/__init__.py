"""LLaVA's own checkpoints.

released    the released format -> the classes of transformers
tensors     its tensors: whole, LoRA over a base, or projector only
tokenizer   its tokenizer, token for token
package     the original package itself, run and observed
"""
