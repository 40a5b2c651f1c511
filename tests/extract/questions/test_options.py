"""Oracle: options, hints and answers written by hand in the columns of public files."""

import pytest

from extract.questions.content.choices import written_options
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
        ({"choices": ["red", "blue"], "hint": "", "answer": 0}, ["red", "blue"], None, "A"),  # ScienceQA
        # MMBench of lmms-lab, where all that is missing is a text
        (
            {"hint": "nan", "A": "red", "B": "None", "C": "nan", "D": "nan", "answer": "B"},
            ["red", "None"],
            None,
            "B",
        ),
        ({"A": "red", "B": "nan", "C": "null", "hint": "None", "answer": "nan"}, ["red", "nan", "null"], None, "nan"),
        ({"A": "red", "B": "nan", "answer": "B"}, ["red", "nan"], None, "B"),
        ({"options": "['A. red', '(B) blue']", "answer": "B. blue"}, ["red", "blue"], None, "B. blue"),
        ({"options": "['red', 'it\\'s blue']", "answer": "A"}, ["red", "it's blue"], None, "A"),  # MMMU
        ({"choice_b": "2", "choice_a": "1", "answer": "B"}, ["1", "2"], None, "B"),  # SEED-Bench
        ({"options": "{'B': 'blue', 'A': 'red'}", "answer": "B"}, ["red", "blue"], None, "B"),
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
        beside = beside | {"choices": str(beside["choices"])}  # a cell is text
    found = read_questions(path := write_questions(tmp_path / name, ROW | beside))
    (sample,) = found.samples
    assert (list(sample.options), sample.hint, sample.answer) == (options, hint, answer)
    assert sample.question == ROW["question"]
    assert (found.task, found.letters, found.notes) == (CHOICES, "ABC"[: len(options)], [])
    assert sample.question_id == ("7" if "index" in beside else None)
    with pytest.raises(
        HeadflowError,
        match="options of their own, and the task mme is of questions with the answer yes or no; name one",
    ) as error:
        read_questions(path, task="mme")
    assert error.value.setting == "task"


COLOURS = {"A": "red", "B": "blue", "C": "green"}
COUNTS = {"options": ["1", "2", "3"]}
NUMBERED = {f"option_{number}": text for number, text in enumerate(("red", "blue", "green"), start=1)}
AS_TEXT = ("table.tsv", "lines.jsonl")


@pytest.mark.parametrize("name", AS_TEXT)
@pytest.mark.parametrize(
    ("options", "answers", "letters", "says"),
    [
        (COLOURS, (0, 2, 1), "ACB", None),
        (COLOURS, (0.0, 2.0), "AC", None),
        (COLOURS, ("0", "2.0"), "AC", None),
        (COLOURS, (1, 2), "BC", "read as places from 0, which is A, which fits 2 of 2 rows, as would places from 1"),
        (COLOURS, (1, 3), "AC", "read as places from 1, which is A, which fits 2 of 2 rows"),
        (NUMBERED, (1, 3), "AC", None),
        (NUMBERED, (0, 2), "AC", "read as places from 0"),
        (NUMBERED, (1, 2), "AB", "as would places from 0"),
        (COUNTS, (1, 3), "AC", None),
        (COUNTS, (1, 2), "AB", "read as the words of an option, which fits 2 of 2 rows, as would places from 0"),
        (COUNTS, (0, 1), "AB", None),  # no option says 0
        ({"options": ["0", "1", "2"]}, (0, 1), "AB", None),  # both rules say the same
        (COUNTS | {"options": ["1.0", "2.0"]}, ("2.0", "1.0"), "BA", None),
    ],
)
def test_numbers_are_read_by_one_rule(tmp_path, name, options, answers, letters, says):
    beside = {
        key: str(value) if name == "table.tsv" and isinstance(value, list) else value for key, value in options.items()
    }
    rows = [ROW | beside | {"answer": answer, "question": f"{place}?"} for place, answer in enumerate(answers)]
    found = read_questions(write_questions(tmp_path / name, *rows))
    assert "".join(sample.answer for sample in found.samples) == letters
    assert [says in note for note in found.notes] == ([True] if says else [])


@pytest.mark.parametrize(
    "question",
    [
        "Which is it?\nContext: N/A\nOptions: (A) red (B) dark blue",  # ScienceQA, as LLaVA writes it
        "Which is it?\nA. red\nB. dark blue\n<image>",
        "A: or B: of it?\nOptions: A: red, B: dark blue",  # MMStar
        "Which?\nA) red\nB) dark blue\nAnswer with a letter.",
    ],
)
def test_options_within_the_question_are_found_and_not_written_again(tmp_path, question):
    rows = [ROW | {"question": question, "answer": answer} for answer in ("B.", "The answer is B.", None)]
    found = read_questions(path := write_questions(tmp_path / "lines.jsonl", *rows))
    assert (found.task, [sample.options for sample in found.samples]) == (CHOICES, [("red", "dark blue")] * 3)
    assert [CHOICES.right(sample.answer, sample.options) for sample in found.samples] == [1, 1, None]
    assert read_questions(path, task="mme").samples[0].options is None
    assert written_options(question, ("red", "dark blue")) == ()
    assert written_options(question, ("red", "blue")) == written_options("Which?", ("red", "blue")) == ("red", "blue")


