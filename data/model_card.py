"""A model's card: its data, its recipe, what it gets right; and its learning curve.

    python -m data.model_card data/demo/tiny-llava

reads the record of the training beside the checkpoint, evaluates it and writes its README.md.
"""

import argparse
import json
import textwrap
from pathlib import Path

import matplotlib
import torch
from matplotlib import pyplot

from data.evaluation import Checkpoint, demo_files, held_out_questions
from data.questions import CATEGORIES, CONTROL
from data.recipes import (
    BATCH,
    EVERY,
    FACTS_AFTER,
    HELD_OUT,
    NAMED_AFTER,
    QUESTIONS,
    RECENT,
    RECIPES,
    RECORD,
    SCENES,
    Record,
)
from data.train_vision import STEPS as VISION_STEPS

matplotlib.use("Agg")

CARD = """\
# {name}: {title}

A LLaVA in transformers' format that has learnt to look, small enough to lie beside the code: a CLIP tower
(4 layers, 96 px images in 8 x 8 patches), LLaVA's two-layer projector and a LLaMA of {layers} layers x {heads} heads;
{weights:.1f} million weights, float16. It answers yes/no questions about pictures like those in `data/demo/images`, and
nothing else.

**Data.** {scenes:,} scenes from `data/scenes.py`: coloured shapes in a grid, or one large letter or digit; each is
asked about anew whenever it is drawn. No image of the {held_out} held-out images a category or of the demo's is among
them.

**Recipe.** `python -m data.train_demo {name} --seed {seed}`: {vision_steps:,} steps for tower and projector on words
for patches, then {steps:,} steps of {batch} images x {questions} questions for all of it, {answers} {minutes} minutes
on {machine}, torch {torch}. The curve is in `training.png`.

**Accuracy** of these weights, the likeliest first token counts; each image has one question answered Yes and one
answered No, so that guessing gives 50%. "Swapped": asked about another image of the category. "Harder": the questions
of `data/demo/hard`, which say themselves what is hard about them.

| category | held out | held out, swapped | demo | harder |
| --- | --- | --- | --- | --- |
{table}

`{control}` is the control: no image is needed for it.

**Known weaknesses.** It knows five shapes, six colours, 36 characters in one font and counts up to four, on light paper
and in upright shapes of about one size. It has no general language: other words, other phrasings and other pictures
give noise, and it never says that it does not know. Of position it knows left, right, above and below, where two shapes
stand clearly apart. {weakness}
"""
GUIDED = """\
80% answered by Yes or No, the others by a word. On the way the names of shapes are told the colour and place
of what they name (after layer {named}) and the question mark the fact that is asked for (after layer {facts})."""
FREE = """\
in three stages, each with a cycle of the learning rate of its own: 8,000 steps, answered by a single word in the first
40% of them and mostly about colours and places, by Yes or No in 80% of the questions at their end; 7,000 and 6,000
steps with more and more questions about positions. No loss but that of the answer's token tells it where to find
what."""
WEAKNESSES = {
    "tiny-llava": """\
Because of what it is told on the way, the question reads the image in the first three layers: hiding it in the others
changes next to nothing. Do not take that for what larger models do.""",
    "tiny-llava-4x4": """\
Which layers read the image is in `data/demo/README.md`.""",
}
TITLES = {"tiny-llava": "the demo's model", "tiny-llava-4x4": "the demo's second model, of another size"}


def card(folder: Path) -> str:
    """The card of a checkpoint."""
    record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    recipe, checkpoint = RECIPES[record["recipe"]], Checkpoint(folder)
    held_out = held_out_questions(checkpoint.examples, record["seed"], torch.device("cpu"))
    accuracies = [
        held_out.accuracy(checkpoint.model),
        held_out.accuracy(checkpoint.model, swapped=True),
        *(checkpoint.questions(drawn).accuracy(checkpoint.model) for drawn in demo_files().values()),
    ]
    rows = [f"| `{name}` | " + " | ".join(f"{each[name]:.1%}" for each in accuracies) + " |" for name in CATEGORIES]
    answers = (GUIDED if recipe.guided else FREE).format(named=NAMED_AFTER, facts=FACTS_AFTER)
    text = CARD.format(
        **(record | vars(recipe) | {"seed": record["seed"]}),
        name=record["recipe"],
        steps=recipe.steps,
        title=TITLES[record["recipe"]],
        weights=sum(weight.numel() for weight in checkpoint.model.parameters()) / 1e6,
        scenes=SCENES,
        held_out=HELD_OUT,
        vision_steps=VISION_STEPS,
        batch=BATCH,
        questions=QUESTIONS,
        answers=answers,
        table="\n".join(rows),
        control=CONTROL,
        weakness=WEAKNESSES[record["recipe"]],
    )
    return wrapped(text)


def wrapped(text: str) -> str:
    """Markdown with its paragraphs filled; headings, tables and code stay as they are."""
    blocks = text.strip().split("\n\n")
    return "\n\n".join(each if each[0] in "#|- " else textwrap.fill(each, 120) for each in blocks) + "\n"


def draw_curve(record: Record, path: Path) -> None:
    """Loss, and held-out accuracy by category, over the steps."""
    figure, (top, bottom) = pyplot.subplots(2, 1, sharex=True, figsize=(7, 6), layout="constrained")
    looks = [EVERY * number for number in range(1, len(record.accuracy) + 1)]
    top.plot(looks, record.losses, color="0.3", marker=".")
    top.set(ylabel=f"loss, mean of {RECENT} steps", ylim=(0, None))
    for category in CATEGORIES:
        bottom.plot(looks, [look[category] for look in record.accuracy], marker=".", label=category)
    bottom.axhline(0.5, color="0.6", linewidth=1, linestyle="--")
    bottom.set(xlabel="step", ylabel="accuracy, held out", ylim=(0.4, 1.02))
    bottom.legend(fontsize="small")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split(":")[0])
    parser.add_argument("folder", type=Path, nargs="+", help="a checkpoint")
    for folder in parser.parse_args().folder:
        (folder / "README.md").write_text(card(folder), encoding="utf-8")


if __name__ == "__main__":
    main()
