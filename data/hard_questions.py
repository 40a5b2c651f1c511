"""Harder questions than the demo's, about pictures of the same things, so that the demo's models fail at some.

    python -m data.hard_questions --out data/demo/hard

writes what `data.questions` writes. Each question has `difficulty`, the one thing by which its scene differs from those
that the models were trained on, a name of `DIFFICULTIES`. Scenes come from a seed, and none was chosen or left out for
what a model answered.
"""

import argparse
import math
import random
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from pathlib import Path

from data.questions import CATEGORIES, Ask, Drawn, Fact, count, relation, write_questions
from data.scenes import SHAPES, SIZE, Scene, Thing, lay_out

HARD_SEED, HARD_IMAGES = 5, 6  # images of each category and difficulty
MORE = {"existence": 5}  # times as many: where a shape is not there is where a model says Yes too often
EDGE = 11  # pixels from the centre of a shape to the edge of the image, at least
# Characters that look alike; a wrong answer is one of the same group
ALIKE = ("CGOQ", "DO", "EF", "IJ", "IT", "KX", "MN", "PR", "UV", "VY", "BR", "HN", "38", "56", "17", "08", "69")
Change = Callable[[Thing, random.Random], Thing]
Make = Callable[[Scene, random.Random], Scene | None]


def each(change: Change) -> Make:
    """A change of every thing, as a change of a scene."""

    @wraps(change)
    def change_all(scene: Scene, rng: random.Random) -> Scene:
        return replace(scene, things=tuple(change(thing, rng) for thing in scene.things))

    return change_all


def none(scene: Scene, rng: random.Random) -> Scene:
    """As in training."""
    return scene


@each
def small(thing: Thing, rng: random.Random) -> Thing:
    """At 60% to 80% of its radius."""
    return replace(thing, radius=thing.radius * rng.uniform(0.6, 0.8))


@each
def faint(thing: Thing, rng: random.Random) -> Thing:
    """At 30% to 60% of its contrast."""
    return replace(thing, contrast=rng.uniform(0.3, 0.6))


@each
def turned(thing: Thing, rng: random.Random) -> Thing:
    """One in two turned by 20 to 45 degrees, either way."""
    return replace(thing, turn=rng.choice((0, 0, -1, 1)) * math.radians(rng.uniform(20, 45)))


def crowded(scene: Scene, rng: random.Random) -> Scene:
    """Ten to twelve shapes in four kinds, two of them once; counted is the first kind, 1 to 4 times."""
    first, second, *others = rng.sample(SHAPES, 4)
    number = rng.randint(1, 4)
    return lay_out([first] * number + [second] * (rng.randint(8, 10) - number) + others, rng)


def overlap(scene: Scene, rng: random.Random) -> Scene | None:
    """The last shape lies over a part of the first one, their centres 1.2 to 1.6 radii apart."""
    first, *others, last = scene.things
    far, angle = first.radius * rng.uniform(1.2, 1.6), rng.uniform(0, 2 * math.pi)
    x, y = first.x + far * math.cos(angle), first.y + far * math.sin(angle)
    inside = min(x, y) >= EDGE and max(x, y) <= SIZE - EDGE
    alone = all(math.hypot(x - other.x, y - other.y) > 1.2 * (last.radius + other.radius) for other in others)
    return replace(scene, things=(first, *others, replace(last, x=x, y=y))) if inside and alone else None


def near(scene: Scene, rng: random.Random) -> Scene:
    """Two shapes beside each other, 8 to 14 pixels apart in the direction that is asked for, 22 to 26 in the other."""
    one, other = lay_out(rng.sample(SHAPES, 2), rng).things
    step = [rng.choice((-1, 1)) * rng.uniform(8, 14), rng.choice((-1, 1)) * rng.uniform(22, 26)]
    rng.shuffle(step)
    x, y = (rng.uniform(EDGE + max(0, -each), SIZE - EDGE - max(0, each)) for each in step)
    things = replace(one, x=x, y=y), replace(other, x=x + step[0], y=y + step[1])
    return replace(scene, things=things)


