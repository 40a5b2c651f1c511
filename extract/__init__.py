"""Stage 1, the GPU box: questions and images in, Parquet out. Run by `python -m extract`.

cli                  the command's flags
questions/ images/   question files -> samples; image files -> tensors
prompts/             text -> token ids and roles
attention/ models/   attention, observed -> masses; checkpoints -> observed models
passes/              images and their questions -> batches -> forward passes -> outcomes
runner, backends     the loop over all samples, into a run; what loads a model for it
show_prompt, stopping, skipped   prompts printed; Ctrl-C; nearly all skipped
contradictions, provenance       margins against probabilities; versions and commit
"""
