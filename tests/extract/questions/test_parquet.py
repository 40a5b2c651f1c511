"""Oracle: the same questions as MME_test.json and image files; Parquet must give the same run, number for number."""

import hashlib
import json
import os
import pickle
import shutil

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from extract.__main__ import main
from extract.questions.parquet import ImageBytes, find_shards
from extract.questions.question_set import read_questions
from schemas.errors import HeadflowError
from schemas.store.run import open_run
from schemas.validation.run import validate
from tests.support.pictures import JPEG, READABLE
from tests.support.shards import hub_rows, write_shards

ROW = {"question_id": "a.png", "question": "Is it?", "answer": "Yes", "category": "OCR"}


@pytest.fixture
def rows(questions):
    return hub_rows(json.loads((questions / "MME_test.json").read_text()), questions / "images")


@pytest.fixture
def extract_shards(checkpoint_path):
    """Call `python -m extract` without an image folder."""

    def call(source, run, *flags):
        argv = ["--model-path", checkpoint_path, "--question-file", source, "--output-dir", run, *flags]
        argv += ["--device", "cpu"]
        return main([str(each) for each in argv])

    return call


def image(content, path=None):
    return {"image": {"bytes": content, "path": path}}


@pytest.mark.parametrize(
    ("shards", "group", "flags"),
    [(1, 1000, ()), (1, 3, ("--num-workers", 2)), (2, 5, ("--num-workers", 0)), (3, 4, ("--num-workers", 2))],
)
def test_the_run_is_that_of_image_files(tmp_path, rows, extract_shards, extracted, shards, group, flags):
    paths = write_shards(tmp_path / "MME" / "data", rows, shards, group)
    source = paths[0] if shards == 1 else tmp_path / "MME"
    assert extract_shards(source, tmp_path / "run", *flags) == 0
    for table in ("heads", "samples"):
        found, expected = (pd.read_parquet(run / table) for run in (tmp_path / "run", extracted))
        assert found.equals(expected)
    assert list(validate(tmp_path / "run")) == []
    manifest = open_run(tmp_path / "run").manifest
    assert manifest.question_file == str(source)
    assert manifest.question_file_sha256 == read_questions(source).sha256


def test_questions_that_are_apart_are_those_of_image_files(tmp_path, questions, extract, extract_shards):
    """First the first question about each image, then all second ones; in batches, and some of the file."""
    found = json.loads((questions / "MME_test.json").read_text())
    mixed = found[::2] + found[1::2]
    (tmp_path / "mixed.json").write_text(json.dumps(mixed))
    write_shards(tmp_path / "data", hub_rows(mixed, questions / "images"), shards=2, group=4)
    flags = ("--batch-size", 4, "--num-samples", len(mixed) - 3)
    assert extract_shards(tmp_path / "data", tmp_path / "shards", *flags) == 0
    options = {"question_file": tmp_path / "mixed.json", "batch_size": 4, "num_samples": len(mixed) - 3}
    assert extract(tmp_path / "files", **options) == 0
    for table in ("heads", "samples"):
        of_shards, of_files = (pd.read_parquet(tmp_path / run / table) for run in ("shards", "files"))
        assert of_shards.equals(of_files)


def test_rows_that_cannot_be_used_are_skipped(tmp_path, extract_shards):
    good = READABLE["rgb"]
    images = [image(good), image(None), {"image": None}, image(b"no image"), image(b""), image(JPEG[:200]), image(good)]
    (source,) = write_shards(tmp_path, [ROW | each for each in images])
    assert extract_shards(source, tmp_path / "run") == 0
    samples = pd.read_parquet(tmp_path / "run" / "samples")
    assert samples["status"].tolist() == ["ok"] + ["skipped"] * 5 + ["ok"]
    assert samples["reason"].tolist()[1:6] == ["image_missing"] * 2 + ["image_unreadable"] * 3
    assert samples["detail"][1] == "row 1 has no image"
    assert samples["detail"][3] == "row 3: not an image in a format that Pillow knows"
    assert samples["image_sha256"][3] == hashlib.sha256(b"no image").hexdigest()
    assert list(validate(tmp_path / "run")) == []


def test_each_row_has_its_own_image_whatever_its_name(tmp_path, extract_shards):
    contents = [READABLE["rgb"], READABLE["palette"], READABLE["rgb"]]
    (source,) = write_shards(tmp_path, [ROW | image(content) for content in contents])
    assert extract_shards(source, tmp_path / "run") == 0
    samples = pd.read_parquet(tmp_path / "run" / "samples")
    assert samples["image_sha256"].tolist() == [hashlib.sha256(content).hexdigest() for content in contents]


