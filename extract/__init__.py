"""Stage 1, the GPU box: questions and images in, Parquet out. Run by `python -m extract`.

config                   the command's flags
questions/ images/       question files -> samples; image files -> tensors
prompts/                 text -> token ids and roles
attention/ models/       observed attention -> masses; checkpoints -> observed models
batching, batch_size     images and their questions -> batches
forward, runner          forward passes over batches; the loop over all samples, into a run
show_prompt, stopping, provenance   prompts printed; Ctrl-C; versions and commit
"""
