"""Stage 1, the GPU box: questions and images in, Parquet out. Run by `python -m extract`.

cli                  the command's flags
questions/ images/   question files -> samples; image files -> tensors
prompts/             text -> token ids and roles
attention/ models/   attention, observed -> masses; checkpoints -> observed models
residual/            what heads, MLPs and layers contribute to the answer, read in the same pass
passes/              images and their questions -> batches -> forward passes -> outcomes
runner, backends     the loop over all samples, into a run; what loads a model for it
show_prompt, stopping, skipped, contradictions   prompts printed; Ctrl-C; samples that tell that the command is wrong
provenance           versions and commit
"""
