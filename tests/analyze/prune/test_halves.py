"""Oracles: counting, and sets of images."""

import numpy as np
import pandas as pd
import pytest

from analyze.prune.halves import answered_samples, divide, divided_as
from analyze.tables.frames import open_heads
from schemas.errors import HeadflowError
from tests.support.prunable import World, write_world
from tests.support.runs import edit_manifest, put, rewrite


def table(images: dict[str, list[str]]) -> pd.DataFrame:
    """Two questions on each image of each category; images by the name of their hash."""
    rows = [
        {"sample_id": f"{category} {name} {side}", "category": category, "image_sha256": name, "image": None}
        for category, names in images.items()
        for name in names
        for side in (0, 1)
    ]
    return pd.DataFrame(rows).assign(question_id=None)


def test_both_questions_of_an_image_are_in_one_half_and_each_category_is_divided():
    samples = table({"OCR": [f"o{n}" for n in range(9)], "color": [f"c{n}" for n in range(4)]})
    tests = divide(samples, seed=0)
    assert (pd.Series(tests).groupby(samples["image_sha256"]).nunique() == 1).all()
    numbers = samples[tests].groupby("category")["image_sha256"].nunique()
    assert numbers["color"] == 2
    assert numbers["OCR"] in (4, 5)
    assert (divide(samples, seed=0) == tests).all()
    assert any((divide(samples, seed=seed) != tests).any() for seed in range(1, 5))


def test_an_image_of_two_categories_is_in_one_half():
    """Its hash tells it; by category and image it would count as two, which could be divided."""
    shared = [f"s{n}" for n in range(10)]
    samples = table({"OCR": shared, "color": [*shared, "c0", "c1"]})
    for seed in range(10):
        tests = divide(samples, seed)
        assert not set(samples[tests]["image_sha256"]) & set(samples[~tests]["image_sha256"])


def test_one_image_per_category_cannot_be_divided():
    with pytest.raises(HeadflowError, match="no category has two images"):
        divide(table({"OCR": ["a"], "color": ["b"]}), 0)


def test_a_sample_that_was_added_to_an_image_that_tests_does_neither():
    samples = table({"OCR": ["a", "b", "c"]})
    ranks, tests = divided_as(samples, ["OCR a 0"])
    assert samples["sample_id"][tests].tolist() == ["OCR a 0"]
    assert set(samples[ranks]["image_sha256"]) == {"b", "c"}
    with pytest.raises(HeadflowError, match="has no observed sample gone"):
        divided_as(samples, ["OCR a 0", "gone"])
    with pytest.raises(HeadflowError, match="no sample is left to rank"):
        divided_as(samples, samples["sample_id"])


def test_only_questions_with_an_answer_count(tmp_path):
    path = write_world(tmp_path / "run", World.of(), categories={"OCR": 3})
    rewrite(path, "samples", lambda content: put(content, "answer", 2, "a cat"))
    found = answered_samples(open_heads(path)[0])
    assert found.index.tolist() == [0, 1, 3, 4, 5]
    assert found["expected"].dtype == np.int64
    edit_manifest(path, model="x")
    rewrite(path, "samples", lambda content: put(content, "answer", slice(6), ["a cat"] * 6))
    with pytest.raises(HeadflowError, match="no observed sample has a right answer that is yes or no"):
        answered_samples(open_heads(path)[0])
