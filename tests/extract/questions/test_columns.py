"""Oracle: the same questions under the names of MME_test.json; and what each chat asks, by hand."""

import base64
import json

import pandas as pd
import pytest

from extract.questions.content.columns import read_columns
from extract.questions.question_set import read_questions
from schemas.errors import HeadflowError
from schemas.store.run import open_run
from tests.support.pictures import READABLE
from tests.support.question_files import TEXT_FORMS, write_questions

PLAIN = {
    "question_id": "7", "image": "a.png", "question": "Which?", "answer": "B", "category": "OCR", "hint": "Look.",
    "options": "['red', 'nan']",
}  # fmt: skip
NAMES = {"question_id": "key", "image": "pic", "question": "query_text", "answer": "gt", "category": "kind"}
NAMES |= {"hint": "tip", "options": "alternatives"}


@pytest.mark.parametrize("name", TEXT_FORMS)
def test_mapped_columns_are_those_of_the_fields(tmp_path, name):
    expected = read_questions(write_questions(tmp_path / name, PLAIN)).samples
    other = {"question": "Not this one?", "answer": "A", "text": "x", "context": "y"}
    row = {NAMES[field]: value for field, value in PLAIN.items()} | other
    path = write_questions(tmp_path / f"mapped-{name}", row)
    found = read_questions(path, columns=read_columns([f"{field}={column}" for field, column in NAMES.items()]))
    assert (found.samples, found.notes) == (expected, [])
    with pytest.raises(HeadflowError, match="has no column Key; it has key, pic, query_text, gt, kind, tip") as error:
        read_questions(path, columns={"question_id": "Key"})
    assert error.value.setting == "columns"


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("question", "question is not FIELD=COLUMN, such as question=query"),
        ("question=", "question= is not FIELD=COLUMN"),
        ("quest=x", "quest is no field of a question; there are image, question_id, question, answer, category, "),
    ],
)
def test_what_is_no_field_is_refused(asked, says):
    with pytest.raises(ValueError, match="the field image has two columns, a and b"):
        read_columns(["image_file=a", "image=b"])
    with pytest.raises(ValueError, match="^" + says):
        read_columns([asked])


def test_a_run_has_its_columns(tmp_path, questions, extract, capsys):
    rows = json.loads((questions / "MME_test.json").read_text())[:2]
    path = tmp_path / "questions.json"
    path.write_text(json.dumps([{**row, "query": row["question"], "question": "no"} for row in rows]))
    asked = {"question_file": path, "image_folder": questions / "images"}
    assert extract(tmp_path / "run", columns="question=query", **asked) == 0
    assert open_run(tmp_path / "run").manifest.columns == {"question": "query"}
    assert pd.read_parquet(tmp_path / "run" / "samples")["question"].tolist() == [row["question"] for row in rows]
    assert extract(tmp_path / "run", columns="question=query", **asked) == 0
    capsys.readouterr()
    assert extract(tmp_path / "run", **asked) == 2
    assert "columns, question, is 'query', this command's is None" in capsys.readouterr().err


def part(url):
    return {"type": "image_url", "image_url": {"url": url}}


def text(words):
    return {"type": "text", "text": words}


PNG = "data:image/png;base64," + base64.b64encode(READABLE["rgb"]).decode()
USER = {"role": "user", "content": [text("Is it?"), part("a.png")]}
YES = {"role": "assistant", "content": "Yes"}
MORE = "of `messages`, the first question about an image and its answer are read; 1 row has more"


@pytest.mark.parametrize(
    ("messages", "beside", "expected", "says"),
    [
        ([USER, YES], {}, ("a.png", "Is it?", "Yes"), None),
        ([USER], {}, ("a.png", "Is it?", None), None),
        ([{"role": "system", "content": "Be brief."}, USER, YES], {}, ("a.png", "Is it?", "Yes"), MORE),
        ([USER, YES, {"role": "user", "content": "Sure?"}, YES], {}, ("a.png", "Is it?", None), MORE),
        ([{"role": "user", "content": "Hello."}, YES, USER, YES], {}, ("a.png", "Is it?", "Yes"), MORE),
        ([{"role": "user", "content": "Is it?"}, YES], {"image": "b.png"}, ("b.png", "Is it?", "Yes"), None),
        ([{"role": "user", "content": [{"type": "image", "image": "file://a.png"}, text("A"), text("B")]}], {},
         ("a.png", "A\nB", None), None),
        ([{"role": "user", "content": [part("https://a.org/b.png"), text("Is it?")]}], {}, ("", "Is it?", None),
         "1 image is on the web"),
        ([YES], {}, ("", "", None), MORE),
    ],
)  # fmt: skip
def test_chats_are_asked_by_their_first_question_about_an_image(tmp_path, messages, beside, expected, says):
    for name in TEXT_FORMS:
        as_text = {"messages": messages if name == "lines.jsonl" else json.dumps(messages)}
        found = read_questions(write_questions(tmp_path / name, {"id": "x"} | as_text | beside))
        (sample,) = found.samples
        assert (sample.image, sample.question, sample.answer, sample.question_id) == (*expected, "x")
        assert [says in note for note in found.notes] == ([True] if says else [])


def test_chats_of_parquet_may_be_lists(tmp_path):
    rows = [{"messages": [{"role": "user", "content": [text("Is it?"), part("a.png")]}]}] * 2
    samples = read_questions(write_questions(tmp_path / "texts.parquet", *rows)).samples
    assert [(sample.image, sample.question) for sample in samples] == [("a.png", "Is it?")] * 2


def test_images_of_chats_may_be_in_base64(tmp_path):
    rows = [
        {"id": str(place), "messages": [{"role": "user", "content": [part(PNG), text("Is it?")]}]} for place in (0, 1)
    ]
    found = read_questions(write_questions(tmp_path / "lines.jsonl", *rows))
    assert [found.images[found.images.places(sample)[0]] for sample in found.samples] == [READABLE["rgb"]] * 2
