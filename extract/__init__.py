"""Stage 1, the GPU box: questions and images in, Parquet out. `python -m extract --help`

In the order of the flow:

    flags.py            the command's flags
    hub.py              a dataset on the hub -> its files here
    shards.py           Parquet shards -> rows, and the bytes of their images
    released.py         the folder of MME's release -> rows, or answers
    question_files.py   these and every other form of MME -> rows
    questions.py        rows -> samples
    images.py           an image's bytes -> RGB and a hash, or the reason why not
    pixels.py           an image -> what a model reads of it: inputs, and the tokens that stand for it
    processors.py       the same by a checkpoint's own processor
    loading.py          images -> pixels, in worker processes
    templates.py        conversation templates -> the text around the image
    chat.py             a checkpoint's own chat template
    prompts.py          text -> token ids and the role of each token
    strips.py           a prompt token by token, for people
    batching.py         images and their questions -> batches of similar length
    batch_size.py       how many images at once, where the user leaves it to us
    packing.py          a batch -> one tensor of tokens, questions behind one prefix, and the strips to be observed
    families.py         the table of model families
    checkpoint.py       what a loaded model offers, whatever loaded it
    models.py           the one place that runs a model: transformers' classes, one observed forward pass
    hf_checkpoints.py   transformers' format -> what a checkpoint holds
    originals.py        LLaVA's released format -> transformers' classes
    tiles.py            its images of any resolution
    original_weights.py its tensors: whole, LoRA over a base, or projector only
    llama_tokenizer.py  its tokenizer, token for token
    weights.py          tensors -> a model of transformers, nothing missing or left over
    llava_package.py    the original package itself, run and watched
    kernels.py          causal attention that hands out its logsumexp
    observer.py         what watches each layer as it runs
    masked_observer.py  the same for models with masks of their own
    attention.py        the observers as attention functions of transformers
    probe.py            one look at a model before a run
    flows.py            the one place that reduces attention: masses, means, the 17 columns
    answers.py          the first token's logits -> prediction, p_yes, p_no
    transfer.py         copies to and from the device that do not hold up its work
    stopping.py         Ctrl-C and SIGTERM, granted between batches
    passes.py           forward passes, started one ahead, collected as rows
    extraction.py       the loop over all of it, into a run
    provenance.py       versions, commit, hash: what makes a run traceable
"""
