"""Oracle: counting who is shown in whose place; the whole file for its chunks; a folder for Parquet."""

import hashlib
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from extract.images.counterfactual.swapping import cycles, swap_images
from extract.images.loading import open_images
from extract.images.preprocessing import Pixels
from extract.knockouts.references import References, images_of_run
from extract.questions.question_set import read_questions
from schemas.errors import HeadflowError

# Two of `a` have the same bytes; `b` has two, `c` and `d` are alone, and one is not there
IMAGES = {"a0": "a", "a1": "a", "a2": "a", "a3": "a", "b0": "b", "b1": "b", "c0": "c", "d0": "d", "gone": "a"}
TWINS = ("a0", "a2")


@pytest.fixture
def folder(tmp_path):
    rows = []
    for number, (name, category) in enumerate(IMAGES.items()):
        if name != "gone":
            colour = 1 if name in TWINS else number + 2
            Image.new("RGB", (8, 8), (colour, 0, 0)).save(tmp_path / f"{name}.png")
        for answer in ("Yes", "No"):
            rows.append({"question_id": name, "image_file": f"{name}.png", "question": f"Is it {answer}?",
                         "answer": answer, "category": category})  # fmt: skip
    (tmp_path / "questions.json").write_text(json.dumps(rows))
    return tmp_path


def shown(questions) -> dict[str, str | None]:
    found = {}
    for sample in questions.samples:
        other = sample.shown.image if sample.shown else None
        assert found.setdefault(sample.image, other) == other  # both questions see the same
    return found


def test_it_is_a_derangement_by_content_within_categories(folder):
    whole = read_questions(folder / "questions.json", folder)
    found = shown(swap_images(whole, whole))
    assert found.pop("gone.png") is None
    content = {name: (folder / name).read_bytes() for name in found}
    assert all(content[name] != content[other] for name, other in found.items())
    assert len({content[other] for other in found.values()}) == len(set(content.values()))  # each is shown once
    assert found["a0.png"] == found["a2.png"]
    category = {f"{name}.png": each for name, each in IMAGES.items()}
    assert all(category[name] == category[other] for name, other in found.items() if category[name] in "ab")
    assert (found["c0.png"], found["d0.png"]) == ("d0.png", "c0.png")


def test_a_file_that_is_no_image_takes_no_part(folder):
    (folder / "b0.png").write_bytes(b"no image")
    whole = read_questions(folder / "questions.json", folder)
    found = shown(swap_images(whole, whole))
    assert found["b0.png"] is None
    assert "b0.png" not in found.values()
    assert found["b1.png"] is not None


def test_chunks_and_first_samples_are_shown_the_same(folder):
    whole = read_questions(folder / "questions.json", folder)
    expected = shown(swap_images(whole, whole))
    for number in (2, 5):
        parts = [shown(swap_images(whole.chunk(number, index), whole)) for index in range(number)]
        assert {name: other for part in parts for name, other in part.items()} == expected
    assert shown(swap_images(whole.first(3), whole)).items() <= expected.items()


def test_parquet_is_shown_the_same_and_read(folder):
    whole = read_questions(folder / "questions.json", folder)
    expected = shown(swap_images(whole, whole))
    table = pd.DataFrame(json.loads((folder / "questions.json").read_text()))
    files = [folder / name for name in table.pop("image_file")]
    table["image"] = [{"bytes": file.read_bytes() if file.exists() else None, "path": file.name} for file in files]
    table["question_id"] = [file.name for file in files]
    table.to_parquet(folder / "questions.parquet", row_group_size=3)
    parquet = read_questions(folder / "questions.parquet")
    swapped = swap_images(parquet, parquet)
    assert shown(swapped) == expected
    usable = [sample for sample in swapped.samples if sample.shown]
    images = open_images(swapped, usable, lambda image: Pixels({}, [[image.getpixel((0, 0))[0]]], [image.size]))
    for number, sample in enumerate(usable):
        loaded = images[number]
        with Image.open(folder / sample.shown.image) as other:
            assert loaded.usable().image_ids == [[other.getpixel((0, 0))[0]]]
        assert loaded.sha256 == hashlib.sha256((folder / sample.image).read_bytes()).hexdigest()


def test_knock_outs_of_a_run_have_the_same_partners(folder):
    whole = read_questions(folder / "questions.json", folder)
    expected = shown(swap_images(whole, whole))
    observed = [sample for sample in whole.samples if sample.image != "gone.png"]
    hashes = {each.sample_id: hashlib.sha256((folder / each.image).read_bytes()).hexdigest() for each in observed}
    partners = References.of("swap", images_of_run(observed, hashes), 0, 0).partners
    assert {each.image: partners[hashes[each.sample_id]].image for each in observed} == {
        name: other for name, other in expected.items() if other is not None
    }


def test_one_that_is_alone_joins_the_first_category():
    assert cycles({"a": [1, 2], "b": [3], "c": [4, 5]}) == [[1, 2, 3], [4, 5]]
    assert cycles({"a": [1]}) == []


def test_fewer_than_two_images_are_refused(folder):
    for name in np.setdiff1d(list(IMAGES), [*TWINS, "gone"]):
        (folder / f"{name}.png").unlink()
    whole = read_questions(folder / "questions.json", folder)
    with pytest.raises(HeadflowError, match=r"fewer than two of .* can be read"):
        swap_images(whole, whole)