def test_names_are_no_paths(tmp_path, extract_shards):
    secret = tmp_path / "secret.png"
    secret.write_bytes(READABLE["palette"])
    names = [str(secret), "../secret.png"]
    rows = [ROW | {"question_id": name} | image(content) for name in names for content in (None, READABLE["rgb"])]
    (source,) = write_shards(tmp_path / "data", rows)
    assert extract_shards(source, tmp_path / "run", "--image-folder", tmp_path) == 0
    samples = pd.read_parquet(tmp_path / "run" / "samples")
    assert samples["reason"].fillna("").tolist() == ["image_missing", ""] * 2
    assert set(samples["image_sha256"].dropna()) == {hashlib.sha256(READABLE["rgb"]).hexdigest()}
    assert samples["image"].tolist() == [name for name in names for _ in range(2)]


def test_names_of_images(tmp_path):
    rows = [ROW | image(b"x", "b.png"), ROW | image(b"x", "b.png"), ROW | image(b"x")]
    for row in rows[1:]:
        row["question_id"] = None
    (source,) = write_shards(tmp_path, rows)
    assert [(sample.image, sample.sample_id) for sample in read_questions(source).samples] == [
        ("a.png", "a.png"),
        ("b.png", "1"),
        ("2", "2"),
    ]


@pytest.mark.parametrize("group", [1, 4, 1000])
def test_bytes_in_any_order(tmp_path, group):
    contents = [bytes([number]) * (number % 7) if number % 5 else None for number in range(23)]
    write_shards(tmp_path, [ROW | image(content) for content in contents], shards=2, group=group)
    found = read_questions(tmp_path).images
    assert isinstance(found, ImageBytes)
    copy = pickle.loads(pickle.dumps(found))
    for order in (range(23), range(22, -1, -1), [3, 3, 4, 20, 5, 0, 11, 12, 22]):
        assert [found[row, 0] for row in order] == [copy[row, 0] for row in order] == [contents[row] for row in order]


def test_a_damaged_image_is_skipped_and_named(tmp_path, extract_shards, rows):
    (source,) = write_shards(tmp_path, rows, group=4)
    column = pq.ParquetFile(source).metadata.row_group(1).column(1)
    assert column.path_in_schema == "image.bytes"
    content = bytearray(source.read_bytes())
    start = column.dictionary_page_offset
    content[start : start + 60] = b"\xff" * 60
    source.write_bytes(content)
    assert extract_shards(source, tmp_path / "run") == 0
    samples = pd.read_parquet(tmp_path / "run" / "samples")
    assert samples["reason"].fillna("").tolist() == [""] * 4 + ["image_unreadable"] * 4 + [""] * (len(rows) - 8)
    assert samples["detail"][5].startswith("row 5: ")


def says(path) -> str:
    with pytest.raises(HeadflowError) as error:
        read_questions(path)
    assert "\n" not in str(error.value)
    assert str(path.parent) in str(error.value)
    return str(error.value)


def test_what_is_wrong_is_said(tmp_path, rows):
    bad = tmp_path / "bad.parquet"
    assert "bad.parquet does not exist" in says(bad)
    bad.write_bytes(b"")
    assert "bad.parquet cannot be read as Parquet" in says(bad)
    bad.write_text("version https://git-lfs.github.com/spec/v1")
    assert "bad.parquet cannot be read as Parquet" in says(bad)
    (good,) = write_shards(tmp_path / "good", rows)
    bad.write_bytes(good.read_bytes()[:-100])
    assert "bad.parquet cannot be read as Parquet" in says(bad)
    bad.write_bytes(good.read_bytes().replace(b"category", b"categor\xff"))
    assert "bad.parquet cannot be read as Parquet" in says(bad)
    table = pq.read_table(good)
    for name in ("image", "question"):
        pq.write_table(table.drop_columns([name]), bad)
        assert f"bad.parquet needs one column `{name}`; it has question_id" in says(bad)
    for column, kind in (([1] * len(rows), "int64"), ([{"path": "a"}] * len(rows), "struct<path: string>")):
        pq.write_table(table.set_column(1, "image", pa.array(column)), bad)
        assert f"the column `image` is {kind}, neither binary nor a struct with binary `bytes`" in says(bad)
    pq.write_table(table.set_column(2, "question", pa.array([["x"]] * len(rows))), bad)
    assert "row 0: `question` is a list, not text" in says(bad)
    pq.write_table(table.slice(0, 0), bad)
    assert "holds no questions" in says(bad)


