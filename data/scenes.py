"""The demo's pictures: coloured shapes, or one letter or digit, drawn from a seed, and questions about them.

    python -m data.scenes --out data/demo

writes OUT/images/<category>/01.png ... and OUT/MME_test.json: in MME's manner two questions an image under one
question_id, one answered Yes and one No. The words of a question do not tell which: each way of asking is as often
right as wrong. `numerical_calculation` is the control, which no image answers.
"""

import argparse
import json
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

DEMO_SEED, DEMO_IMAGES = 3, 26  # images of each category
SIZE = 96  # pixels
GRID = 4  # shapes stand in a grid of so many columns and rows, a little off the middle of their cells
CELL = SIZE / GRID
# How far each corner is from the centre, in radii; corners are evenly spaced, the first on top
CORNERS = {"triangle": [1.15] * 3, "diamond": [1.1] * 4, "star": [1.2, 0.45] * 5}
SHAPES = ("circle", "cross", *CORNERS)
COLORS = {
    "red": (215, 30, 35),
    "green": (30, 150, 60),
    "blue": (35, 85, 215),
    "yellow": (245, 205, 0),
    "purple": (150, 45, 170),
    "black": (25, 25, 25),
}
LETTERS, DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789"
LARGEST_COUNT = 4
# Which way a relation points, and its opposite
SIDES = {
    "left of": (-1, 0, "right of"),
    "right of": (1, 0, "left of"),
    "above": (0, -1, "below"),
    "below": (0, 1, "above"),
}


@dataclass(frozen=True)
class Thing:
    """A shape, letter or digit; `x` and `y` are its centre, in pixels like `radius`."""

    name: str
    color: str
    x: float
    y: float
    radius: float


@dataclass(frozen=True)
class Scene:
    """What is in an image, and the colour of its paper."""

    things: tuple[Thing, ...]
    paper: tuple[int, int, int]

    def draw(self) -> Image.Image:
        """The image, RGB, `SIZE` x `SIZE`."""
        image = Image.new("RGB", (SIZE, SIZE), self.paper)
        for thing in self.things:
            _draw(ImageDraw.Draw(image), thing)
        return image

    def unique(self) -> list[Thing]:
        """Things whose name no other thing has."""
        names = [thing.name for thing in self.things]
        return [thing for thing in self.things if names.count(thing.name) == 1]


def _draw(pen: ImageDraw.ImageDraw, thing: Thing) -> None:
    x, y, radius, ink = thing.x, thing.y, thing.radius, COLORS[thing.color]
    if thing.name == "circle":
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=ink)
    elif thing.name == "cross":
        for wide, high in ((radius, radius / 3), (radius / 3, radius)):
            pen.rectangle((x - wide, y - high, x + wide, y + high), fill=ink)
    elif thing.name in CORNERS:
        far = CORNERS[thing.name]
        angles = [2 * math.pi * corner / len(far) for corner in range(len(far))]
        corners = zip(far, angles, strict=True)
        pen.polygon(
            [(x + radius * r * math.sin(angle), y - radius * r * math.cos(angle)) for r, angle in corners], fill=ink
        )
    else:
        pen.text((x, y), thing.name, fill=ink, font=_font(round(2.4 * radius)), anchor="mm")


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)


def shapes(rng: random.Random) -> Scene:
    """Two or three kinds of shapes, the first 1 to `LARGEST_COUNT` times, the others once."""
    first, *others = rng.sample(SHAPES, rng.randint(2, 3))
    names = [first] * rng.randint(1, LARGEST_COUNT) + others
    cells = rng.sample(range(GRID * GRID), len(names))
    things = [
        Thing(
            name,
            rng.choice([*COLORS]),
            (cell % GRID + 0.5) * CELL + rng.uniform(-2, 2),
            (cell // GRID + 0.5) * CELL + rng.uniform(-2, 2),
            rng.uniform(8, 9.5),
        )
        for name, cell in zip(names, cells, strict=True)
    ]
    return Scene(tuple(things), _paper(rng))


def character(rng: random.Random) -> Scene:
    """One large letter or digit, near the middle."""
    radius = rng.uniform(20, 26)
    x, y = (SIZE / 2 + rng.uniform(-8, 8) for _ in range(2))
    return Scene((Thing(rng.choice(LETTERS + DIGITS), rng.choice([*COLORS]), x, y, radius),), _paper(rng))


def _paper(rng: random.Random) -> tuple[int, int, int]:
    return rng.randint(228, 255), rng.randint(228, 255), rng.randint(228, 255)


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


def count(scene: Scene, rng: random.Random) -> Fact:
    """How many there are of the first shape."""
    name = scene.things[0].name
    number = sum(thing.name == name for thing in scene.things)
    wrong = rng.choice([each for each in range(1, LARGEST_COUNT + 1) if each != number])
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
    """In which row or column a shape stands; a question of training alone."""
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


def make_questions(out: Path, *, seed: int = DEMO_SEED, images_per_category: int = DEMO_IMAGES) -> list[dict[str, str]]:
    """Write OUT/images and OUT/MME_test.json; returns the rows of that file."""
    rows = []
    for category, drawn in draw_all(seed, images_per_category).items():
        folder = out / "images" / category
        folder.mkdir(parents=True, exist_ok=True)
        for number, (scene, fact) in enumerate(drawn, start=1):
            name = f"{category}/{number:02d}.png"
            scene.draw().save(out / "images" / name, optimize=True)
            for question, answer in fact.answers:
                rows.append(
                    {
                        "question_id": name,
                        "image_file": name,
                        "question": question,
                        "answer": answer,
                        "category": category,
                    }
                )
    (out / "MME_test.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return rows


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
