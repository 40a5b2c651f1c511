"""Stage 1, the GPU box: questions and images in, Parquet out. `python -m extract --help`

In the order of the flow:

    questions.py    the question file -> samples
    images.py       an image file -> pixels, or the reason why not
    templates.py    conversation templates -> the text around the image
    prompts.py      text -> token ids and the role of each token
    checkpoint.py   the one place that knows the model: loading, preprocessing, one observed forward pass
    observer.py     the attention function that watches each layer as it runs
    flows.py        the one place that reduces attention: masses, means, the 17 columns
    answers.py      the first token's logits -> prediction, p_yes, p_no
    extraction.py   the loop over all of it, into a run
    provenance.py   versions, commit, hash: what makes a run traceable
"""
