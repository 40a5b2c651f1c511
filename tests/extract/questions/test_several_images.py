"""Questions with several images, in the forms that public files have. Oracle: the images that were written, in the
order in which the question places them."""

import base64

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from extract.questions.content.placing import in_order, mark_places
from extract.questions.question_set import read_questions
from tests.support.pictures import READABLE
from tests.support.question_files import TEXT_FORMS, write_questions

ROW = {"question_id": "1", "question": "Are they alike?", "answer": "Yes", "category": "OCR"}
NAMES = ["a.png", "b.png", "c.png"]
CONTENTS = [bytes([number]) * 40 + content for number, content in enumerate([*READABLE.values()][:3])]
PNG = [b"\x89PNG\r\n\x1a\n" + content for content in CONTENTS]  # as base64 of images begins


@pytest.mark.parametrize("name", TEXT_FORMS)
@pytest.mark.parametrize(
    "given",
    [
        {"image": NAMES},
        {"images": NAMES},
        {"image": "a.png", "images": NAMES},
        {"image_path": str(NAMES)},  # the text of a list, as VLMEvalKit has it
        {"image_1": "a.png", "image_2": "b.png", "image_3": "c.png", "image_4": None},
        {"image": "a.png", "image_2": "b.png", "image_3": "c.png"},
    ],
)
def test_names_of_several_images(tmp_path, name, given):
    one = {key: ["a.png"] if isinstance(value, list) else None for key, value in given.items()}
    one |= {key: "a.png" for key in ("image_path", "image_1") if key in given}
    one |= {"image": "a.png"} if given.get("image") == "a.png" else {}
    rows = [ROW | given, ROW | {"question": "Is it?"} | one]
    several, single = read_questions(write_questions(tmp_path / name, *rows)).samples
    assert (several.images, several.image) == (tuple(NAMES), "a.png + b.png + c.png")
    assert single.images == ("a.png",)
    assert several.record()["n_images"] == 3
    assert [each["image"] for each in several.record()["pictures"]] == NAMES
    assert (single.record()["n_images"], "pictures" in single.record()) == (1, False)


@pytest.mark.parametrize("name", TEXT_FORMS)
def test_images_in_base64_in_one_cell_or_in_columns(tmp_path, name):
    cells = [base64.b64encode(content).decode() for content in PNG]
    listed = ROW | {"index": 5, "image": str(cells)}
    named = ROW | {"index": 6, "image": str(cells), "image_path": str(NAMES), "question": "Is it?"}
    placed = ROW | {f"image_{place}": cell for place, cell in enumerate(cells, 1)}
    placed |= {"index": 7, "question": "Is <image 3> as <image 1>?"}
    for number, (rows, images, order) in enumerate(
        [
            ([listed], ("5#1", "5#2", "5#3"), PNG),
            ([named], tuple(NAMES), PNG),
            ([placed], ("7#2", "7#3", "7#1"), [PNG[1], PNG[2], PNG[0]]),
        ]
    ):  # fmt: skip
        found = read_questions(write_questions(tmp_path / f"{number}{name}", *rows))
        (sample,) = found.samples
        assert sample.images == images
        assert [found.images[place] for place in found.images.places(sample)] == order


KIND = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def cells(*contents):
    return [None if content is None else {"bytes": content, "path": None} for content in contents]


def test_mmmu_s_columns_of_parquet(tmp_path):
    """Seven columns, most of them empty; the second question is about one image, the third places its two in turn."""
    a, b, c = CONTENTS
    columns = {
        "question": ["Are they alike?", "Is it?", "Is <image 2> as <image 1> or <image 2>?"],
        "image_1": pa.array(cells(a, b, c), KIND),
        "image_2": pa.array([*cells(b), {"bytes": None, "path": None}, *cells(a)], KIND),
        "image_3": pa.array(cells(c, None, None), KIND),
        "image_4": pa.array(cells(None, None, None), KIND),
    }
    pq.write_table(pa.table(columns), tmp_path / "mmmu.parquet", row_group_size=2)
    found = read_questions(tmp_path / "mmmu.parquet")
    assert found.notes == []
    assert [sample.images for sample in found.samples] == [("0#1", "0#2", "0#3"), ("1",), ("2#2", "2#1")]
    for sample, expected in zip(found.samples, [[a, b, c], [b], [a, c]], strict=True):
        assert [found.images[place] for place in found.images.places(sample)] == expected


def test_a_list_of_images_of_parquet(tmp_path):
    a, b, c = CONTENTS
    lists = pa.array([cells(a, b, c), cells(c), []], pa.list_(KIND))
    pq.write_table(
        pa.table({"images": lists, "question": ["Are they?", "Is it?", "None?"]}), tmp_path / "lists.parquet"
    )
    found = read_questions(tmp_path / "lists.parquet")
    assert [len(sample.images) for sample in found.samples] == [3, 1, 1]
    assert [[found.images[place] for place in found.images.places(sample)] for sample in found.samples] == [
        [a, b, c], [c], [None],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("texts", "order", "marked"),
    [
        (("", "Are they alike?"), [0, 1, 2], ["", "Are they alike?"]),
        (("", "<image>, <image>: as <image>?"), [0, 1, 2], ["", "<image>, <image>: as <image>?"]),
        (("<image 3>", "Is <image 1> as <image 3>?"), [1, 2, 0], ["<image>", "Is <image> as <image 3>?"]),
        (("", "Which?", "<image 2>", "<image_1>"), [2, 1, 0], ["", "Which?", "<image>", "<image>"]),
        (("", "<pad> and <image> <pad>"), [0, 1, 2], ["", "<image> and <image> <image>"]),
    ],
)
def test_texts_place_images(texts, order, marked):
    assert in_order(texts, 3) == order
    assert mark_places(texts, 3, ["<image>", "<pad>"]) == marked


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("<image> or not?", "the question has 3 images, and places for 1"),
        ("<image 1> as <image 4>?", "3 images, and places some of which one is number 4"),
        ("<image 1> as <image>?", "3 images, and places some by number and others without"),
    ],
)
def test_places_that_do_not_fit_are_refused(text, says):
    with pytest.raises(ValueError, match=says):
        mark_places(("", text), 3, ["<image>"])
