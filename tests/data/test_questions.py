"""Oracle: the pictures themselves, and the words of the questions, which must not give the answer away."""

import json
import math
import random
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from data.questions import CATEGORIES, CONTROL, boxes, draw, make_questions, plural
from data.scenes import COLORS, DIGITS, LETTERS, SHAPES, SIZE, Scene, Thing


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_same_from_the_same_seed(tmp_path):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        make_questions(tmp_path / name, seed=seed, images_per_category=2)
    assert files(tmp_path / "a") == files(tmp_path / "b")
    assert files(tmp_path / "a") != files(tmp_path / "c")


def test_mme_s_form(tmp_path):
    rows = make_questions(tmp_path, images_per_category=5)
    assert rows == json.loads((tmp_path / "MME_test.json").read_text(encoding="utf-8"))
    assert {row["category"] for row in rows} == {*CATEGORIES}
    images = {}
    for row in rows:
        assert set(row) - {"boxes"} == {"question_id", "image_file", "question", "answer", "category"}
        images.setdefault(row["image_file"], []).append(row)
    assert len(images) == 5 * len(CATEGORIES)
    contents = set()
    for name, pair in images.items():
        assert sorted(row["answer"] for row in pair) == ["No", "Yes"]
        assert len({row["question_id"] for row in pair}) == 1
        assert pair[0]["question"] != pair[1]["question"]
        contents.add((tmp_path / "images" / name).read_bytes())
        with Image.open(tmp_path / "images" / name) as image:
            assert (image.mode, image.size) == ("RGB", (SIZE, SIZE))
    assert len(contents) == len(images)


@pytest.mark.parametrize("category", [name for name in CATEGORIES if name != CONTROL])
def test_words_do_not_give_the_answer_away(category):
    """Each way of asking that comes often is right about as often as wrong."""
    rng = random.Random(0)
    right, wrong = Counter(), Counter()
    for _ in range(6000):
        _, fact = draw(category, rng)
        right[fact.yes] += 1
        wrong[fact.no] += 1
    often = [question for question in right | wrong if right[question] + wrong[question] > 100]
    assert len(often) >= 5
    for question in often:
        share = right[question] / (right[question] + wrong[question])
        assert 0.3 < share < 0.7, question
    guessed = sum(max(right[question], wrong[question]) for question in right | wrong) / (2 * 6000)
    assert guessed < 0.58


def test_facts_are_true_of_the_picture():
    rng = random.Random(1)
    for _ in range(200):
        scene, fact = draw("color", rng)
        name = fact.yes.split()[2]
        (thing,) = [thing for thing in scene.things if thing.name == name]
        pixel = np.asarray(scene.draw())[round(thing.y), round(thing.x)]
        assert tuple(pixel) == COLORS[fact.word]
        scene, fact = draw("count", rng)
        shown = Counter(thing.name for thing in scene.things)
        assert any(f" {plural(name)} in" in fact.yes and shown[name] == int(fact.word) for name in SHAPES)
        scene, fact = draw("existence", rng)
        shown = {thing.name for thing in scene.things}
        assert fact.yes.split()[3] in shown
        assert fact.no.split()[3] not in shown
        scene, fact = draw("position", rng)
        _, _, one, *side, _, other = fact.yes.removesuffix("?").split()
        (first,), (second,) = ([thing for thing in scene.things if thing.name == name] for name in (one, other))
        gap = first.x - second.x if side[0] in ("left", "right") else first.y - second.y
        assert gap < 0 if side[0] in ("left", "above") else gap > 0
        scene, fact = draw("OCR", rng)
        assert fact.word == scene.things[0].name in LETTERS + DIGITS
        _, fact = draw(CONTROL, rng)
        _, one, _, other, _, _, total = fact.yes.removesuffix("?").split()
        assert int(one) + int(other) == int(total) == int(fact.word)


def test_things_do_not_touch():
    rng = random.Random(2)
    for _ in range(200):
        things = draw("count", rng)[0].things
        for one in things:
            assert one.radius * 1.2 <= min(one.x, one.y, SIZE - one.x, SIZE - one.y) + 1.5
            for other in things:
                far = max(abs(one.x - other.x), abs(one.y - other.y))
                assert one is other or far > one.radius + other.radius


def test_boxes_hold_what_is_asked_about():
    """Oracle: what changes in the picture if those things are left out."""
    rng = random.Random(3)
    for category in CATEGORIES:
        for _ in range(40):
            scene, fact = draw(category, rng)
            for question, answer in fact.answers:
                found = boxes(category, scene, question)
                if category == CONTROL or (category, answer) == ("existence", "No"):
                    assert not found
                    continue
                kept = [thing for thing in scene.things if list(thing.box) not in found]
                assert len(scene.things) - len(kept) == len(found) > 0
                if category == "position":
                    assert {thing.name for thing in {*scene.things} - {*kept}} == {
                        word for word in question.removesuffix("?").split() if word in SHAPES
                    }
                changed = (np.asarray(scene.draw()) != np.asarray(Scene(tuple(kept), scene.paper).draw())).any(-1)
                inside = np.zeros_like(changed)
                for x0, y0, x1, y1 in found:
                    # Pillow rounds corners to pixels
                    rows = slice(max(0, math.floor(y0) - 1), math.ceil(y1) + 1)
                    inside[rows, max(0, math.floor(x0) - 1) : math.ceil(x1) + 1] = True
                assert not (changed & ~inside).any()


@pytest.mark.parametrize("name", [*SHAPES, *"AQ0"])
@pytest.mark.parametrize("turn", [0.0, 0.6])
def test_a_box_is_as_narrow_as_its_thing(name, turn):
    thing = Thing(name, "black", 48, 48, 18 if name in SHAPES else 22, turn if name in SHAPES else 0.0)
    ys, xs = np.nonzero((np.asarray(Scene((thing,), (255, 255, 255)).draw()) < 128).all(-1))
    assert thing.box == pytest.approx((xs.min(), ys.min(), xs.max() + 1, ys.max() + 1), abs=2)
