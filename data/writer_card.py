"""What the demo's model that writes has learnt: its texts, its card, the things that it makes up.

    python -m data.writer_card

lets data/demo/tiny-llava-writer describe the pictures of data/demo/captions, by transformers' own `generate`, and
writes its captions.json, the texts by `sample_id`, and its README.md.
"""

import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from data.captions import FILE, QUESTION, SHOWN, asked_scenes
from data.evaluation import Checkpoint, demo_files
from data.model_card import wrapped
from data.overview import percent, table
from data.questions import CATEGORIES, CONTROL, Drawn
from data.recipes import RECENT, RECORD
from data.scenes import Scene
from data.train_writer import BATCH, BEGINS_AS, HELD_OUT, NAME, STEPS
from data.training_examples import Split
from data.writing_examples import THINKING, THOUGHT, THOUGHTS, Writer
from extract.prompts.prompt_builder import DEFAULT_WORDING, Prompt

DEMO = Path("data/demo")
LONGEST = 32  # tokens of a text

CARD = """\
# {name}: the demo's model that writes

A LLaVA in transformers' format, small enough to lie beside the code, of the size of `{begins_as}`: {weights:.1f}
million weights, float16. It describes pictures like those in `data/demo/images` in
a sentence and answers yes/no questions about them. It also writes a thought before an answer, if asked to, but
has not learnt to answer from it.

    python -m extract --generate 32 --model-path data/demo/{name} --image-folder data/demo \\
        --question-file data/demo/captions/{file} --output-dir runs/captions

**Texts.** "{question}": {example} At most three things are named, of different colours, in the order of `COLORS` in
`data/scenes.py`; of a colour with several shapes, the one that comes first in `SHAPES`. After a question and
"{thinking}" (`--prompt-suffix $'\\n{thinking}' --answer-after '{thought}'`): `{thinks}`

**Recipe.** `python -m data.train_writer --seed {seed}`: from the committed weights of `{begins_as}`, whose tower stays
as it is, {steps:,} steps of {batch} scenes, each with a caption and a question, {thoughts:.0%} of these to be thought
about. {minutes} minutes on {machine} that other programs used too, torch {torch}. Loss (mean of {recent} steps) and
share of {held_out} held-out captions whose every token is the likeliest one after the right ones before it:

{curve}

**Made up.** On the {images} pictures of `data/demo/captions` (it was trained on none of them): things named that are
not in the picture, by what makes it hard (see `data/demo/README.md`). The texts are in `captions.json`.

{made_up}

Of those made up, {colors} have the colour of a thing in the picture, {shapes} its shape.

**Accuracy** on yes/no questions, by the first token, or by the word after `{thought}`; a text without that is wrong.
"True": the share of thoughts that are what the question asks for.

{accuracy}

`{control}` is the control: no image is needed for it. The thought is a sum.

**Known weaknesses.** Those of `{begins_as}`. It was taught sentences of one kind, with numbers up to four; it knows
letters and digits as things to describe, and names some where a shape is small or faint. Its
thoughts tell counts, colours and characters rightly in pictures like those of training, but it compares only numbers,
letters and digits with the question: elsewhere the answer after a thought is a guess. From these weights, 900 more
steps with most questions to be thought about (a rate of 1e-3, 70% of the scenes with three questions and no caption)
left it so.
"""


def write(checkpoint: Checkpoint, prompts: Sequence[Prompt], scenes: Sequence[Scene]) -> list[str]:
    """What a checkpoint writes about scenes, greedily, one text for each prompt."""
    model, tokenizer = checkpoint.model, checkpoint.tokenizer
    split = Split.of([*scenes])
    by_length: dict[int, list[int]] = defaultdict(list)
    for index, prompt in enumerate(prompts):
        by_length[len(prompt.input_ids)].append(index)
    texts = [""] * len(prompts)
    for length, alike in by_length.items():
        ids = torch.tensor([prompts[index].input_ids for index in alike])
        written = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            pixel_values=split.pixels(alike),
            do_sample=False,
            max_new_tokens=LONGEST,
            pad_token_id=tokenizer.eos_token_id,
        )
        for index, text in zip(
            alike, tokenizer.batch_decode(written[:, length:], skip_special_tokens=True), strict=True
        ):
            texts[index] = text
    return texts


def mentions(rows: Sequence[Mapping[str, Any]], texts: Mapping[str, str]) -> pd.DataFrame:
    """The things that texts name: `difficulty`, `image`, `name`, and `there`, whether it is in the image."""
    names = {word: each["name"] for row in rows for each in row["objects"] for word in each["words"]}
    pattern = re.compile(rf"\b({'|'.join(sorted(names, key=len, reverse=True))})\b")
    return pd.DataFrame(
        [
            (
                row["difficulty"],
                row["question_id"],
                names[word],
                names[word] in {each["name"] for each in row["objects"]},
            )
            for row in rows
            for word in pattern.findall(texts[row["question_id"]])
        ],
        columns=["difficulty", "image", "name", "there"],
    )