def test_columns_that_may_be_absent(tmp_path):
    path = tmp_path / "few.parquet"
    kind = pa.struct([("bytes", pa.large_binary())])
    pq.write_table(pa.table({"question": ["Is it?"], "image": pa.array([{"bytes": b"x"}], kind), "more": [1]}), path)
    (sample,) = read_questions(path).samples
    assert (sample.sample_id, sample.image, sample.category, sample.answer) == ("0", "0", "unknown", None)
    assert read_questions(path).images[0, 0] == b"x"


@pytest.mark.parametrize("name", ["image_file", "image", "img"])
def test_a_table_that_names_files(tmp_path, questions, name):
    """As pandas writes the rows of MME_test.json, in one file or several."""
    file = questions / "MME_test.json"
    table = pd.DataFrame(json.loads(file.read_text())).rename(columns={"image_file": name, "question": "text"})
    table["category"] = table["category"].astype("category")
    table.to_parquet(tmp_path / "all.parquet")
    (tmp_path / "parts").mkdir()
    for number in range(2):
        table[number * 10 : (number + 1) * 10 if not number else None].to_parquet(
            tmp_path / "parts" / f"{number}.parquet"
        )
    expected = read_questions(file, questions / "images")
    for source in (tmp_path / "all.parquet", tmp_path / "parts"):
        found = read_questions(source, questions / "images")
        assert (found.samples, found.images) == (expected.samples, expected.images)
    assert read_questions(source).images is None


def test_shards_whose_path_is_not_utf_8(tmp_path, rows):
    folder = tmp_path / os.fsdecode(b"\xe9")
    write_shards(tmp_path / "data", rows, shards=2)
    (tmp_path / "data").rename(folder)
    found = read_questions(folder)
    assert len(found.samples) == len(rows)
    assert [found.images[number, 0] for number in range(len(rows))] == [row["image"]["bytes"] for row in rows]


def test_which_shards(tmp_path, rows):
    paths = write_shards(tmp_path / "data", rows, shards=3)
    (tmp_path / "data" / "._test.parquet").write_bytes(b"")
    (tmp_path / "data" / "notes.txt").write_text("")
    for source in (tmp_path, tmp_path / "data", tmp_path / "data" / "*.parquet", tmp_path / "data" / "test-*"):
        assert find_shards(source) == paths
    assert find_shards(paths[1]) == [paths[1]]
    sha256 = [read_questions(path).sha256 for path in (tmp_path, tmp_path / "data", paths[0])]
    assert sha256[0] == sha256[1] != sha256[2]
    shutil.move(paths[1], tmp_path / "elsewhere.parquet")
    with pytest.raises(HeadflowError, match=r"has 2 of the 3 files test-\*: fetch the rest"):
        find_shards(tmp_path / "data")
    assert find_shards(paths[0]) == [paths[0]]


def test_the_digest_is_of_names_and_contents(tmp_path, rows):
    paths = write_shards(tmp_path, rows, shards=2)
    before = read_questions(tmp_path).sha256
    content = paths[1].read_bytes()
    pq.write_table(pq.read_table(paths[1]), paths[1], compression="none")
    assert read_questions(tmp_path).sha256 != before
    paths[1].write_bytes(content)
    assert read_questions(tmp_path).sha256 == before
    for path in paths:
        path.rename(path.with_name(path.name.replace("test", "val")))
    assert read_questions(tmp_path).sha256 != before


STRUCT = {"bytes": READABLE["rgb"], "path": "a.png"}


@pytest.mark.parametrize("cell", [STRUCT, READABLE["rgb"], [STRUCT], [READABLE["rgb"]]])
def test_an_image_may_be_bytes_or_a_list_of_one(tmp_path, cell):
    """As MMStar of VLMEvalKit's authors and SEED-Bench of lmms-lab have them; also in a column of another name."""
    columns = {"question": ["Is it?", "Is it not?"], "question_id": ["1", "2"], "data_id": ["x", "y"]}
    for name in ("image", "picture"):
        pq.write_table(pa.table(columns | {name: [cell, cell]}), path := tmp_path / f"{name}.parquet")
        found = read_questions(path, columns={} if name == "image" else {"image_file": name})
        assert [sample.image for sample in found.samples] == ["1", "2"]
        assert [sample.images for sample in found.samples] == [("1",), ("2",)]
        contents = [found.images[place] for sample in found.samples for place in found.images.places(sample)]
        assert contents == [READABLE["rgb"]] * 2
        assert found.notes == []
