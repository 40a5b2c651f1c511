"""The demo's recipe: MME's form, decidable, and the same from the same seed."""

import json

from PIL import Image

from analyze.scores import COGNITION, PERCEPTION
from data.demo_questions import make_questions


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_same_from_the_same_seed(tmp_path):
    make_questions(tmp_path / "a", seed=3)
    make_questions(tmp_path / "b", seed=3)
    make_questions(tmp_path / "c", seed=4)
    assert files(tmp_path / "a") == files(tmp_path / "b")
    assert files(tmp_path / "a") != files(tmp_path / "c")


def test_mme_s_form(tmp_path):
    rows = make_questions(tmp_path)
    assert rows == json.loads((tmp_path / "MME_test.json").read_text(encoding="utf-8"))
    assert {row["category"] for row in rows} == {*PERCEPTION, *COGNITION}
    images = {}
    for row in rows:
        assert set(row) == {"question_id", "image_file", "question", "answer", "category"}
        images.setdefault(row["image_file"], []).append(row)
    assert len(images) >= 40
    contents = set()
    for name, pair in images.items():
        assert sorted(row["answer"] for row in pair) == ["No", "Yes"]
        assert len({row["question_id"] for row in pair}) == 1
        assert pair[0]["question"] != pair[1]["question"]
        contents.add((tmp_path / "images" / name).read_bytes())
        with Image.open(tmp_path / "images" / name) as image:
            assert image.mode == "RGB"
    assert len(contents) == len(images)