def test_a_letter_in_a_question_of_yes_or_no_is_no_option(tmp_path):
    rows = [ROW | {"question": "Is A. or B. red?", "answer": "Yes"}, ROW | {"question": "(A) x (B) y", "answer": "no"}]
    found = read_questions(write_questions(tmp_path / "lines.jsonl", *rows))
    assert (found.task, found.notes) == (MME, [])


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([COLOURS, {"answer": "Yes"}], "1 of 2 questions has no options, row 1 first: they are skipped"),
        ([{"answer": "A"}, {"answer": "B"}], "no right answer is yes or no, as the task mme has them: all are asked"),
        ([{"answer": "A"}, {"answer": "no"}], "1 row has a right answer that is neither yes nor no, row 0 first"),
        ([{"A": "B", "B": "A", "answer": "A"}], "1 right answer is a letter that another option has as its text"),
    ],
)
def test_what_cannot_be_scored_is_said(tmp_path, rows, says):
    rows = [ROW | {"question": f"{place}?"} | row for place, row in enumerate(rows)]
    (note,) = read_questions(write_questions(tmp_path / "lines.jsonl", *rows)).notes
    assert says in note


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


def test_videos_of_seed_bench_are_named_and_skipped(tmp_path):
    rows = [
        {
            "data_id": f"{kind}.x",
            "data_type": kind,
            "question": f"{kind}?",
            "choice_a": "x",
            "choice_b": "y",
            "answer": "A",
        }
        for kind in ("image", "video")
    ]
    found = read_questions(write_questions(tmp_path / "lines.jsonl", *rows))
    assert [sample.image for sample in found.samples] == ["image.x", ""]
    assert [note.partition("jsonl: ")[2] for note in found.notes] == ["1 row is about a video: skipped"]


@pytest.mark.parametrize("name", ["lines.jsonl", "images.parquet", "texts.parquet"])
def test_the_kind_of_a_question_of_seed_bench_is_its_category(tmp_path, name):
    row = {"data_id": "x", "question": "Which?", "choice_a": "x", "choice_b": "y", "answer": "A", "question_type_id": 3}
    row |= {"image": "a.png"} if name == "images.parquet" else {}
    rows = [row, row | {"category": "shape", "question": "And here?"}]
    found = read_questions(write_questions(tmp_path / name, *rows))
    assert [sample.category for sample in found.samples] == ["3", "shape"]
    assert not any("question_type_id" in note for note in found.notes)


def test_letters_without_a_are_named(tmp_path):
    note, _ = read_questions(
        write_questions(tmp_path / "lines.jsonl", ROW | {"B": "red", "C": "blue", "answer": "B"})
    ).notes
    assert note.endswith("`B`, `C` are not read; of single letters, `A`, `B` are to be among them to be options")


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


def test_several_files_are_read_as_one(tmp_path):
    (folder := tmp_path / "coco").mkdir()
    rows = [
        {"question_id": 1, "image": "a.png", "text": f"Is there a {name}?", "label": "yes"} for name in ("cat", "dog")
    ]
    paths = [
        write_questions(folder / f"coco_pope_{name}.json", row)
        for name, row in zip(("popular", "random"), rows, strict=True)
    ]
    write_questions(folder / "answers.jsonl", {"question": "no question file"})
    for name in (folder, f"{paths[0]}, {paths[1]},"):
        found = read_questions(name)
        assert (found.task, found.name, found.notes) == (POPE, str(name), [])
        assert [sample.sample_id for sample in found.samples] == ["1", "1#2"]
        assert [sample.category for sample in found.samples] == ["popular", "random"]
    assert len({read_questions(name).sha256 for name in (folder, *paths, f"{paths[1]},{paths[0]}")}) == 4
    held = write_questions(tmp_path / "images.parquet", ROW)
    for name, says in (
        (f"{paths[0]},{held}", r"images\.parquet holds its images, and is given beside others"),
        (f"{paths[0]},{paths[0]}", r"popular\.json is named twice"),
        (f"{paths[0]},{tmp_path / 'x.json'}", r"question file \S*/x\.json does not exist"),
    ):
        with pytest.raises(HeadflowError, match=says):
            read_questions(name)
    write_questions(tmp_path / "a,b.jsonl", ROW)
    assert len(read_questions(tmp_path / "a,b.jsonl").samples) == 1
    write_questions(folder / "images.parquet", ROW)
    assert (
        read_questions(folder)
        .notes[0]
        .endswith("beside its Parquet files, answers.jsonl, coco_pope_popular.json, coco_pope_random.json are not read")
    )
