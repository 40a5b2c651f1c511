"""The overview of the demo: its files, what its models get right, which layers and heads carry the image.

    python -m data.overview

evaluates the models in data/demo, reads data/demo/head_effects.csv and writes data/demo/README.md.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import isnan
from pathlib import Path

import pandas as pd

from analyze.statistics.contrasts import STATES
from data.captions import CAPTIONS_SEED, EASY, FILE, SHOWN
from data.captions import QUESTION as CAPTION_QUESTION
from data.choice_questions import CHOICES_SEED, CONFUSED, FEWEST, MOST
from data.choice_questions import FILE as CHOICES
from data.evaluation import Checkpoint, Hidden, Questions, demo_files, needs_the_image, pair_states
from data.hard_questions import DIFFICULTIES, HARD_IMAGES, HARD_SEED, MORE
from data.model_card import wrapped
from data.questions import CATEGORIES, DEMO_IMAGES, DEMO_SEED
from data.recipes import RECIPES
from data.scenes import COLORS, SHAPES
from data.train_chooser import NAME as CHOOSER
from data.train_writer import BEGINS_AS
from data.train_writer import NAME as WRITER

DEMO = Path("data/demo")
HEADS_SHOWN = 5

FILES = {
    "`MME_test.json`, `images`": "the questions that the models were trained for: `python -m data.questions` "
    f"(seed {DEMO_SEED}, {DEMO_IMAGES} images a category)",
    "`hard/MME_test.json`, `hard/images`": "harder ones: `python -m data.hard_questions` "
    f"(seed {HARD_SEED}, {HARD_IMAGES} images a category and difficulty, existence {MORE['existence']} times as many)",
    **{
        f"`{name}`": f"{recipe.layers} layers x {recipe.heads} heads{', guided' * recipe.guided}: "
        f"see its [card]({name}/README.md)"
        for name, recipe in RECIPES.items()
    },
    "`captions`": f"pictures of both files to be described: `python -m data.captions` (seed {CAPTIONS_SEED})",
    f"`{WRITER}`": f"{RECIPES[BEGINS_AS].layers} layers x {RECIPES[BEGINS_AS].heads} heads, taught to write from the "
    f"weights of `{BEGINS_AS}`: see its [card]({WRITER}/README.md)",
    "`choices`": f"the questions of `hard` with options, and two wordings: `python -m data.choice_questions` (seed "
    f"{CHOICES_SEED})",
    f"`{CHOOSER}`": f"{RECIPES[BEGINS_AS].layers + 1} layers x {RECIPES[BEGINS_AS].heads} heads, taught to answer by a "
    f"letter from the weights of `{BEGINS_AS}`: see its [card]({CHOOSER}/README.md)",
    "`head_effects.csv`": "what hiding the image in one head does, in the first two models and in two more seeds of "
    "the first: `python -m data.head_effects`",
}

OPENING = """\
# The demo: four models, four question files

Everything here was made by the recipes in `data/`, from seeds, and is small enough to lie beside the code. `make
demo` runs the main job on the first model and the first file, `make tour` the first two models on the first two files,
the third on the third, and the fourth on the fourth. The [tutorial](../tutorial.ipynb) uses all but the last."""
PICTURES = """\
![T2V and V2T of `tiny-llava`](../readme/demo_overall.png)

![A2V of `tiny-llava` by layer and head](../readme/demo_a2v.png)

*Above: `tiny-llava` on `MME_test.json`. In most heads text gives the image about a quarter of its attention. Below
(`--metrics a2v`): in most heads of layer 0 the last token hardly looks at the image, and in `L5H5` at nothing else. Yet
hiding the image from the question costs three answers of 312 in layers 3 to 5: how much a head looks does not tell how
much it matters. In layer 0 it takes existence, position and color to chance, but by way of the other question tokens,
which do look there.*"""
DESCRIBED = f"""\
## What is described

