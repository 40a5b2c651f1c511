"""The texts of a dataset card that are the same for all runs."""

from analyze.statistics.bootstrap import SEED
from schemas.tasks import Task

LICENCES = "https://huggingface.co/docs/hub/repositories-licenses"
ABOUT = """\
What each attention head of a vision-language model looks at: for each sample, layer and head, how much attention goes
from text to the image, from the image to text, and from the image, the question and the last token to each part of the
prompt. Rows of an attention matrix are queries, columns are keys, and each row sums to 1. The mass of a query on a set
of keys is the sum of its attention over them."""
CAUSAL = """\
- The model is causal: a token sees itself and those before it. Where the image comes before the question, image tokens
  see no other text than the first token, the system prompt and what else stands before the image. V2T (`v2t`) then says
  nothing about the question, and is the same for two questions on one image. `v2bos` and `v2sys` show how much of it
  goes to the first token, BOS, an attention sink in large models, and to the system prompt.
- T2V (`t2v`) is the mean over all text tokens. Those before the image cannot see it, and dilute it; `q2v` is free of
  them."""
BOTH_WAYS = """\
- The model is not causal: some tokens see later ones. Whether image tokens see the question depends on the model;
  `v2q` shows how much attention they pay to it."""
UNKNOWN_TEXT = """\
- If the model is causal, as LLaVA is, image tokens see no text after the image. V2T (`v2t`) then says nothing about
  the question, and in large models is mostly the attention sink on the first token, BOS."""
IMPORTANCE = """\
- Attention is not importance. A head that looks at the image need not matter for the answer, and one that matters need
  not look. What a head matters for is measured by knock-outs: table `knockouts`, where there is one."""
READING = """\
In a copy of this folder:

```python
import pandas as pd

heads = pd.read_parquet("heads").merge(pd.read_parquet("samples").drop(columns="category"), on="sample_id")
```

With `datasets`; `USER/NAME` is the name of this repository, and each table is a configuration:

```python
from datasets import load_dataset

heads = load_dataset("USER/NAME", "heads", split="train")  # all rows: there is one split
```

The folder is a run of headflow, which reads it as it is: `python -m analyze plots FOLDER`."""
WITHOUT_TEXTS = """\
The texts and pictures of the benchmark are left out: `question`, `answer`, `boxes` and `objects`, and `options` where
each question has its own, are null in `samples`, and there are no thumbnails of images. A score, which compares
predictions with right answers, cannot be computed from these files alone. Names stay, as they tell samples apart:
`sample_id`, `question_id`, `image`, `image_shown`, `category` and `difficulty` are as the question file gives them, and
may be names of image files. Ledgers in `chunks/` name images too, with sizes and hashes of their bytes."""
WITHOUT_GIVEN = """\
The model was given texts and did not write its own. They are left out: `text` is empty in `samples` and `tokens`, and
`token_id` is 0."""
WITH_TEXTS = """\
**This folder has texts of the benchmark**: questions, answers, boxes and objects in `samples`, where the question file
has them, texts that the model was given, and thumbnails of images in `thumbnails/`, where the run has them. Publish
them only if their licences allow it."""
PRIVATE = """\
Model and question file are named without their folders. The arguments of commands, and the column `detail` of
`samples`, are left out: they may name paths of the machine that computed the run."""
_OF_PAIRS = """\
Accuracy over questions plus accuracy over images with all questions right, in percent points, as MME counts it."""
_SCORE = f"""\
`low` and `high`: 95% interval, images resampled with seed {SEED}, those that questions share together;
`left_out`: questions that do not count, as they were skipped or lack their pair; `unscored`: those whose right answer
is no option; `unread`: answers scored that are no option, and count as wrong. The model's answer is its first token."""
LICENCE = f"""\
No licence is chosen yet. Whoever publishes these measurements chooses one, and writes it as `license:` at the top of
this file, by a name of [this list]({LICENCES}), and here in words.

The images and questions of a benchmark have licences of their own, and so have the weights of a model. This card grants
none of them."""


def score(task: Task) -> str:
    """What the table of scores has."""
    measures = _OF_PAIRS if task.by_image else "In per cent of questions."
    measures += "".join(f" `{group.measure}`: {group.meaning}." for group in task.named)
    if task.positive is not None:
        word = task.words[task.positive]
        measures += (
            f" `precision`, `recall` and `f1` are those of {word}, `{word}_ratio` is how often it is given; `f1_low` "
            "and `f1_high` are the interval of `f1`."
        )
    return f"{measures} {_SCORE}"
