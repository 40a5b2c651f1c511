"""The demo's captions: what is said of a scene, and the question file that asks for it.

    python -m data.captions --out data/demo/captions

writes OUT/captions.json: a row for each of some pictures of data/demo and data/demo/hard that show shapes, with the
question `QUESTION` and `objects`. An object is all shapes of one colour and one kind, such as the two red circles:
its `name`, the `words` that name it, and the boxes of its shapes. Every object of a picture is listed, also those that
`caption` leaves out, so that a colour and a shape that a model names are in the picture or are not.
"""

import argparse
import json
import random
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data.evaluation import demo_files
from data.questions import Drawn, plural
from data.scenes import COLORS, DIGITS, LETTERS, SHAPES, SIZE, Scene, Thing

QUESTION = "Describe the image."
FILE = "captions.json"
CAPTIONS_SEED = 9
# Pictures by what makes them hard: those of `none` are from data/demo, the others from data/demo/hard
SHOWN = {"none": 16, "small": 20, "faint": 20, "crowded": 8, "overlap": 20, "turned": 16}
EASY = "none"
NAMED = 3  # objects that a caption names, at most
NUMBERS = ("a", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def objects(scene: Scene) -> dict[tuple[str, str], list[Thing]]:
    """The things of a scene by colour and name; in the order of `COLORS`, those of a colour in that of `SHAPES`."""
    order = (*SHAPES, *LETTERS, *DIGITS)
    found = defaultdict(list)
    for thing in sorted(scene.things, key=lambda each: ([*COLORS].index(each.color), order.index(each.name))):
        found[thing.color, thing.name].append(thing)
    return dict(found)


def caption(scene: Scene) -> str:
    """What is said of a scene: the first object of each of its first `NAMED` colours, and where the first one is."""
    said: dict[str, str] = {}
    for (color, name), things in objects(scene).items():
        if color not in said and len(said) < NAMED:
            where = f" at the {_corner(things[0])}" * (not said and len(things) == 1 and name in SHAPES)
            said[color] = f"{NUMBERS[len(things) - 1]} {color} {_noun(name, len(things))}{where}"
    *others, last = said.values()
    verb = "is" if next(iter(said.values())).startswith("a ") else "are"
    return f"There {verb} " + (", ".join(others) + " and " if others else "") + last + "."


def _noun(name: str, number: int) -> str:
    if name not in SHAPES:
        return f"{'digit' if name in DIGITS else 'letter'} {name}"
    return name if number == 1 else plural(name)


def _corner(thing: Thing) -> str:
    rows, columns = ("top", "bottom"), ("left", "right")
    return f"{rows[thing.y > SIZE / 2]} {columns[thing.x > SIZE / 2]}"


def truth(scene: Scene) -> list[dict[str, Any]]:
    """The objects of a scene of shapes, as a question file lists them."""
    return [
        {
            "name": f"{color} {name}",
            "words": [f"{color} {name}", f"{color} {plural(name)}"],
            "boxes": [list(thing.box) for thing in things],
        }
        for (color, name), things in objects(scene).items()
    ]


def asked_scenes(seed: int = CAPTIONS_SEED) -> list[tuple[str, str, Scene]]:
    """The pictures that the file asks about: path from data/demo, difficulty, scene."""
    rng = random.Random(seed)
    pictures: dict[str, list[tuple[str, str, Scene]]] = defaultdict(list)
    for folder, drawn in demo_files().items():
        for path, difficulty, scene in _pictures(folder.removeprefix("demo").lstrip("/"), drawn):
            pictures[difficulty].append((path, difficulty, scene))
    return [each for difficulty, number in SHOWN.items() for each in rng.sample(pictures[difficulty], number)]


def _pictures(folder: str, drawn: list[Drawn]) -> Iterator[tuple[str, str, Scene]]:
    """The pictures of shapes of a question file, numbered as it numbers them; of hard ones those that are."""
    numbers: dict[str, int] = defaultdict(int)
    for category, difficulty, scene, _ in drawn:
        numbers[category] += 1
        if scene.things[0].name in SHAPES and difficulty != EASY:
            path = Path(folder) / "images" / category / f"{numbers[category]:02d}.png"
            yield path.as_posix(), difficulty or EASY, scene


def make_captions(out: Path, *, seed: int = CAPTIONS_SEED) -> list[dict[str, Any]]:
    """Write OUT/captions.json; returns its rows. `image_file` is a path from data/demo."""
    rows = [
        {
            "question_id": path.removesuffix(".png").replace("images/", ""),
            "image_file": path,
            "question": QUESTION,
            "category": "caption",
            "difficulty": difficulty,
            "objects": truth(scene),
        }
        for path, difficulty, scene in asked_scenes(seed)
    ]
    out.mkdir(parents=True, exist_ok=True)
    (out / FILE).write_text("[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n", encoding="utf-8")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split(":")[0])
    parser.add_argument("--out", type=Path, default=Path("data/demo/captions"), help="the folder to write")
    parser.add_argument("--seed", type=int, default=CAPTIONS_SEED)
    arguments = parser.parse_args()
    rows = make_captions(arguments.out, seed=arguments.seed)
    print(f"{len(rows)} questions in {arguments.out / FILE}")


if __name__ == "__main__":
    main()
