"""The demo's questions about its pictures, and how both are written.

    python -m data.questions --out data/demo

writes OUT/images/<category>/01.png ... and OUT/MME_test.json: in MME's manner two questions an image under one
question_id, one answered Yes and one No. The words of a question do not tell which: each way of asking is as often
right as wrong. `boxes` tells where in the image the answer lies. `numerical_calculation` is the control, which no image
answers. `data.hard_questions` makes harder ones.
"""

import argparse
import json
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.scenes import CELL, COLORS, DIGITS, GRID, LARGEST_COUNT, LETTERS, SHAPES, Scene, character, shapes

DEMO_SEED, DEMO_IMAGES = 3, 26  # images of each category
# Which way a relation points, and its opposite
SIDES = {
    "left of": (-1, 0, "right of"),
    "right of": (1, 0, "left of"),
    "above": (0, -1, "below"),
    "below": (0, 1, "above"),
}


@dataclass(frozen=True)
class Fact:
    """Three ways to ask for one fact: the answer is Yes, No, or a word."""

    yes: str
    no: str
    open: str
    word: str

    @classmethod
    def of(cls, question: str, right: str, wrong: str, open: str, word: str | None = None) -> "Fact":
        """A fact that `question` asks for, with a gap for what is right or wrong."""
        return cls(question.format(right), question.format(wrong), open, word or right)

    @property
    def answers(self) -> tuple[tuple[str, str], tuple[str, str]]:
        """The questions that MME would ask, with their answers."""
        return (self.yes, "Yes"), (self.no, "No")


def existence(scene: Scene, rng: random.Random) -> Fact:
    """Whether there is a shape."""
    names = {thing.name for thing in scene.things}
    there, absent = (rng.choice([name for name in SHAPES if (name in names) is is_there]) for is_there in (True, False))
    either = " or a ".join(rng.sample([there, absent], 2))
    return Fact.of("Is there a {} in this image?", there, absent, f"Which is in this image, a {either}?")


def plural(name: str) -> str:
    """More than one of a shape."""
    return f"{name}es" if name.endswith("s") else f"{name}s"


def count(scene: Scene, rng: random.Random, numbers: Sequence[int] = range(1, LARGEST_COUNT + 1)) -> Fact:
    """How many there are of the first shape; a wrong number is one of `numbers`."""
    name = scene.things[0].name
    number = sum(thing.name == name for thing in scene.things)
    wrong = rng.choice([each for each in numbers if each != number])
    what = f"the number of {plural(name)} in this image"
    return Fact.of(f"Is {what} {{}}?", str(number), str(wrong), f"What is {what}?")


def position(scene: Scene, rng: random.Random) -> Fact | None:
    """On which side of one shape another one is; None if no two stand clearly apart."""
    pairs = [
        (one.name, side, opposite, other.name)
        for one in scene.unique()
        for other in scene.unique()
        for side, (dx, dy, opposite) in SIDES.items()
        if (one.x - other.x) * dx + (one.y - other.y) * dy > 0.75 * CELL
    ]
    if not pairs:
        return None
    one, side, opposite, other = rng.choice(pairs)
    return relation(one, side, opposite, other)


def relation(one: str, side: str, opposite: str, other: str) -> Fact:
    """That one shape is on a side of another one, and not on the opposite side."""
    either = " or ".join(sorted((side, opposite)))
    question = f"Is the {one} {{}} the {other}?"
    return Fact.of(question, side, opposite, question.format(either), side.split()[0])


def color(scene: Scene, rng: random.Random) -> Fact | None:
    """The colour of a shape; half of the wrong colours are those of other things in the image."""
    if not scene.unique():
        return None
    thing = rng.choice(scene.unique())
    near = sorted({other.color for other in scene.things} - {thing.color})
    wrong = rng.choice(near if near and rng.random() < 0.5 else [each for each in COLORS if each != thing.color])
    return Fact.of(f"Is the {thing.name} {{}}?", thing.color, wrong, f"What color is the {thing.name}?")


