"""Oracle: what went in, compared with what pandas and pyarrow read back."""

import hashlib
import json
import os
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.columns import FLOW_NAMES, SAMPLES, heads_columns
from schemas.errors import HeadflowError
from schemas.files.writing import write_text_once, write_whole
from schemas.store import directory
from schemas.store import part_files as parts_module
from schemas.store import writer as writer_module
from schemas.store.directory import OUTPUTS, record_outputs, refuse_foreign_parquet, refuse_other_files
from schemas.store.run import open_run
from schemas.validation.run import validate
from tests.support.runs import LEDGER, PART, edit_ledger, flows, sample, start, write_run

NAMES = ["sample_id", "category", "layer", "head", *FLOW_NAMES]


def test_pandas_reads_the_contract(made_up):
    heads = pd.read_parquet(made_up / "heads")
    assert list(heads.columns) == NAMES
    assert [str(kind) for kind in heads.dtypes] == ["category"] * 2 + ["int16"] * 2 + ["float32"] * 17
    assert len(heads) == 10 * 2 * 3
    assert list(pd.read_parquet(made_up / "samples").columns) == [column.name for column in SAMPLES]


def test_arrow_types_and_nullability(made_up):
    schema = pq.read_schema(made_up / "heads" / PART)
    categorical = pa.dictionary(pa.int32(), pa.string())
    assert schema.types == [categorical] * 2 + [pa.int16()] * 2 + [pa.float32()] * 17
    assert not any(field.nullable for field in schema)
    nullable = {
        field.name for field in pq.read_schema(made_up / "samples" / "part-00000-00000.parquet") if field.nullable
    }
    assert nullable == {column.name for column in SAMPLES} - {"sample_id", "category", "status"}


def test_a_file_and_its_name_are_flushed_in_this_order(tmp_path, monkeypatch):
    """What a ledger names is on the disk, whatever happens to the machine then."""
    seen = []

    def flush(file):
        number = file if isinstance(file, int) else file.fileno()
        seen.append((str(Path(f"/proc/self/fd/{number}").readlink()), (tmp_path / "part").exists()))

    monkeypatch.setattr(os, "fsync", flush)
    write_whole(tmp_path / "part", b"content")
    assert seen == [(f"{tmp_path}/.part.tmp", False), (str(tmp_path), True)]
    seen.clear()
    assert write_text_once(tmp_path / "run.json", "{}", 3)
    assert [path for path, _ in seen] == [f"{tmp_path}/.run.json.00003.tmp", str(tmp_path)]


def test_values_come_back_to_the_bit(tmp_path):
    values = flows(np.random.default_rng(0), 2, 3)
    run = start(tmp_path / "run", 1)
    run.add(sample(0, "OCR"), {"heads": values})
    run.finish()
    heads = pd.read_parquet(tmp_path / "run" / "heads")
    assert (heads[list(FLOW_NAMES)].to_numpy() == values.reshape(6, 17)).all()
    assert heads["layer"].tolist() == [0, 0, 0, 1, 1, 1]
    assert heads["head"].tolist() == [0, 1, 2, 0, 1, 2]


def test_parts_equal_the_whole(tmp_path, monkeypatch):
    whole = write_run(tmp_path / "whole")
    monkeypatch.setattr(writer_module, "ROWS_PER_PART", 12)
    parts = write_run(tmp_path / "parts")
    assert len(list((parts / "heads").iterdir())) == 5
    assert list(validate(parts)) == []
    for table in ("heads", "samples"):
        assert pd.read_parquet(parts / table).equals(pd.read_parquet(whole / table))
    assert isinstance(pd.read_parquet(parts / "heads")["sample_id"].dtype, pd.CategoricalDtype)


