"""Questions with options about the harder pictures of the demo; wrong options are what may be taken for the right one.

    python -m data.choice_questions --out data/demo/choices

writes OUT/choices.json: the fact that `data.hard_questions` asks for of each image, with three or four options, twice,
in another order each time. Within a category, each letter is about as often right as any other. `existence` is not
asked of crowded images: only one shape is missing there.
"""

import argparse
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.hard_questions import ALIKE, HARD_IMAGES, HARD_SEED, draw_all_hard
from data.questions import SIDES, Fact, boxes
from data.scenes import COLORS, DIGITS, LARGEST_COUNT, LETTERS, SHAPES, Scene
from schemas.tasks import OPTION_LETTERS

CHOICES_SEED = 13
FILE = "choices.json"
FEWEST, MOST = 3, 4  # options


@dataclass(frozen=True)
class Choice:
    """A question and its options, each a word.

    Attributes:
        right: the place of the right option, from 0.
    """

    question: str
    options: tuple[str, ...]
    right: int


def absent(scene: Scene, fact: Fact) -> tuple[list[str], list[str]]:
    """Shapes that are not in the image."""
    there = {thing.name for thing in scene.things}
    return [], [name for name in SHAPES if name not in there]


def numbers(scene: Scene, fact: Fact) -> tuple[list[str], list[str]]:
    """Numbers from one to four; of five or six, from four to six."""
    near = range(1, LARGEST_COUNT + 1) if int(fact.word) <= LARGEST_COUNT else range(4, 7)
    return [], [str(number) for number in near]


def sides(scene: Scene, fact: Fact) -> tuple[list[str], list[str]]:
    """First the opposite side, then the two sides that are not asked for."""
    opposite = next(other for side, (_, _, other) in SIDES.items() if side.split()[0] == fact.word)
    return [opposite.split()[0]], [side.split()[0] for side in SIDES]


def colors(scene: Scene, fact: Fact) -> tuple[list[str], list[str]]:
    """First colours of other things in the image, then other colours."""
    return sorted({thing.color for thing in scene.things}), [*COLORS]


def characters(scene: Scene, fact: Fact) -> tuple[list[str], list[str]]:
    """First characters that look like it, then others of its kind."""
    alike = {other for group in ALIKE if fact.word in group for other in group}
    kind = DIGITS if fact.word in DIGITS else LETTERS
    return sorted(alike & {*kind}), [*kind]


def sums(scene: Scene, fact: Fact) -> tuple[list[str], list[str]]:
    """Numbers up to three away."""
    right = int(fact.word)
    return [], [str(number) for number in range(max(0, right - 3), min(18, right + 3) + 1)]


# By category: what may be taken for the right answer, first what is confused most easily, then the rest
CONFUSED: dict[str, Callable[[Scene, Fact], tuple[list[str], list[str]]]] = {
    "existence": absent,
    "count": numbers,
    "position": sides,
    "color": colors,
    "OCR": characters,
    "numerical_calculation": sums,
}


def confused_with(category: str, scene: Scene, fact: Fact, rng: random.Random) -> list[str] | None:
    """The wrong options, two or three; None: there are not as many."""
    wrong: list[str] = []
    for words in CONFUSED[category](scene, fact):
        others = [word for word in words if word not in (fact.word, *wrong)]
        wrong += rng.sample(others, len(others))
    most = rng.randint(FEWEST, MOST) - 1
    return wrong[:most] if len(wrong) >= FEWEST - 1 else None


def choice(category: str, fact: Fact, wrong: Sequence[str], right: int, rng: random.Random) -> Choice:
    """A question whose right option stands at a place, and the wrong ones at random."""
    options = rng.sample(wrong, len(wrong))
    options.insert(right, fact.word)
    question = "Which is in this image?" if category == "existence" else fact.open
    return Choice(question, tuple(options), right)


Picture = tuple[str, str | None, Scene, Fact]  # path from data/demo/hard/images, difficulty


def asked_choices(seed: int = CHOICES_SEED) -> list[tuple[Picture, str, Choice]]:
    """The questions of the file: each with its picture and category; both orders of a question follow each other."""
    rng = random.Random(seed)
    numbers: Counter[str] = Counter()
    places: dict[tuple[str, int], Iterator[int]] = {}
    found = []
    for category, difficulty, scene, fact in draw_all_hard(HARD_SEED, HARD_IMAGES):
        numbers[category] += 1
        picture = f"{category}/{numbers[category]:02d}.png", difficulty, scene, fact
        if wrong := confused_with(category, scene, fact, rng):
            options = len(wrong) + 1
            first = next(places.setdefault((category, options), _deal(options, rng)))
            for right in (first, (first + 2) % options):
                found.append((picture, category, choice(category, fact, wrong, right, rng)))
    return found


def _deal(options: int, rng: random.Random) -> Iterator[int]:
    """Places among so many options, at random, each as often as any other."""
    while True:
        yield from rng.sample(range(options), options)


def make_choices(out: Path, *, seed: int = CHOICES_SEED) -> list[dict[str, Any]]:
    """Write OUT/choices.json; returns its rows. `image_file` is a path from data/demo/hard/images."""
    rows = []
    for (name, difficulty, scene, fact), category, asked in asked_choices(seed):
        row = {
            "question_id": name,
            "image_file": name,
            "question": asked.question,
            "options": asked.options,
            "answer": OPTION_LETTERS[asked.right],
            "category": category,
        }
        optional = {"difficulty": difficulty, "boxes": boxes(category, scene, fact.yes)}
        rows.append(row | {field: value for field, value in optional.items() if value})
    out.mkdir(parents=True, exist_ok=True)
    (out / FILE).write_text("[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n", encoding="utf-8")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split(":")[0])
    parser.add_argument("--out", type=Path, default=Path("data/demo/choices"), help="the folder to write")
    parser.add_argument("--seed", type=int, default=CHOICES_SEED)
    arguments = parser.parse_args()
    rows = make_choices(arguments.out, seed=arguments.seed)
    print(f"{len(rows)} questions on {len({row['image_file'] for row in rows})} images in {arguments.out / FILE}")


if __name__ == "__main__":
    main()
