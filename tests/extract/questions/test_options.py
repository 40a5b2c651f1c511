"""Oracle: options, hints and answers written by hand in the columns of public files."""

import pytest

from extract.questions.fields import wrong_options
from extract.questions.question_set import read_questions
from schemas.errors import HeadflowError
from schemas.tasks import CHOICES, MME, POPE
from tests.support.question_files import FORMS, write_questions

ROW = {"image": "a.png", "question": "What colour is it?", "category": "colour"}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize(
    ("beside", "options", "hint", "answer"),
    [
        # MMBench and VLMEvalKit: a question has fewer than four
        (
            {"hint": "Look.", "A": "red", "B": "blue", "C": None, "D": None, "answer": "B", "index": 7},
            ["red", "blue"],
            "Look.",
            "B",
        ),
        ({"choices": ["red", "blue"], "hint": "", "answer": 1}, ["red", "blue"], None, "B"),  # ScienceQA
        ({"options": "['red', 'it\\'s blue']", "answer": "A"}, ["red", "it's blue"], None, "A"),  # MMMU
        ({"choice_b": "2", "choice_a": "1", "answer": "B"}, ["1", "2"], None, "B"),  # SEED-Bench
        (
            {"option_1": "red", "option_2": "blue", "context": "Look.", "answer": "blue"},
            ["red", "blue"],
            "Look.",
            "blue",
        ),
    ],
)
def test_options_of_public_files(tmp_path, name, beside, options, hint, answer):
    if name == "table.tsv" and "choices" in beside:
        beside = beside | {"choices": str(beside["choices"]), "answer": "B"}  # a cell is text
    found = read_questions(path := write_questions(tmp_path / name, ROW | beside))
    (sample,) = found.samples
    assert (list(sample.options), sample.hint, sample.answer) == (options, hint, answer)
    assert sample.question == ROW["question"]
    assert (found.task, found.letters, found.notes) == (CHOICES, "AB", [])
    assert sample.question_id == ("7" if "index" in beside else None)
    with pytest.raises(HeadflowError, match="its questions have options of their own, and the task mme") as error:
        read_questions(path, task="mme")
    assert error.value.setting == "task"


def test_numbers_of_a_table_are_options_as_they_are_written(tmp_path):
    rows = [ROW | {"A": 1, "B": 2, "C": 3.5, "answer": "B"}, ROW | {"question": "?", "A": 1, "B": None, "C": None}]
    first, second = read_questions(write_questions(tmp_path / "texts.parquet", *rows)).samples
    assert (list(first.options), list(second.options)) == (["1", "2", "3.5"], ["1"])


def test_single_letters_are_options_where_there_are_a_and_b(tmp_path):
    found = read_questions(write_questions(tmp_path / "lines.jsonl", ROW | {"a": "an article", "question": "Is it?"}))
    assert (found.samples[0].options, found.task) == (None, MME)
    assert found.notes[0].endswith("`a` is not read")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["red", "blue"], ""),
        ([], "it has 0 options"),
        (["red"], "it has 1 option, 'red'"),
        (["red", "", "blue"], "its option B is empty"),
        (["red", "blue", "red "], "its options A and C are the same, 'red'"),
        ([str(number) for number in range(27)], "it has 27 options, and there are 26 letters"),
        ([str(number) for number in range(26)], ""),
    ],
)
def test_options_that_cannot_be_asked(options, why):
    assert wrong_options(options) == why


def test_answers_that_are_no_option_are_named(tmp_path):
    rows = [ROW | {"A": "red", "B": "blue", "answer": answer, "question": answer} for answer in ("A", "D", "green")]
    (note,) = read_questions(write_questions(tmp_path / "lines.jsonl", *rows)).notes
    assert note.endswith(
        "2 rows have a right answer that is none of the options, row 1 first; they are asked and not scored"
    )


def test_a_question_without_options_among_others_has_none(tmp_path):
    rows = [ROW | {"A": "red", "B": "blue"}, ROW | {"question": "Is it?"}]
    first, second = read_questions(write_questions(tmp_path / "lines.jsonl", *rows)).samples
    assert (first.options, second.options) == (("red", "blue"), ())


def test_letters_are_those_of_the_longest_question_and_at_least_two(tmp_path):
    for number in (1, 2, 3):
        rows = [ROW | dict(zip("ABC"[:length], "xyz", strict=False)) for length in range(1, number + 1)]
        rows = [row | {"question": str(place), "B": row.get("B")} for place, row in enumerate(rows)]
        assert read_questions(write_questions(tmp_path / "lines.jsonl", *rows)).letters == "ABC"[: max(2, number)]


def test_a_task_of_choices_needs_options(tmp_path):
    path = write_questions(tmp_path / "lines.jsonl", ROW)
    with pytest.raises(HeadflowError, match="its questions have no options, and the task choices is of questions with"):
        read_questions(path, task="choices")


def test_pope_is_known_by_its_categories_and_by_the_names_of_its_files(tmp_path):
    rows = [{"image": "a.png", "text": f"Is there a {name}?", "label": "yes"} for name in ("cat", "dog")]
    named = write_questions(tmp_path / "coco_pope_popular.json", *rows)
    found = read_questions(named)
    assert found.task is POPE
    assert {sample.category for sample in found.samples} == {"popular"}
    categories = [row | {"category": name} for row, name in zip(rows, ("random", "adversarial"), strict=True)]
    assert read_questions(write_questions(tmp_path / "lines.jsonl", *categories)).task is POPE
    assert read_questions(tmp_path / "lines.jsonl", task="mme").task is MME
    assert read_questions(write_questions(tmp_path / "coco_pope_random.json", rows[0] | {"category": "x"})).task is MME