def test_a_reader_sees_whole_parts_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(writer_module, "ROWS_PER_PART", 12)
    run = start(tmp_path / "run", 5)
    random = np.random.default_rng(0)
    for number in range(3):
        run.add(sample(number, "OCR"), {"heads": flows(random, 2, 3)})
    until = time.monotonic() + 60
    while not (ledger := json.loads((tmp_path / "run" / LEDGER).read_text()))["parts"] and time.monotonic() < until:
        time.sleep(0.01)  # the part is written meanwhile
    assert ledger["state"] == "running"
    assert len(pd.read_parquet(tmp_path / "run" / "heads")) == 12
    assert open_run(tmp_path / "run").parts[0].rows == {"heads": 12, "samples": 2}


def test_skipped_samples_have_a_row_and_no_flows(tmp_path):
    run = start(tmp_path / "run", 2)
    run.skip({"sample_id": "a", "category": "OCR"}, "image_missing", "a.png does not exist")
    run.add(sample(0, "OCR"), {"heads": flows(np.random.default_rng(0), 2, 3)})
    run.finish()
    samples = pd.read_parquet(tmp_path / "run" / "samples").set_index("sample_id")
    assert samples.loc["a", "reason"] == "image_missing"
    assert pd.isna(samples.loc["a", "n_image"])
    assert len(pd.read_parquet(tmp_path / "run" / "heads")) == 6
    assert list(validate(tmp_path / "run")) == []


def test_a_run_with_nothing_but_skipped_samples(tmp_path):
    run = start(tmp_path / "run", 1)
    run.skip({"sample_id": "a", "category": "OCR"}, "image_missing", "gone")
    run.finish()
    assert list(pd.read_parquet(tmp_path / "run" / "heads").columns) == NAMES
    assert list(validate(tmp_path / "run")) == []


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_never_written(tmp_path, bad):
    values = flows(np.random.default_rng(0), 2, 3)
    values[1, 2, 3] = bad
    with pytest.raises(ValueError, match="finite"):
        start(tmp_path / "run", 0).add(sample(0, "OCR"), {"heads": values})


def test_flows_of_another_shape_and_unknown_reasons_are_refused(tmp_path):
    run = start(tmp_path / "run", 0)
    with pytest.raises(ValueError, match="shape"):
        run.add(sample(0, "OCR"), {"heads": np.zeros((3, 2, 17), np.float32)})
    with pytest.raises(ValueError, match="reason"):
        run.skip(sample(0, "OCR"), "because", "")


@pytest.mark.parametrize("place", ["heads", "jobs/some/where"])
def test_a_run_in_a_run_is_refused_before_anything_is_made(made_up, place):
    before = sorted(made_up.rglob("*"))
    with pytest.raises(HeadflowError, match=f"/{place} lies in the run .*/made_up, "):
        start(made_up / place, 1)  # `write_run` copies runs
    assert sorted(made_up.rglob("*")) == before


def test_a_folder_with_a_run_json_of_another_tool_may_hold_runs(tmp_path):
    (tmp_path / "run.json").write_text('{"name": "another tool"}')
    assert list(validate(write_run(tmp_path / "run"))) == []


def test_a_run_is_not_overwritten_unasked(made_up):
    (made_up / "notes.txt").write_text("mine")
    (made_up / "samples" / "mine.csv").write_text("mine")
    with pytest.raises(HeadflowError, match="its dtype is None, this command's is 'bfloat16'"):
        start(made_up, 3, fields={"dtype": "bfloat16"})
    start(made_up, 0, fields={"dtype": "bfloat16"}, overwrite=True).finish()
    assert list((made_up / "heads").iterdir()) == []
    assert (made_up / "notes.txt").read_text() == (made_up / "samples" / "mine.csv").read_text() == "mine"


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_directory_that_is_no_run_keeps_its_files(tmp_path, overwrite):
    (tmp_path / "run" / "samples").mkdir(parents=True)
    (tmp_path / "run" / "samples" / "mine.csv").write_text("mine")
    start(tmp_path / "run", 0, overwrite=overwrite).finish()
    assert (tmp_path / "run" / "samples" / "mine.csv").read_text() == "mine"
    shutil.copytree(tmp_path / "run" / "samples", tmp_path / "other" / "samples")
    (tmp_path / "other" / "samples" / "mine.parquet").write_bytes(b"mine")
    with pytest.raises(HeadflowError, match=r"has Parquet files in samples/, but no run\.json"):
        start(tmp_path / "other", 0, overwrite=overwrite)
    assert (tmp_path / "other" / "samples" / "mine.parquet").read_bytes() == b"mine"


