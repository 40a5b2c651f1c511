"""The question file: ids, and one clear line for what cannot be read."""

import json
import os

import pandas as pd
import pytest

from extract.questions.question_set import read_questions
from schemas.errors import HeadflowError

ROW = {"question_id": "a", "image_file": "a.png", "question": "Is it?", "answer": "Yes", "category": "OCR"}


@pytest.fixture
def ids(tmp_path):
    def read(rows, first=-1):
        path = tmp_path / "questions.json"
        path.write_text(json.dumps(rows), encoding="utf-8")
        return [sample.sample_id for sample in read_questions(path).first(first).samples]

    return read


def rows(*names):
    return [ROW | {"question_id": name} for name in names]


def test_later_questions_of_an_id_are_numbered(ids):
    assert ids(rows("a", "a", "b", "a")) == ["a", "a#2", "b", "a#3"]


def test_row_numbers_where_there_is_no_id(ids):
    without = {name: value for name, value in ROW.items() if name != "question_id"}
    assert ids([without, without, *rows(None, "")]) == ["0", "1", "2", "3"]


def test_ids_are_unique_whatever_they_are(ids):
    for names in (["a", "a", "a#2"], ["a#2", "a", "a"], ["a#2", "a", "a", "a#2"], ["1", None, 1, 1.5]):
        found = ids(rows(*names))
        assert len(set(found)) == len(names)


def test_ids_do_not_depend_on_num_samples(ids):
    many = rows("a", "a", "b", "b")
    assert ids(many, first=3) == ids(many)[:3]
    assert ids(many, first=0) == ids(many, first=-1) == ids(many, first=99) == ids(many)


def test_fields(tmp_path):
    path = tmp_path / "questions.json"
    path.write_text(json.dumps([{"image_file": "x.png", "question": "Q", "category": None, "question_id": 7}]))
    (sample,) = read_questions(path).samples
    assert vars(sample) == {
        "sample_id": "7",
        "category": "unknown",
        "question_id": "7",
        "images": ("x.png",),
        "question": "Q",
        "answer": None,
        "groups": None,
        "options": None,
        "hint": None,
        "row": 0,
        "prompt": None,
        "difficulty": None,
        "boxes": None,
        "objects": None,
        "numbers": (),
        "shown": None,
    }


def test_half_a_surrogate_pair_can_be_written(ids):
    assert ids(rows("a\ud800", "数")) == ["a?", "数"]


def test_other_fields_are_no_matter(ids):
    assert ids([ROW | {"image": {"bytes": "x"}, "sample_id": [1]}]) == ["a"]


def test_a_byte_order_mark_is_no_matter(tmp_path):
    path = tmp_path / "questions.json"
    path.write_text(json.dumps([ROW]), encoding="utf-8-sig")
    assert len(read_questions(path).samples) == 1


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "holds no questions"),
        ('{"a": 1}\n{"b"', "line 2, is not JSON"),
        ("not json", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        (b"\xff\xfe\x00", "is not text in UTF-8"),
        ("{}", "holds a JSON dict, not a list"),
        ("[]", "holds no questions"),
        ("[3]", "row 0 is 3, not an object"),
        (
            [{"image": "a", "text": "b", "prompt": "c"}],
            "row 0 has `text` and `prompt`; call the one to ask `question`",
        ),
        ([{"question": "x"}], "row 0 has no `image_file`"),
        ([{"image_file": "x"}, {"image_file": "x"}], "row 0 has no `question` (and 1 more rows like it)"),
        ([ROW, *[ROW | {"answer": True}] * 2], "row 1: `answer` is a bool, not text"),
        ([ROW | {"question": ["x"]}], "row 0: `question` is a list, not text"),
        ([ROW | {"image_file": {}}], "row 0: `image_file` is a dict, not text"),
        ([ROW | {"answer": True}], "row 0: `answer` is a bool, not text"),
        ([ROW | {"difficulty": ["x"]}], "row 0: `difficulty` is a list, not text"),
        *(
            ([ROW | {"boxes": boxes}], f"row 0: `boxes` is {boxes!r}, not [[x0, y0, x1, y1], ...] in pixels")
            for boxes in (
                *([1, 2, 3, 4], [[1, 2, 3]], [[1, 2, 0, 4]], [[1, 2, 3, 0]], [[1, 2, 3, "4"]], [[0, 0, 1, True]]),
                *({"x": 1}, "[[1, 2, 3]", "red", 3, [[0, 0, 1, 2**31]]),
            )
        ),
        *(
            ([ROW | {"objects": objects}], f"row 0: `objects`{says}")
            for objects, says in (
                ({"name": "dog"}, ' is {\'name\': \'dog\'}, not [{"name": ..., "words": [...], "boxes": [...]}, ...]'),
                ([{"words": ["dog"]}], " has {'words': ['dog']}, which has no `name`"),
                ([{"name": " "}], " has {'name': ' '}, which has no `name`"),
                ([{"name": "dog", "words": []}], ": `words` of 'dog' is [], which is not a list of one word or more"),
                (
                    [{"name": "dog", "words": ["dog", " "]}],
                    ": `words` of 'dog' is ['dog', ' '], which is not a list of one word or more",
                ),
                ([{"name": "dog", "boxes": [[1, 2]]}], ": `boxes` of 'dog' is [[1, 2]], not [[x0, y0, x1, y1], ...]"),
                ([{"name": "dog"}, {"name": "dog"}], " names 'dog' twice; give one entry with all of its boxes"),
            )
        ),
    ],
)
def test_bad_files(tmp_path, content, says):
    path = tmp_path / "questions.json"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(HeadflowError) as error:
        read_questions(path)
    assert says in str(error.value)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("odd", "change", "says"),
    [
        (3, {"image": "", "question": ""}, "row 1 is 3, not an object: skipped"),
        ({"image_file": "a.png"}, {"question": ""}, "row 1 has no `question`: skipped"),
        (
            ROW | {"image_file": {}},
            {"image": ""},
            "row 1: `image_file` is a dict, not text: `image_file` counts as missing",
        ),
        (
            ROW | {"answer": True},
            {"answer": None},
            "row 1: `answer` is a bool, not text: `answer` counts as missing there",
        ),
        (ROW | {"boxes": "red"}, {"boxes": None}, "row 1: `boxes` is 'red', not [[x0, y0, x1, y1], ...] in pixels"),
        ({"image": "a", "text": "b", "prompt": "c"}, {"question": ""}, "row 1 has `text` and `prompt`; call the one"),
    ],
)
def test_a_fault_costs_its_row_and_no_other_one(tmp_path, odd, change, says):
    path = tmp_path / "questions.json"
    plain = ROW | {"hint": "Look.", "boxes": [[0, 0, 1, 1]]}
    path.write_text(json.dumps([plain, odd, plain | {"question": "Is it not?"}]))
    found = read_questions(path)
    assert [note for note in found.notes if says in note]
    first, wrong, last = found.samples
    assert (first.question, last.question, first.answer, last.answer) == ("Is it?", "Is it not?", "Yes", "Yes")
    assert {name: getattr(wrong, name) for name in change} == change
    assert wrong.row == 1