def place(scene: Scene, rng: random.Random) -> Fact | None:
    """In which row or column a shape stands; only asked in training."""
    if not scene.unique():
        return None
    thing = rng.choice(scene.unique())
    axis, where = rng.choice((("column", thing.x), ("row", thing.y)))
    number = 1 + int(where // CELL)
    wrong = rng.choice([each for each in range(1, GRID + 1) if each != number])
    return Fact.of(
        f"Is the {thing.name} in {axis} {{}}?", str(number), str(wrong), f"In which {axis} is the {thing.name}?"
    )


def ocr(scene: Scene, rng: random.Random) -> Fact:
    """Which letter or digit it is."""
    name = scene.things[0].name
    kind, alphabet = ("digit", DIGITS) if name in DIGITS else ("letter", LETTERS)
    wrong = rng.choice(alphabet.replace(name, ""))
    return Fact.of(f"Is the {kind} in this image {{}}?", name, wrong, f"What is the {kind} in this image?")


def numerical_calculation(scene: Scene, rng: random.Random) -> Fact:
    """A sum of two digits, whatever the image."""
    one, other = rng.randint(0, 9), rng.randint(0, 9)
    near = range(max(0, one + other - 3), min(18, one + other + 3) + 1)
    wrong = rng.choice([each for each in near if each != one + other])
    return Fact.of(
        f"Is {one} plus {other} equal to {{}}?", str(one + other), str(wrong), f"What is {one} plus {other}?"
    )


Ask = Callable[[Scene, random.Random], Fact | None]
# By MME's names: what is drawn, and the questions about it
CATEGORIES: dict[str, tuple[Callable[[random.Random], Scene], Ask]] = {
    "existence": (shapes, existence),
    "count": (shapes, count),
    "position": (shapes, position),
    "color": (shapes, color),
    "OCR": (character, ocr),
    "numerical_calculation": (shapes, numerical_calculation),
}
CONTROL = "numerical_calculation"


def draw(category: str, rng: random.Random) -> tuple[Scene, Fact]:
    """A scene of a category, and the fact to ask for."""
    make, ask = CATEGORIES[category]
    while True:
        scene = make(rng)
        fact = ask(scene, rng)
        if fact is not None:
            return scene, fact


def draw_all(seed: int, images_per_category: int) -> dict[str, list[tuple[Scene, Fact]]]:
    """So many scenes of each category, with their facts."""
    rng = random.Random(seed)
    return {category: [draw(category, rng) for _ in range(images_per_category)] for category in CATEGORIES}


def boxes(category: str, scene: Scene, question: str) -> list[list[float]]:
    """Where the answer lies: the boxes of the things that are asked about, none if they are not in the image."""
    words = question.removesuffix("?").split()
    if category == CONTROL:
        return []
    return [
        list(thing.box)
        for thing in scene.things
        if thing.name not in SHAPES or thing.name in words or plural(thing.name) in words
    ]


Drawn = tuple[str, str | None, Scene, Fact]  # category, difficulty


def write_questions(out: Path, drawn: Iterable[Drawn]) -> list[dict[str, Any]]:
    """Write OUT/images and OUT/MME_test.json; returns the rows of that file."""
    rows: list[dict[str, Any]] = []
    numbers: Counter[str] = Counter()
    for category, difficulty, scene, fact in drawn:
        numbers[category] += 1
        name = f"{category}/{numbers[category]:02d}.png"
        (out / "images" / category).mkdir(parents=True, exist_ok=True)
        scene.draw().save(out / "images" / name, optimize=True)
        for question, answer in fact.answers:
            row = {
                "question_id": name,
                "image_file": name,
                "question": question,
                "answer": answer,
                "category": category,
            }
            optional = {"difficulty": difficulty, "boxes": boxes(category, scene, question)}
            rows.append(row | {field: value for field, value in optional.items() if value})
    lines = ",\n".join(json.dumps(row) for row in rows)
    (out / "MME_test.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    return rows


def make_questions(out: Path, *, seed: int = DEMO_SEED, images_per_category: int = DEMO_IMAGES) -> list[dict[str, Any]]:
    """Draw scenes of each category, and write them: see `write_questions`."""
    drawn = draw_all(seed, images_per_category)
    return write_questions(out, [(category, None, *each) for category, some in drawn.items() for each in some])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split(":")[0])
    parser.add_argument("--out", type=Path, default=Path("data/demo"), help="the folder to write")
    parser.add_argument("--seed", type=int, default=DEMO_SEED)
    parser.add_argument("--images-per-category", type=int, default=DEMO_IMAGES)
    arguments = parser.parse_args()
    rows = make_questions(arguments.out, seed=arguments.seed, images_per_category=arguments.images_per_category)
    print(f"{len(rows)} questions on {len(rows) // 2} images in {arguments.out}")


if __name__ == "__main__":
    main()