def test_a_run_that_another_process_begins_meanwhile_is_no_other_file(made_up, tmp_path, monkeypatch):
    """Right after the first look that finds no run, the other process has written one."""
    holds_run = directory.holds_run

    def begun_meanwhile(path):
        found = holds_run(path)
        if not found:
            shutil.copytree(made_up, path, dirs_exist_ok=True)
        return found

    monkeypatch.setattr(directory, "holds_run", begun_meanwhile)
    (tmp_path / "run").mkdir()
    refuse_other_files(tmp_path / "run")
    refuse_foreign_parquet(made_up)


@pytest.mark.parametrize("names", [["run.json"], ["chunks/00001.json"], ["run.json", "chunks/00001.json"]])
@pytest.mark.parametrize("content", ['{"name": "of another tool"}', "no JSON", '{"schema_version": 2}', "[]", ""])
def test_files_of_another_tool_under_a_run_s_names_are_never_removed(tmp_path, names, content):
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    with pytest.raises(HeadflowError, match=r"was not written by headflow, so .* choose another directory") as error:
        start(tmp_path, 0, overwrite=True)
    assert error.value.setting == "output_dir"
    assert [(tmp_path / name).read_text() for name in names] == [content] * len(names)


def test_parts_of_tables_that_only_a_ledger_knows_are_removed(made_up):
    (made_up / "thoughts").mkdir()
    (made_up / "thoughts" / PART).write_bytes(b"of a later version")
    (made_up / "thoughts" / "mine.parquet").write_bytes(b"mine")
    (made_up / "mine").mkdir()
    (made_up / "mine" / PART).write_bytes(b"mine")
    ledger = json.loads((made_up / LEDGER).read_text())
    ledger["parts"][0]["rows"]["thoughts"] = 7
    edit_ledger(made_up, parts=[*ledger["parts"], "damaged", {"rows": {"../mine": 1}}])
    start(made_up, 0, overwrite=True).finish()
    assert {str(file.relative_to(made_up)) for file in made_up.rglob("*.parquet")} == {
        "thoughts/mine.parquet",
        f"mine/{PART}",
    }


def test_what_was_made_from_a_run_goes_with_it(made_up, tmp_path):
    files = {name: made_up / name for name in ("a.png", "of/b.csv", "changed.csv", "gone.csv", "mine.csv")}
    for name, file in files.items():
        file.parent.mkdir(exist_ok=True)
        file.write_text(name)
    (tmp_path / "elsewhere.csv").write_text("elsewhere")
    record_outputs(made_up, [files["a.png"], files["changed.csv"]])
    record_outputs(made_up, [files["of/b.csv"], files["gone.csv"], tmp_path / "elsewhere.csv"])
    files["changed.csv"].write_text("mine")
    files["gone.csv"].unlink()
    start(made_up, 0, overwrite=True).finish()
    assert sorted(file.name for file in made_up.glob("*.*")) == sorted(
        [".chunk-00000.lock", "changed.csv", "mine.csv", "run.json"]
    )
    assert (tmp_path / "elsewhere.csv").exists()
    assert not (made_up / "of").exists()


@pytest.mark.parametrize(
    "content",
    ['{"../elsewhere.csv": "HASH", "": "HASH", "..": "HASH", "link/elsewhere.csv": "HASH"}', "no JSON", "[1]"],
)
def test_a_record_of_outputs_that_was_tampered_with(made_up, content):
    other = made_up.parent / "elsewhere.csv"
    other.write_text("mine")
    (made_up / "link").symlink_to(other.parent)
    digest = hashlib.sha256(b"mine").hexdigest()
    (made_up / OUTPUTS).write_text(content.replace("HASH", digest))
    start(made_up, 0, overwrite=True).finish()
    assert other.read_text() == "mine"


