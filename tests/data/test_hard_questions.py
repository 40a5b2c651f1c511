"""Oracle: the recipe's own words for each difficulty, against the ordinary scenes; and the committed files."""

import json
import math
import random
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from data.hard_questions import ALIKE, DIFFICULTIES, HARD_IMAGES, HARD_SEED, draw_all_hard, draw_hard, main
from data.questions import CATEGORIES, CONTROL
from data.scenes import SHAPES, SIZE, Scene, Thing

HARD = Path(__file__).parents[2] / "data" / "demo" / "hard"
CELLS = [(category, name) for name, (_, asks) in DIFFICULTIES.items() for category in asks]


def distance(one: Thing, other: Thing) -> float:
    return math.hypot(one.x - other.x, one.y - other.y)


def is_ordinary(thing: Thing) -> bool:
    low, high = (8, 9.5) if thing.name in SHAPES else (20, 26)
    return low <= thing.radius <= high and thing.turn == 0 and thing.contrast == 1


def differs(difficulty: str, scenes: list[Scene]) -> bool:
    """Whether scenes are harder as the difficulty says, and in nothing else."""
    things = [thing for scene in scenes for thing in scene.things]
    counts = [Counter(thing.name for thing in scene.things) for scene in scenes]
    pairs = [(one, other) for scene in scenes for one in scene.things for other in scene.things if one is not other]
    touch = [pair for pair in pairs if distance(*pair) < pair[0].radius + pair[1].radius]
    harder = {
        "small": all(thing.radius <= 0.8 * (9.5 if thing.name in SHAPES else 26) for thing in things),
        "faint": all(0.3 <= thing.contrast <= 0.6 for thing in things),
        "turned": 0.3 < sum(abs(math.degrees(thing.turn)) >= 20 for thing in things) / len(things) < 0.7,
        "crowded": all(count.total() >= 10 and len(count) == 4 for count in counts),
        "overlap": all(distance(scene.things[0], scene.things[-1]) <= 1.6 * scene.things[0].radius for scene in scenes),
        "many": all(max(count.values()) in (5, 6) for count in counts),
        "near": all(min(abs(a.x - b.x), abs(a.y - b.y)) <= 14 for a, b in pairs) and all(map(len, counts)),
    }
    own = {"small", "faint", "turned"} & {difficulty}
    unchanged = all(map(is_ordinary, things)) or bool(own)
    return harder.get(difficulty, True) and unchanged and (bool(touch) == (difficulty == "overlap"))


@pytest.mark.parametrize(("category", "difficulty"), CELLS)
def test_a_scene_is_as_hard_as_it_says(category, difficulty):
    rng = random.Random(1)
    drawn = [draw_hard(category, difficulty, rng) for _ in range(60)]
    scenes = [scene for scene, _ in drawn]
    assert differs(difficulty, scenes)
    for scene, fact in drawn:
        for thing in scene.things:
            assert min(thing.box) >= 0
            assert max(thing.box) <= SIZE
        if difficulty == "many":
            numbers = [int(question.removesuffix("?").split()[-1]) for question in (fact.yes, fact.no)]
            assert numbers[0] == max(Counter(thing.name for thing in scene.things).values())
            assert abs(numbers[0] - numbers[1]) <= 2
        if difficulty == "near":
            _, _, one, *side, _, other = fact.yes.removesuffix("?").split()
            (first,), (second,) = ([each for each in scene.things if each.name == name] for name in (one, other))
            dx, dy = first.x - second.x, first.y - second.y
            assert {"left": dx < 0, "right": dx > 0, "above": dy < 0, "below": dy > 0}[side[0]]
            assert (abs(dx) < abs(dy)) == (side[0] in ("left", "right"))
        if difficulty == "alike":
            right, wrong = (question.removesuffix("?").split()[-1] for question in (fact.yes, fact.no))
            assert right == scene.things[0].name
            assert any(right in group and wrong in group for group in ALIKE)
            assert right.isdigit() == wrong.isdigit() == (" digit " in fact.yes)


@pytest.fixture(scope="module")
def rows():
    return json.loads((HARD / "MME_test.json").read_text(encoding="utf-8"))


def test_the_committed_questions_are_the_recipe_s(tmp_path, monkeypatch, rows):
    monkeypatch.setattr("sys.argv", ["hard_questions", "--out", str(tmp_path)])
    main()
    assert json.loads((tmp_path / "MME_test.json").read_text(encoding="utf-8")) == rows
    for row in rows:
        ours, theirs = (Image.open(folder / "images" / row["image_file"]) for folder in (tmp_path, HARD))
        assert ours.tobytes() == theirs.tobytes()


def test_the_committed_questions_are_many_and_small(rows):
    images = {row["image_file"] for row in rows}
    assert len(rows) >= 300
    assert len(rows) == 2 * len(images)
    assert sum(path.stat().st_size for path in (HARD / "images").rglob("*.png")) <= 2_000_000
    found = Counter((row["category"], row["difficulty"]) for row in rows)
    expected = Counter((category, name) for category, name, *_ in draw_all_hard(HARD_SEED, HARD_IMAGES))
    assert found == {cell: 2 * number for cell, number in expected.items()}
    for row in rows:
        nowhere = row["category"] == CONTROL or (row["category"], row["answer"]) == ("existence", "No")
        assert ("boxes" in row) is not nowhere
    assert {row["category"] for row in rows} == {*CATEGORIES}