`captions/{FILE}` asks about {sum(SHOWN.values())} pictures (`--image-folder data/demo`), {SHOWN[EASY]} of `images` and
the others of `hard/images`: {", ".join(f"{number} {name}" for name, number in SHOWN.items() if name != EASY)}. Of each
kind, chance chose them among those that show shapes; the numbers were set so that a tenth or more of what
`{WRITER}` names is made up. All rows have one question, "{CAPTION_QUESTION}", and no answer. `objects` says what is in
the picture, so that it is known of each thing that a text names whether it is there:

    {{"name": "red circle", "words": ["red circle", "red circles"], "boxes": [[x0, y0, x1, y1], ...]}}

An object is all shapes of one colour and kind, and has a box in pixels for each of them. The vocabulary is thus
{len(COLORS)} colours x {len(SHAPES)} shapes, {len(COLORS) * len(SHAPES)} names, and some picture has each of them. A
name has two words, its singular and its plural; none is a part of another name's. A shape without a colour, a colour
without a shape, a letter or digit, a number and a place are no mentions: a text that says two where there is one makes
nothing up. Every object of a picture is listed, also those that a caption of training would leave out
(`data.captions.caption`)."""
CHOSEN = f"""\
## What is asked with options

`choices/{CHOICES}` asks for the same facts of the images of `hard` (`--image-folder data/demo/hard/images`), with
{FEWEST} or {MOST} options, one of them right. The wrong ones are what may be taken for it:

{{options}}

Of crowded images, `existence` is not asked: only one shape is missing there. Each question stands in two orders, and
within a category each letter is about as often right as any other. `choices/wordings.toml` has two wordings; in one of
them, `{CHOOSER}` has a planted bias to A."""
TEXT = """\
{opening}

{pictures}

{files}

Questions of the first two files have MME's form: two on each image, one answered Yes and one No. Each whose answer
lies in a place of the image has `boxes`. The tables below, of the first two models, come from
`python -m data.overview`.

{described}

{chosen}

## What is hard

`difficulty` is the one thing by which a scene differs from those of training. No scene was chosen or left out for
what a model answered.

{difficulties}

Right answers in `hard`, {models}, in per cent. A cell has {per_cell} questions, one of existence {per_existence}: at
50% its 95% interval reaches {cell_error:.0f} points either way, and {existence_error:.0f} for existence.

{hard}

Pairs of questions on one image, of {pairs}; yes-biased: both answered Yes; no-biased: both answered No:

{states}

## Which layers carry the image to the answer

Right answers to `MME_test.json` without `numerical_calculation`, in per cent, if the tokens after the image cannot
see it in some layers (all heads; guessing gives 50):

{layers}

## Which heads

The {shown} heads whose blinding lowers the margin of the right answer most (mean over the same questions, in logits,
with its 95% interval by a bootstrap of images), and the right answers that are left, in per cent. "Seed" is that of
the training; seeds other than {seed} of `tiny-llava` are not in this folder.

{heads}