def test_a_sample_that_was_lost_on_the_way_is_not_complete(tmp_path):
    run = start(tmp_path / "run", 3)
    for number in (0, 2):
        run.add(sample(number, "OCR"), {"heads": flows(np.random.default_rng(0), 2, 3)})
    with pytest.raises(ValueError, match="in the run already"):
        run.add(sample(0, "OCR"), {"heads": flows(np.random.default_rng(0), 2, 3)})
    with pytest.raises(RuntimeError, match="2 of 3 samples"):
        run.finish()
    assert not open_run(tmp_path / "run").complete


def test_unwritable_places(tmp_path):
    (tmp_path / "file").write_text("")
    for path, says in (("file", "is a file"), ("file/run", "cannot write")):
        with pytest.raises(HeadflowError, match=says):
            start(tmp_path / path, 0)
    with pytest.raises(HeadflowError, match="cannot write"):
        start(tmp_path.__class__("/proc/run"), 0)


def test_heads_of_an_imported_run_have_two_flows():
    assert [column.name for column in heads_columns(["v2t", "t2v"])] == NAMES[:6]


def test_an_error_while_a_part_is_written_is_raised(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    run = start(tmp_path / "run", 2)
    monkeypatch.setattr(parts_module.pq, "write_table", full)
    run.add(sample(0, "OCR"), {"heads": flows(np.random.default_rng(0), 2, 3)})
    with pytest.raises(HeadflowError, match="No space left on device; what was written before stays, and the same"):
        run.finish()
    assert not open_run(tmp_path / "run").complete


def test_a_part_of_which_one_table_cannot_be_written_leaves_no_other(tmp_path, monkeypatch):
    write_table = parts_module.write_table

    def full(path, content):
        if path.parent.name == "heads":
            raise OSError(28, "No space left on device")
        write_table(path, content)

    monkeypatch.setattr(parts_module, "write_table", full)
    run = start(tmp_path / "run", 1)
    run.add(sample(0, "OCR"), {"heads": flows(np.random.default_rng(0), 2, 3)})
    with pytest.raises(HeadflowError, match="No space left on device"):
        run.finish()
    assert list((tmp_path / "run" / "samples").glob("*.parquet")) == []


@pytest.mark.parametrize("anew", [False, True])
def test_a_directory_that_is_removed_under_the_run(tmp_path, anew):
    run = start(tmp_path / "run", 2)
    run.add(sample(0, "OCR"), {"heads": flows(np.random.default_rng(0), 2, 3)})
    run.flush()
    shutil.rmtree(tmp_path / "run")
    if anew:
        other = start(tmp_path / "run", 2)
    run.add(sample(1, "OCR"), {"heads": flows(np.random.default_rng(1), 2, 3)})
    with pytest.raises(HeadflowError, match="run was removed while it was written; the same command starts anew"):
        run.finish()
    run.close()
    assert (tmp_path / "run").exists() == anew
    if anew:  # nothing of the first run is in the second
        for number in range(2):
            other.add(sample(number, "OCR"), {"heads": flows(np.random.default_rng(number), 2, 3)})
        other.finish()
        assert list(validate(tmp_path / "run")) == []


def test_parts_are_written_while_the_next_is_gathered(tmp_path, monkeypatch):
    monkeypatch.setattr(writer_module, "ROWS_PER_PART", 6)
    resume = threading.Event()
    write = parts_module.pq.write_table

    def slowly(*arguments, **options):
        assert resume.wait(60)
        write(*arguments, **options)

    monkeypatch.setattr(parts_module.pq, "write_table", slowly)
    run = start(tmp_path / "run", 2)
    values = [flows(np.random.default_rng(seed), 2, 3) for seed in range(2)]
    run.add(sample(0, "OCR"), {"heads": values[0]})  # full: handed over, and not waited for
    resume.set()
    run.add(sample(1, "OCR"), {"heads": values[1]})
    run.finish()
    heads = pd.read_parquet(tmp_path / "run" / "heads")
    assert (heads[list(FLOW_NAMES)].to_numpy() == np.stack(values).reshape(12, 17)).all()
    assert list(validate(tmp_path / "run")) == []