@pytest.mark.parametrize("missing", ["NaN", "null", "Infinity", "-Infinity", "1e999"])
def test_values_that_are_missing(tmp_path, missing):
    """As pandas writes them: `to_json` null, `json.dumps` of its values NaN."""
    path = tmp_path / "questions.json"
    rows = [json.dumps(ROW | {name: "MISSING"}).replace('"MISSING"', missing) for name in ROW]
    path.write_text(f"[{','.join(rows)}]")
    samples = read_questions(path).samples
    without = [
        {"sample_id": "0", "question_id": None}, {"images": ("",)}, {"question": ""}, {"answer": None},
        {"category": "unknown"},
    ]  # fmt: skip
    ids = ["0", "a", "a#2", "a#3", "a#4"]
    sample_fields = ("sample_id", "question_id", "images", "question", "answer", "category")
    for sample, changes, name in zip(samples, without, ids, strict=True):
        expected = {"question_id": "a", "images": ("a.png",), "question": "Is it?", "answer": "Yes", "category": "OCR"}
        found = {key: value for key, value in vars(sample).items() if key in sample_fields}
        assert found == expected | {"sample_id": name} | changes


def test_a_pipe_is_not_waited_for(tmp_path):
    for name in ("questions.json", "questions.parquet", "questions.csv"):
        os.mkfifo(tmp_path / name)
        with pytest.raises(HeadflowError, match="it is a pipe or a device, not a file"):
            read_questions(tmp_path / name)
    with pytest.raises(HeadflowError, match="it is a pipe or a device, not a file"):
        read_questions("/dev/zero")


def test_no_file(tmp_path):
    with pytest.raises(HeadflowError, match="does not exist"):
        read_questions(tmp_path / "nowhere.json")


BOXES = [[0, 1.5, 20, 30], [40, 0, 41, 96]]


OBJECTS = [{"name": "dog", "words": ["dog", "puppy"], "boxes": BOXES}, {"name": "cat", "words": ["cat"], "boxes": []}]


@pytest.mark.parametrize("form", ["json", "csv", "parquet", "shards"])
def test_difficulty_boxes_and_objects_are_kept(tmp_path, form):
    rows = [
        ROW | {"difficulty": "small", "boxes": BOXES, "objects": OBJECTS},
        ROW | {"difficulty": None, "boxes": None, "objects": None},
    ]
    path = tmp_path / f"questions.{'parquet' if form == 'shards' else form}"
    if form == "json":
        rows.append(ROW | {"boxes": []})
        path.write_text(json.dumps(rows))
    elif form == "csv":
        as_text = {"boxes": [json.dumps(BOXES), None], "objects": [json.dumps(OBJECTS), None]}
        pd.DataFrame(rows).assign(**as_text).to_csv(path, index=False)
    elif form == "parquet":
        pd.DataFrame(rows).to_parquet(path)
    else:
        image = {"bytes": b"x", "path": "a.png"}
        pd.DataFrame(rows).drop(columns="image_file").assign(image=[image] * 2).to_parquet(path)
    first, *others = read_questions(path).samples
    assert (first.difficulty, first.boxes) == ("small", tuple(map(tuple, BOXES)))
    assert first.objects == tuple(OBJECTS)
    assert {(each.difficulty, each.boxes, each.objects) for each in others} == {(None, None, None)}