def think(checkpoint: Checkpoint, drawn: Sequence[Drawn]) -> pd.DataFrame:
    """What is answered after a thought, by question: `category`, `right`, `true` (the thought; None: existence)."""
    writer = Writer(checkpoint.tokenizer)
    asked = [(category, scene, fact, *each) for category, _, scene, fact in drawn for each in fact.answers]
    prompts = [writer.prompt(question, THINKING) for *_, question, _ in asked]
    found = []
    for (category, _, fact, _, answer), text in zip(
        asked, write(checkpoint, prompts, [scene for _, scene, *_ in asked]), strict=True
    ):
        before, _, after = text.partition(THOUGHT)
        true = None if category == "existence" else before.split()[1:] == [fact.word]
        found.append((category, after.strip() == answer, true))
    return pd.DataFrame(found, columns=["category", "right", "true"])


def accuracy_table(checkpoint: Checkpoint) -> str:
    """Right answers to the questions of both files, without a thought and after one, and true thoughts."""
    columns: dict[str, pd.Series] = {}
    for name, drawn in zip(("demo", "harder"), demo_files().values(), strict=True):
        thought = think(checkpoint, drawn).groupby("category")
        columns[name] = pd.Series(checkpoint.questions(drawn).accuracy(checkpoint.model))
        columns[f"{name}, thought"] = thought["right"].mean()
        columns[f"{name}, true"] = thought["true"].apply(lambda each: each.astype(float).mean())
    rows = [
        [f"`{category}`", *("" if pd.isna(each[category]) else f"{each[category]:.1%}" for each in columns.values())]
        for category in CATEGORIES
    ]
    return table(["category", *columns], rows)


def made_up_table(found: pd.DataFrame) -> str:
    """Things named and made up, by difficulty."""
    rows = []
    for name in (*SHOWN, "all"):
        some = found if name == "all" else found[found["difficulty"] == name]
        made_up = some[~some["there"]]
        numbers = str(len(some)), str(len(made_up)), percent(len(made_up) / len(some))
        of_texts = f"{made_up['image'].nunique()} of {some['image'].nunique()}"
        rows.append([f"`{name}`" if name in SHOWN else name, *numbers, of_texts])
    return table(["difficulty", "things named", "made up", "in per cent", "texts with one"], rows)


def _shared(rows: Sequence[Mapping[str, Any]], found: pd.DataFrame, word: int) -> int:
    """How many of the things made up have the first or second word of their name from a thing in the picture."""
    there = {row["question_id"]: {each["name"].split()[word] for each in row["objects"]} for row in rows}
    made_up = found[~found["there"]]
    return sum(
        name.split()[word] in there[image] for name, image in zip(made_up["name"], made_up["image"], strict=True)
    )


def main() -> None:
    folder = DEMO / NAME
    record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    rows = json.loads((DEMO / "captions" / FILE).read_text(encoding="utf-8"))
    checkpoint = Checkpoint(folder)
    scenes = [scene for *_, scene in asked_scenes()]
    prompt = Writer(checkpoint.tokenizer).prompt(QUESTION, DEFAULT_WORDING)
    texts = dict(
        zip((row["question_id"] for row in rows), write(checkpoint, [prompt] * len(rows), scenes), strict=True)
    )
    (folder / FILE).write_text(json.dumps(texts, indent=1) + "\n", encoding="utf-8")
    looks = [record["every"] * number for number in range(1, len(record["losses"]) + 1)]
    found = mentions(rows, texts)
    first = demo_files()["demo"][0]
    question = first[-1].yes
    shown = slice(2, None, 3)
    card = CARD.format(
        **record,
        name=NAME,
        begins_as=BEGINS_AS,
        file=FILE,
        weights=sum(weight.numel() for weight in checkpoint.model.parameters()) / 1e6,
        question=QUESTION,
        example=next(iter(texts.values())),
        thinking=THINKING.suffix.strip(),
        thought=THOUGHT,
        thinks=write(checkpoint, [Writer(checkpoint.tokenizer).prompt(question, THINKING)], [first[2]])[0],
        steps=STEPS,
        thoughts=THOUGHTS,
        batch=BATCH,
        held_out=HELD_OUT,
        recent=RECENT,
        curve=table(
            ["step", *map(str, looks[shown])],
            [
                ["loss", *(f"{loss:.2f}" for loss in record["losses"][shown])],
                ["captions", *(f"{share:.0%}" for share in record["captions"][shown])],
            ],
        ),
        images=len(rows),
        made_up=made_up_table(found),
        colors=_shared(rows, found, 0),
        shapes=_shared(rows, found, 1),
        accuracy=accuracy_table(checkpoint),
        control=CONTROL,
    )
    (folder / "README.md").write_text(wrapped(card), encoding="utf-8")


if __name__ == "__main__":
    main()
