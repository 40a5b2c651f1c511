"""Attention, observed as it runs, reduced to masses.

layout, blocks   where the tokens of a batch stand; which queries by which keys are observed
packing   prompts -> one batch: tensors and blocks
kernels   causal attention that returns its logsumexp
causal, masked   observation of causal models by that logsumexp; of others under their own mask
masses    attention reduced: masses, means, the 17 columns
readers   what else is read of each layer: projected values
transformers_interface   both as attention functions of transformers
"""
