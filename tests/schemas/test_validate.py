"""Each test breaks one thing in a valid run; the one line must name it."""

import os
import random
import shutil

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.store import writer
from schemas.validation.run import validate
from tests.support.runs import (
    PART,
    edit_json,
    edit_ledger,
    edit_manifest,
    flows,
    put,
    recast,
    rewrite,
    sample,
    start,
    write_run,
)


@pytest.fixture
def with_options(tmp_path):
    return write_run(tmp_path / "run", tables=["contributions"])


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("lead", 9.0, "`lead` is not the difference of `option_logits` in 1 row"),
        ("lead", None, "`lead` is null, or not, in 1 row against `options` and `answer`"),
        ("margin", 9.0, "`margin` is not the difference of `option_logits` in 1 row"),
        ("answer", "No", "`lead` is not the difference of `option_logits` in 1 row"),
        ("answer", "a cat", "`lead` is null, or not, in 1 row"),
        ("options", ["Yes"], "`options` and `option_logits` are not one logit for each option of OCR/0"),
        ("option_logits", [1.0, None], "`options` and `option_logits` are not one logit for each option of OCR/0"),
        ("option_logits", [1.0, float("nan")], "`option_logits` is not finite in 1 row"),
    ],
)
def test_options_margin_and_lead_fit(with_options, name, value, says):
    assert list(validate(with_options)) == []
    rewrite(with_options, "samples", lambda content: put(content, name, 0, value))
    assert says in "\n".join(validate(with_options))


def test_a_valid_run(made_up):
    assert list(validate(made_up)) == []


@pytest.mark.parametrize(
    ("table", "name", "row", "value", "says"),
    [
        ("heads", "t2v", 3, float("nan"), "`t2v` is not finite in 1 row"),
        ("heads", "t2v", 3, None, "`t2v` is null in 1 row"),
        ("heads", "t2v", 3, 1.5, "`t2v` is outside 0..1 in 1 row"),
        ("heads", "t2v", 3, -0.2, "`t2v` is outside 0..1 in 1 row"),
        ("heads", "q2q", 0, 0.999, "the partition q2* does not sum to 1 in 1 row"),
        ("heads", "v2t", 0, 0.0, "v2t is not the sum of its parts in 1 row"),
        (
            "heads",
            "layer",
            0,
            1,
            "lacks rows of OCR/0 (the first has 5 of 6, and none for layer 0, head 0), repeats rows of OCR/0",
        ),
        ("heads", "head", 0, 9, "beyond the manifest's 2 x 3"),
        ("heads", "head", 0, -1, "beyond the manifest's 2 x 3"),
        ("heads", "sample_id", 0, "nobody", "nobody has rows, but is not `ok`"),
        ("heads", "category", 0, "color", "OCR/0 has another category"),
        ("samples", "status", 0, "skipped", "OCR/0 has rows, but is not `ok`"),
        ("samples", "status", 0, "skipped", "without a reason of the contract: OCR/0"),
        ("samples", "status", 0, "fine", "neither `ok` nor `skipped` for OCR/0"),
        ("samples", "sample_id", 1, "OCR/0", "`sample_id` is not unique: OCR/0"),
        ("samples", "sample_id", 0, "late", "late is `ok` in `samples`, but has no rows"),
        ("samples", "p_yes", 0, 1.5, "`p_yes` is outside 0..1"),
        ("samples", "margin", 0, float("inf"), "`margin` is not finite in 1 row"),
        ("samples", "boxes", 0, [[1.0, 2.0]], "`boxes` has 1 rectangle that is not [x0, y0, x1, y1]"),
        ("samples", "boxes", 0, [[5.0, 2.0, 1.0, 9.0]], "`boxes` has 1 rectangle that is not [x0, y0, x1, y1]"),
        ("samples", "boxes", 0, [[1.0, 2.0, 3.0, float("nan")]], "`boxes` is not finite in 1 row"),
        ("samples", "prompt", 0, "short", "`prompt` names wordings that run.json does not have: short"),
        ("samples", "n_image", 0, -3, "`n_image` is outside 0 or more in 1 row (-3 to 576)"),
        ("samples", "category", 0, None, "`category` is null"),
    ],
)
def test_a_wrong_value(made_up, table, name, row, value, says):
    rewrite(made_up, table, lambda content: put(content, name, row, value))
    assert says in "\n".join(validate(made_up))


@pytest.mark.parametrize(("dtype", "error", "valid"), [
    ("float32", 5e-5, False), ("float16", 5e-5, True), ("bfloat16", 5e-5, True), ("float16", 2e-3, False),
])  # fmt: skip
def test_partitions_sum_to_1_as_well_as_the_dtype_allows(made_up, dtype, error, valid):
    edit_manifest(made_up, dtype=dtype)
    value = pd.read_parquet(made_up / "heads")["q2q"][0]
    rewrite(made_up, "heads", lambda content: put(content, "q2q", 0, value + error))
    assert ("the partition q2* does not sum to 1 in 1 row" in "\n".join(validate(made_up))) != valid


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda table: table.drop_columns(["a2q"]), "the column `a2q` is missing"),
        (lambda table: recast(table, "t2v", pa.string()), "`t2v` has type string, not float"),
        (lambda table: table.append_column("t2v", table["t2v"]), "has 2 columns `t2v`"),
        (lambda table: table.slice(0, 54), "has 54 rows, its ledger says 60"),
    ],
    ids=["lacks a column", "wrong type", "one twice", "lacks rows"],
)
def test_a_wrong_table(made_up, change, says):
    rewrite(made_up, "heads", change)
    assert says in "\n".join(validate(made_up))