def many(scene: Scene, rng: random.Random) -> Scene:
    """Five or six of the first shape."""
    first, *others = rng.sample(SHAPES, rng.randint(2, 3))
    return lay_out([first] * rng.randint(5, 6) + others, rng)


def alike(scene: Scene, rng: random.Random) -> Scene:
    """A character that others look like."""
    (thing,) = scene.things
    return replace(scene, things=(replace(thing, name=rng.choice(rng.choice(ALIKE))),))


def near_position(scene: Scene, rng: random.Random) -> Fact:
    """On which side of one shape the other is, in the direction in which they are nearer."""
    one, other = rng.sample(scene.things, 2)
    dx, dy = one.x - other.x, one.y - other.y
    sides = ("left of", "right of") if abs(dx) < abs(dy) else ("above", "below")
    side, opposite = sides if min(dx, dy, key=abs) < 0 else sides[::-1]
    return relation(one.name, side, opposite, other.name)


def count_many(scene: Scene, rng: random.Random) -> Fact:
    """As `count`; a wrong number is between four and six."""
    return count(scene, rng, range(4, 7))


def alike_ocr(scene: Scene, rng: random.Random) -> Fact:
    """As `ocr`; a wrong character looks like the right one."""
    name = scene.things[0].name
    wrong = rng.choice([other for group in ALIKE if name in group for other in group if other != name])
    kind = "digit" if name.isdigit() else "letter"
    what = f"the {kind} in this image"
    return Fact.of(f"Is {what} {{}}?", name, wrong, f"What is {what}?")


# By difficulty: how a scene is changed, in which categories, and what is asked if not the category's own question
SHAPED = ("existence", "count", "position", "color")
DIFFICULTIES: dict[str, tuple[Make, dict[str, Ask | None]]] = {
    "none": (none, dict.fromkeys(CATEGORIES)),
    "small": (small, dict.fromkeys((*SHAPED, "OCR"))),
    "faint": (faint, dict.fromkeys((*SHAPED, "OCR"))),
    "crowded": (crowded, dict.fromkeys(SHAPED)),
    "overlap": (overlap, dict.fromkeys(SHAPED)),
    "turned": (turned, dict.fromkeys(SHAPED)),
    "many": (many, {"count": count_many}),
    "near": (near, {"position": near_position}),
    "alike": (alike, {"OCR": alike_ocr}),
}


def draw_hard(category: str, difficulty: str, rng: random.Random) -> tuple[Scene, Fact]:
    """A scene of a category made harder, and the fact to ask for."""
    make, own = CATEGORIES[category]
    change, asks = DIFFICULTIES[difficulty]
    ask = asks[category] or own
    while True:
        scene = change(make(rng), rng)
        fact = ask(scene, rng) if scene is not None else None
        if scene is not None and fact is not None:
            return scene, fact


def draw_all_hard(seed: int, images: int) -> list[Drawn]:
    """So many scenes of each category and difficulty, with their facts."""
    rng = random.Random(seed)
    return [
        (category, difficulty, *draw_hard(category, difficulty, rng))
        for category in CATEGORIES
        for difficulty, (_, asks) in DIFFICULTIES.items()
        if category in asks
        for _ in range(images * MORE.get(category, 1))
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split(",")[0])
    parser.add_argument("--out", type=Path, default=Path("data/demo/hard"), help="the folder to write")
    parser.add_argument("--seed", type=int, default=HARD_SEED)
    parser.add_argument(
        "--images",
        type=int,
        default=HARD_IMAGES,
        help="of each category and difficulty (existence: five times as many)",
    )
    arguments = parser.parse_args()
    rows = write_questions(arguments.out, draw_all_hard(arguments.seed, arguments.images))
    print(f"{len(rows)} questions on {len(rows) // 2} images in {arguments.out}")


if __name__ == "__main__":
    main()
