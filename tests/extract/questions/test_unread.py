"""Oracle: what was written into the file beside a plain question, by hand; columns are those of public files."""

import pytest

from extract.questions.question_set import read_questions
from schemas.errors import HeadflowError
from tests.support.question_files import FORMS, write_questions

ROW = {"question_id": "1", "image": "a.png", "question": "Is it red?", "answer": "Yes", "category": "OCR"}


@pytest.mark.parametrize("name", FORMS)
def test_nothing_is_said_of_a_plain_file(tmp_path, name):
    assert read_questions(write_questions(tmp_path / name, ROW, ROW | {"question": "Is it?"})).notes == []


@pytest.mark.parametrize("name", FORMS)
def test_what_is_not_read_is_named(tmp_path, name):
    rows = [ROW | {"lecture": "Light.", "a": "alone", "split": None}, ROW | {"question": "Is it?", "split": "dev"}]
    (note,) = read_questions(path := write_questions(tmp_path / name, *rows)).notes
    assert note == f"question file {path}: `lecture`, `a`, `split` are not read"


@pytest.mark.parametrize("name", FORMS)
def test_a_question_with_more_than_its_text_is_refused(tmp_path, name):
    path = write_questions(
        tmp_path / name, ROW | {"option": None}, ROW | {"question": "Is it?", "option": "red or blue"}
    )
    with pytest.raises(HeadflowError) as error:
        read_questions(path)
    assert f"{path}: row 1 has `option`, without which its question is another one" in str(error.value)


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"multiple_choice_answer": "net"}, "net"),  # VQAv2
        ({"gt_answer": "1"}, "Yes"),  # HallusionBench
        ({"gt_answer": "0"}, "No"),
        ({"gt_answer": 0}, "No"),
        ({"answer": "No", "gt_answer": "1"}, "No"),
    ],
)
def test_answers_under_other_names(tmp_path, name, given, expected):
    row = {field: value for field, value in ROW.items() if field != "answer"} | given
    (sample,) = read_questions(write_questions(tmp_path / name, row)).samples
    assert sample.answer == expected


def test_further_messages_are_named(tmp_path):
    turns = [{"from": "human", "value": "<image>Is it?"}, {"from": "gpt", "value": "Yes"}]
    rows = [{"id": "1", "image": "a.png", "conversations": turns * times} for times in (1, 2)]
    note, _ = read_questions(write_questions(tmp_path / "q.jsonl", *rows)).notes
    assert note.endswith("of `conversations`, the first question and answer are read; 1 row has more")


@pytest.mark.parametrize("name", FORMS)
def test_repeated_questions_are_named(tmp_path, name):
    other = ROW | {"question": "Is it?"}
    found = read_questions(write_questions(tmp_path / name, ROW, other, ROW, other))
    assert found.notes[0].endswith(
        "row 2 repeats the question and the name of the image of row 0, and 1 more rows do so; each counts"
    )
    assert len(found.samples) == 4
