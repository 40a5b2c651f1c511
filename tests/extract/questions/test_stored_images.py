"""Oracle: pictures that are put into the table here, in the columns of VLMEvalKit's tables."""

import base64
import json

import numpy as np
import pytest

from extract.__main__ import main as extract
from extract.images.loading import open_images
from extract.questions.question_set import read_questions
from extract.questions.samples import Unusable
from tests.support.pictures import READABLE
from tests.support.question_files import TEXT_FORMS, write_questions
from tests.support.runs import read_tables

PNG = READABLE["rgb"]


def in_base64(content):
    return base64.b64encode(content).decode()


def contents(questions):
    """The bytes of the image of each sample."""
    return [questions.images[place] for sample in questions.samples for place in questions.images.places(sample)]


@pytest.mark.parametrize("name", TEXT_FORMS)
def test_images_are_read_from_the_table(tmp_path, name):
    """A later question on an image has the index of the row with the image in its cell."""
    long = PNG + bytes(150_000)  # the csv module's own limit of a cell is shorter
    cells = [in_base64(long), "7", in_base64(PNG), "9", "data:image/png;base64," + in_base64(PNG)]
    rows = [{"index": 7 + row, "image": cell, "question": f"Is it {row}?"} for row, cell in enumerate(cells)]
    questions = read_questions(write_questions(tmp_path / name, *rows))
    assert contents(questions) == [long, long, PNG, PNG, PNG]
    assert [sample.image for sample in questions.samples] == ["7", "7", "9", "9", "11"]
    assert [len(group) for group in questions.by_image()] == [2, 2, 1]  # that share a prefix
    assert questions.notes == []


@pytest.mark.parametrize("name", TEXT_FORMS)
def test_files_count_where_there_is_a_folder_for_them(tmp_path, name):
    rows = [
        {"image": cell, "image_path": f"{number}.png", "question": "Is it?"}
        for number, cell in enumerate((in_base64(PNG * 9), "0"))
    ]
    path = write_questions(tmp_path / name, *rows)
    assert read_questions(path, tmp_path).images == tmp_path
    questions = read_questions(path)
    assert contents(questions) == [PNG * 9] * 2
    for found in (questions, read_questions(path, tmp_path)):
        assert [sample.image for sample in found.samples] == ["0.png", "1.png"]


def test_what_is_no_image_costs_its_sample(tmp_path):
    text = in_base64(PNG)
    cells = [text, "/9j/" + "no base64 " * 20, in_base64(PNG[:80]), in_base64(b"hello, no image"), "99"]
    rows = [{"index": row, "image": cell, "question": f"Is it {row}?"} for row, cell in enumerate(cells)]
    questions = read_questions(write_questions(tmp_path / "lines.jsonl", *rows))
    images = open_images(questions, questions.samples, preprocess=lambda image: image)
    reasons = []
    for number in range(len(cells)):
        try:
            images[number].usable()
            reasons.append(None)
        except Unusable as error:
            reasons.append((error.reason, error.detail))
    assert reasons[0] is None
    assert [reason for reason, _ in reasons[1:]] == ["image_unreadable"] * 3 + ["image_missing"]
    assert reasons[4][1] == "name 99 has no image"


def test_a_run_equals_that_of_files(tmp_path, checkpoint_path, extracted, questions):
    rows = json.loads((questions / "MME_test.json").read_text())
    seen = {}
    for number, row in enumerate(rows):
        name = row.pop("image_file")
        first = seen.setdefault(name, number)
        image = in_base64((questions / "images" / name).read_bytes())
        row |= {"image": image if first == number else str(first), "index": number}
    path, argv = write_questions(tmp_path / "table.tsv", *rows), ["--num-workers", "1", "--device", "cpu"]
    argv += ["--model-path", str(checkpoint_path), "--question-file", str(path), "--output-dir", str(tmp_path / "run")]
    assert extract(argv) == 0
    heads, samples = read_tables(tmp_path / "run")
    expected, others = read_tables(extracted)
    assert samples["image_sha256"].tolist() == others["image_sha256"].tolist()
    names = heads.columns[4:]
    np.testing.assert_array_equal(heads[names], expected[names])
