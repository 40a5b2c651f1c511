"""Attention, observed as it runs, reduced to masses.

packing   a batch of prompts -> one tensor of tokens, and the strips to be observed
kernels   causal attention that returns its logsumexp
causal    observes causal models by that logsumexp
masked    observes models under masks of their own
masses    the one place that reduces attention: masses, means, the 17 columns
transformers_interface   both as attention functions of transformers
"""