def test_samples_in_another_part(tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "ROWS_PER_PART", 30)
    run = write_run(tmp_path / "run")
    first, second = (run / "heads" / f"part-00000-0000{number}.parquet" for number in range(2))
    for one, other in ((first, run / "aside"), (second, first), (run / "aside", second)):
        one.rename(other)
    problems = "\n".join(validate(run))
    assert (
        f"color/0#2, color/1, color/1#2, color/2, color/2#2 has its row of `samples` in another part than {first.name}"
        in problems
    )


@pytest.mark.parametrize("table", ["heads", "samples"])
def test_what_an_unreadable_part_has_is_not_guessed(made_up, table):
    (made_up / table / PART).write_bytes(b"")
    assert len(list(validate(made_up))) == 1


def test_files(made_up):
    shutil.copy(made_up / "heads" / PART, made_up / "heads" / "part-00000-00007.parquet")
    assert "no ledger names: part-00000-00007.parquet" in "\n".join(validate(made_up))
    (made_up / "heads" / PART).unlink()
    assert f"{PART} is missing: its ledger names it" in "\n".join(validate(made_up))
    shutil.rmtree(made_up / "heads")
    assert f"{made_up / 'heads'}" in "\n".join(validate(made_up))


@pytest.mark.parametrize("content", [b"", b"not parquet", b"PAR1" + bytes(100) + b"PAR1"])
def test_a_part_that_is_not_parquet(made_up, content):
    (made_up / "heads" / PART).write_bytes(content)
    problems = list(validate(made_up))
    assert any("cannot be read as Parquet" in line for line in problems)
    assert all("\n" not in line for line in problems)


def test_a_run_whose_path_is_not_utf_8(made_up):
    """As any path but of ASCII is where the locale is C and Python's UTF-8 mode is off."""
    odd = made_up.parent / os.fsdecode(b"run-\xe9")
    made_up.rename(odd)
    assert list(validate(odd)) == []


def test_a_truncated_part(made_up):
    whole = (made_up / "heads" / PART).read_bytes()
    (made_up / "heads" / PART).write_bytes(whole[: len(whole) // 2])
    assert "cannot be read as Parquet" in "\n".join(validate(made_up))


def test_a_part_with_damaged_pages(made_up):
    whole = bytearray((made_up / "heads" / PART).read_bytes())
    whole[100:400] = bytes(300)
    (made_up / "heads" / PART).write_bytes(whole)
    assert list(validate(made_up))


def test_the_manifest_and_the_ledger(made_up):
    edit_ledger(made_up, state="running")
    assert "the run is not complete" in "\n".join(validate(made_up))
    edit_ledger(made_up, state="complete", samples=11)
    assert "is complete with 10 samples, and 11 were asked for" in "\n".join(validate(made_up))
    edit_manifest(made_up, flows=["t2v", "colour"])
    assert "not in the contract: colour" in "\n".join(validate(made_up))


def test_what_is_no_run(made_up, tmp_path):
    (made_up / "run.json").unlink()
    assert list(validate(made_up)) == [f"{made_up} has no run.json: it has parts, but its manifest is gone"]
    (tmp_path / "empty").mkdir()
    assert list(validate(tmp_path / "empty")) == [f"{tmp_path / 'empty'} has no run.json: it is not a run"]
    assert "does not exist" in next(validate(tmp_path / "nowhere"))
    (tmp_path / "file").write_text("")
    assert "is not a directory" in next(validate(tmp_path / "file"))


def test_bits_that_flipped_on_the_disk(made_up):
    """Each page has its checksum: what is read is what was written, or nothing is."""
    part = made_up / "heads" / PART
    whole, content, bits = pq.read_table(part), part.read_bytes(), random.Random(0)
    group, noticed = pq.ParquetFile(part).metadata.row_group(0), 0
    for _ in range(200):
        column = group.column(bits.randrange(group.num_columns))
        place = column.data_page_offset + bits.randrange(column.total_compressed_size)
        broken = bytearray(content)
        broken[place] ^= 1 << bits.randrange(8)
        part.write_bytes(broken)
        if "cannot be read" in "\n".join(validate(made_up)):
            noticed += 1
        else:
            assert pq.read_table(part).equals(whole)
    assert noticed > 150


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"weights": "b"}, "computed with 2 different sets of weights"),
        (
            {"images": {"OCR/0.png": "1:b", "OCR/1.png": "1:c"}},
            "chunk 1 was computed on other images of",
        ),
        ({"samples_in_run": 20}, "chunks are parts of 4, 20 samples"),
    ],
)
def test_chunks_that_do_not_fit_each_other(tmp_path, change, says):
    images = {"OCR/0.png": "1:a", "OCR/1.png": "1:a"}
    for chunk in range(2):
        options = {"chunk": chunk, "samples_in_run": 4, "weights": "a", "images": images}
        writer = start(tmp_path / "run", 2, fields={"num_chunks": 2}, **options)
        for number in range(2):
            row = sample(2 * chunk + number, "OCR")
            writer.add(row, {"heads": flows(np.random.default_rng(number), 2, 3)})
        writer.finish()
    assert list(validate(tmp_path / "run")) == []
    edit_json(tmp_path / "run" / "chunks" / "00001.json", **change)
    (problem,) = validate(tmp_path / "run")
    assert says in problem