Intervals are those of one head each and are not corrected for having chosen the largest of {number}. The same recipe
from another seed puts what matters into other heads: a head's index is no law, not even for one architecture.
Blinding one head at a time also misses heads that stand in for each other.
"""


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join("| " + " | ".join(line) + " |" for line in (header, ["---"] * len(header), *rows))


def chosen() -> str:
    """What is asked with options."""
    rows = [[f"`{category}`", str(confused.__doc__)] for category, confused in CONFUSED.items()]
    return CHOSEN.format(options=table(["category", "wrong options"], rows))


def percent(share: float) -> str:
    """A share, in whole per cent."""
    return f"{100 * share:.0f}"


def hard_table(answers: Mapping[str, pd.DataFrame]) -> str:
    """Right answers by category and difficulty, of each model."""
    shares = [
        each.pivot_table(index="category", columns="difficulty", values="right", margins=True, margins_name="all")
        for each in answers.values()
    ]
    rows = []
    for category in (*CATEGORIES, "all"):
        cells = [[float(each.loc[category, name]) for each in shares] for name in (*DIFFICULTIES, "all")]  # type: ignore[arg-type]
        shown = ["" if isnan(cell[0]) else " / ".join(map(percent, cell)) for cell in cells]
        rows.append([f"`{category}`" if category in CATEGORIES else category, *shown])
    return table(["", *DIFFICULTIES, "all"], rows)


def layers_table(checkpoints: Mapping[str, Checkpoint], questions: Mapping[str, Questions]) -> str:
    """Right answers with the image hidden in one layer, or from one on."""
    depth = max(RECIPES[name].layers for name in checkpoints)
    rows = []
    for name, checkpoint in checkpoints.items():
        number = RECIPES[name].layers
        ways: dict[str, list[Hidden]] = {
            "one layer": [{layer: None} for layer in range(number)],
            "it and all after": [dict.fromkeys(range(layer, number)) for layer in range(number)],
            "it and all before": [dict.fromkeys(range(layer + 1)) for layer in range(number)],
        }
        for way, hidden in ways.items():
            asked = [needs_the_image(questions[name].ask(checkpoint.model, hidden=each)) for each in hidden]
            shares = [percent(each["right"].mean()) for each in asked]
            rows.append([f"`{name}`", way, *shares, *[""] * (depth - number)])
    return table(["model", "hidden in", *(f"layer {layer}" for layer in range(depth))], rows)


def heads_table(effects: pd.DataFrame) -> str:
    """The heads that matter most, by model and seed."""
    rows = []
    for (name, seed), heads in effects.groupby(["model", "seed"], sort=False):
        largest = heads.sort_values("drop", ascending=False).head(HEADS_SHOWN)
        cells = [
            f"L{head['layer']}H{head['head']}: {head['drop']:.2f} [{head['low']:.2f}, {head['high']:.2f}], "
            + percent(head["accuracy"])
            for head in largest.to_dict("records")
        ]
        rows.append([f"`{name}`", str(seed), *cells])
    return table(["model", "seed", *(str(place) for place in range(1, HEADS_SHOWN + 1))], rows)


def overview() -> str:
    """The text of data/demo/README.md."""
    files = demo_files()
    checkpoints = {name: Checkpoint(DEMO / name) for name in RECIPES}
    questions = {name: each.questions(files["demo"]) for name, each in checkpoints.items()}
    hard = {name: each.questions(files["demo/hard"]).ask(each.model) for name, each in checkpoints.items()}
    states = {name: pair_states(answers)["state"].value_counts() for name, answers in hard.items()}
    effects = pd.read_csv(DEMO / "head_effects.csv")
    text = TEXT.format(
        opening=OPENING,
        pictures=PICTURES,
        described=DESCRIBED,
        chosen=chosen(),
        files=table(["file", "what it is"], FILES.items()),
        models=" / ".join(f"`{name}`" for name in RECIPES),
        cell_error=98 / (2 * HARD_IMAGES) ** 0.5,
        existence_error=98 / (2 * HARD_IMAGES * MORE["existence"]) ** 0.5,
        difficulties=table(
            ["difficulty", "scenes", "categories"],
            [
                [f"`{name}`", str(make.__doc__), ", ".join(f"`{category}`" for category in asks)]
                for name, (make, asks) in DIFFICULTIES.items()
            ],
        ),
        per_cell=2 * HARD_IMAGES,
        per_existence=2 * HARD_IMAGES * MORE["existence"],
        hard=hard_table(hard),
        pairs=len(files["demo/hard"]),
        states=table(
            ["model", *STATES],
            [[f"`{name}`", *(str(each.get(state, 0)) for state in STATES)] for name, each in states.items()],
        ),
        layers=layers_table(checkpoints, questions),
        shown=HEADS_SHOWN,
        seed=RECIPES["tiny-llava"].seed,
        heads=heads_table(effects),
        number=max(recipe.layers * recipe.heads for recipe in RECIPES.values()),
    )
    return wrapped(text)


if __name__ == "__main__":
    (DEMO / "README.md").write_text(overview(), encoding="utf-8")
