"""Oracle: the pictures themselves, by the colours of their pixels; and sentences by hand."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.captions import FILE, NUMBERS, QUESTION, caption, make_captions, truth
from data.model_card import wrapped
from data.overview import DESCRIBED, OPENING, PICTURES
from data.scenes import COLORS, SHAPES, Scene, Thing

DEMO = Path(__file__).parents[2] / "data" / "demo"
PAPER = (250, 250, 250)


@pytest.fixture(scope="module")
def rows():
    return json.loads((DEMO / "captions" / FILE).read_text(encoding="utf-8"))


def scene(*things: tuple[str, str, float, float]) -> Scene:
    return Scene(tuple(Thing(name, color, x, y, 9) for color, name, x, y in things), PAPER)


def test_the_committed_file_is_the_recipe_s(tmp_path, rows):
    assert make_captions(tmp_path) == rows
    assert (tmp_path / FILE).read_bytes() == (DEMO / "captions" / FILE).read_bytes()
    assert 60 <= len(rows) <= 120
    assert len({row["question_id"] for row in rows}) == len({row["image_file"] for row in rows}) == len(rows)
    assert {row["question"] for row in rows} == {QUESTION}
    assert all((DEMO / row["image_file"]).is_file() for row in rows)


def test_each_object_is_in_its_picture_and_no_other_is(rows):
    """Where none is faint or covered: all pixels of a colour lie in its objects' boxes, and each box has some."""
    clear = [row for row in rows if row["difficulty"] not in ("faint", "overlap")]
    assert len(clear) >= 40
    for row in clear:
        pixels = np.asarray(Image.open(DEMO / row["image_file"]).convert("RGB")).astype(int)
        for color, ink in COLORS.items():
            inked = (abs(pixels - ink).max(-1) == 0).astype(int)
            outside = inked.copy()
            for each in row["objects"]:
                for x0, y0, x1, y1 in each["boxes"] if each["name"].split()[0] == color else ():
                    area = slice(max(0, int(y0) - 1), int(y1) + 3), slice(max(0, int(x0) - 1), int(x1) + 3)
                    assert inked[area].mean() > 0.2, (row["image_file"], each["name"])
                    outside[area] = 0
            assert not outside.any(), (row["image_file"], color)


def test_words_name_one_object(rows):
    """No word of an object is a part of another object's, so that a mention is of one."""
    words = {each["name"]: tuple(each["words"]) for row in rows for each in row["objects"]}
    assert set(words) == {f"{color} {shape}" for color in COLORS for shape in SHAPES}
    for name, own in words.items():
        for other, others in words.items():
            if other != name:
                assert not any(re.search(rf"\b{one}\b", another) for one in own for another in others)


def test_the_overview_describes_the_file():
    overview = (DEMO / "README.md").read_text(encoding="utf-8")
    assert wrapped(DESCRIBED) in overview
    assert wrapped(OPENING) in overview
    assert wrapped(PICTURES) in overview


def test_a_sentence_by_hand():
    star = ("red", "star", 70, 20)
    assert caption(scene(star)) == "There is a red star at the top right."
    assert caption(scene(("blue", "cross", 12, 84), star)) == "There is a red star at the top right and a blue cross."
    circles = ("red", "circle", 12, 84), ("red", "circle", 36, 84)
    assert caption(scene(("black", "star", 60, 60), star, *circles)) == "There are two red circles and a black star."
    many = [(color, "cross", 12 + 14 * number, 12) for number, color in enumerate(COLORS)]
    assert caption(scene(*many)) == "There is a red cross at the top left, a green cross and a blue cross."
    assert caption(Scene((Thing("B", "blue", 48, 48, 22),), PAPER)) == "There is a blue letter B."
    assert NUMBERS[:2] == ("a", "two")


def test_objects_by_hand():
    found = truth(scene(("red", "cross", 12, 84), ("blue", "cross", 60, 12), ("red", "cross", 36, 84)))
    assert [(each["name"], each["words"], len(each["boxes"])) for each in found] == [
        ("red cross", ["red cross", "red crosses"], 2),
        ("blue cross", ["blue cross", "blue crosses"], 1),
    ]
    assert found[1]["boxes"] == [[51, 3, 69, 21]]
