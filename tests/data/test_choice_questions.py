"""Oracle: the scenes that the questions were drawn from, looked at again; and the committed file."""

import json
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from data.choice_questions import FILE, main
from data.hard_questions import ALIKE, HARD_IMAGES, HARD_SEED, draw_all_hard
from data.model_card import wrapped
from data.overview import FILES, chosen, table
from data.questions import CATEGORIES
from data.scenes import COLORS, SHAPES, Scene

CHOICES = Path(__file__).parents[2] / "data" / "demo" / "choices"
IMAGES = CHOICES.parent / "hard" / "images"


@pytest.fixture(scope="module")
def rows():
    return json.loads((CHOICES / FILE).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def scenes():
    """The scenes of the images, and how each is hard."""
    numbers, found = Counter(), {}
    for category, difficulty, scene, _ in draw_all_hard(HARD_SEED, HARD_IMAGES):
        numbers[category] += 1
        found[f"{category}/{numbers[category]:02d}.png"] = scene, difficulty
    return found


def test_the_committed_questions_are_the_recipe_s(tmp_path, monkeypatch, rows):
    monkeypatch.setattr("sys.argv", ["choice_questions", "--out", str(tmp_path)])
    main()
    assert (tmp_path / FILE).read_text(encoding="utf-8") == (CHOICES / FILE).read_text(encoding="utf-8")
    assert len((CHOICES / FILE).read_bytes()) <= 180_000
    assert all((IMAGES / row["image_file"]).is_file() for row in rows)


def is_true(option: str, row: dict, scene: Scene) -> bool:
    """Whether an option answers a question about a scene."""
    words = row["question"].removesuffix("?").split()
    names = Counter(thing.name for thing in scene.things)
    match row["category"]:
        case "existence":
            return names[option] > 0
        case "count":
            (shape,) = (name for name in SHAPES if name in words or f"{name}s" in words or f"{name}es" in words)
            return names[shape] == int(option)
        case "color":
            return [thing.color for thing in scene.things if thing.name == words[-1]] == [option]
        case "OCR":
            return scene.things[0].name == option
        case "numerical_calculation":
            return int(words[2]) + int(words[4]) == int(option)
    one, other = (next(thing for thing in scene.things if thing.name == name) for name in (words[2], words[-1]))
    dx, dy = one.x - other.x, one.y - other.y
    sides = {"left": dx < 0, "right": dx > 0, "above": dy < 0, "below": dy > 0}
    return option in words and sides[option]  # a side that is not asked for is no answer


def test_one_option_is_right_and_the_others_are_what_is_confused(rows, scenes):
    for row in rows:
        scene, difficulty = scenes[row["image_file"]]
        right = row["options"]["ABCD".index(row["answer"])]
        assert row["difficulty"] == difficulty
        assert 3 <= len(set(row["options"])) == len(row["options"]) <= 4
        assert [option for option in row["options"] if is_true(option, row, scene)] == [right]
        wrong = {*row["options"]} - {right}
        if row["category"] == "color":
            near = {thing.color for thing in scene.things} - {right}
            assert wrong >= near or wrong <= near
            assert wrong <= {*COLORS}
        if row["category"] == "position":
            assert {"left": "right", "right": "left", "above": "below", "below": "above"}[right] in wrong
        if difficulty == "alike":
            alike = {
                other for group in ALIKE if right in group for other in group if other.isdigit() == right.isdigit()
            }
            assert wrong >= alike - {right} or wrong <= alike
        if difficulty == "many":
            assert {*row["options"]} == {"4", "5", "6"}


def test_letters_are_permuted(rows):
    """Each question stands in two orders, and each letter is about equally often right within a category."""
    orders, right = defaultdict(list), defaultdict(Counter)
    for row in rows:
        orders[row["image_file"], row["question"]].append((row["answer"], tuple(row["options"])))
        right[row["category"], len(row["options"])][row["answer"]] += 1
    for (first, before), (second, after) in orders.values():
        assert first != second
        assert {*before} == {*after}
        assert before["ABCD".index(first)] == after["ABCD".index(second)]
    for (_, options), letters in right.items():
        counts = [letters["ABCD"[place]] for place in range(options)]
        assert max(counts) - min(counts) <= 2
    assert {category for category, _ in right} == {*CATEGORIES}


def test_the_overview_describes_the_file():
    overview = (CHOICES.parent / "README.md").read_text(encoding="utf-8")
    assert wrapped(chosen()) in overview
    assert table(["file", "what it is"], FILES.items()) in overview
