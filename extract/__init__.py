"""Stage 1, the GPU box: questions and images in, Parquet out. `python -m extract --help`

In the order of the flow:

    question_files.py  every form of MME -> rows
    questions.py       rows -> samples
    images.py          an image file -> RGB and a hash, or the reason why not
    loading.py         images -> pixels, in worker processes
    templates.py       conversation templates -> the text around the image
    prompts.py         text -> token ids and the role of each token
    strips.py          a prompt token by token, for people
    batching.py        images and their questions -> batches of similar length
    batch_size.py      how many images at once, where the user leaves it to us
    packing.py         a batch -> one tensor of tokens, questions behind one prefix, and the strips to be observed
    checkpoint.py      the one place that knows the model: loading, preprocessing, one observed forward pass
    kernels.py         causal attention that hands out its logsumexp
    observer.py        the attention function that watches each layer as it runs
    flows.py           the one place that reduces attention: masses, means, the 17 columns
    answers.py         the first token's logits -> prediction, p_yes, p_no
    transfer.py        copies to and from the device that do not hold up its work
    passes.py          forward passes, started one ahead, collected as rows
    extraction.py      the loop over all of it, into a run
    provenance.py      versions, commit, hash: what makes a run traceable
"""
