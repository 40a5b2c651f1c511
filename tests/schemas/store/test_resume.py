"""Oracle: the run that was never interrupted, row for row."""

import errno
import itertools
import os
import signal
import time
from contextlib import closing

import numpy as np
import pandas as pd
import pytest

from schemas.columns import TABLES
from schemas.errors import HeadflowError
from schemas.manifest import Manifest
from schemas.store import locks as locks_module
from schemas.store import writer as writer_module
from schemas.store.run import open_run
from schemas.store.validate import validate
from schemas.store.writer import RunWriter
from tests.support.runs import flows, manifest, sample

NUMBER = 10


def write(path, *, stop: int | None = None, skipped=(), **options) -> RunWriter:
    """Write the samples that are not there yet, up to one of them; None: to the end."""
    random = np.random.default_rng(0)
    values = [flows(random, 2, 3) for _ in range(NUMBER)]
    chunk = options.get("chunk", 0)
    settings = manifest(samples=NUMBER, num_chunks=options.pop("num_chunks", 1))
    writer = RunWriter(path, settings, **options)
    for number in range(NUMBER)[:stop]:
        row = sample(number, "OCR")
        if row["sample_id"] in writer.done or number % settings.num_chunks != chunk:
            continue
        if number in skipped:
            writer.skip({"sample_id": row["sample_id"], "category": "OCR"}, "image_missing", "gone")
        else:
            writer.add(row, values[number])
    if stop is None:
        writer.finish()
    return writer


def tables(path) -> list[pd.DataFrame]:
    return [pd.read_parquet(path / table) for table in TABLES]


@pytest.fixture
def whole(tmp_path):
    write(tmp_path / "whole")
    return tmp_path / "whole"


def leave(path, **options) -> None:
    """Write some of a run in another process, which is killed before the rest is on the disk."""
    child = os.fork()
    if not child:
        write(path, **options)._wait()
        os.kill(os.getpid(), signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL


@pytest.mark.parametrize("stop", range(NUMBER))
def test_a_run_goes_on_where_it_was_left(tmp_path, whole, monkeypatch, stop):
    monkeypatch.setattr(writer_module, "ROWS_PER_PART", 12)  # two samples
    run = tmp_path / "run"
    leave(run, stop=stop)
    assert open_run(run).manifest.state == "running"
    writer = write(run)
    assert len(writer.done) == stop - stop % 2
    assert list(validate(run)) == []
    for found, expected in zip(tables(run), tables(whole), strict=True):
        assert found.equals(expected)


def test_a_run_that_is_complete_stays_as_it_is(whole):
    before = [file.stat().st_mtime_ns for table in TABLES for file in (whole / table).iterdir()]
    assert len(write(whole).done) == NUMBER
    assert [file.stat().st_mtime_ns for table in TABLES for file in (whole / table).iterdir()] == before
    assert open_run(whole).manifest.state == "complete"


def test_a_sample_that_is_there_is_not_written_twice(whole):
    with closing(RunWriter(whole, manifest(samples=NUMBER))) as writer, pytest.raises(ValueError, match="already"):
        writer.add(sample(0, "OCR"), flows(np.random.default_rng(0), 2, 3))
    assert list(validate(whole)) == []


def test_what_a_killed_writer_left_is_removed(tmp_path, whole):
    run = tmp_path / "run"
    leave(run, stop=4)
    for table in TABLES:
        (run / table / "part-00000.parquet").write_bytes(b"not listed yet")
        (run / table / ".part-00000.parquet.tmp").write_bytes(b"half")
    write(run)
    assert list(validate(run)) == []
    assert sorted(file.name for file in (run / "heads").iterdir()) == ["part-00000.parquet"]
    for found, expected in zip(tables(run), tables(whole), strict=True):
        assert found.equals(expected)


@pytest.mark.parametrize(
    "field", ["model", "revision", "dtype", "conv_mode", "question_file_sha256", "layers", "samples"]
)
def test_another_run_is_refused(whole, field):
    asked = manifest(samples=NUMBER)
    other = 7 if field in ("layers", "samples") else "another"
    setattr(asked, field, other)
    found = getattr(manifest(samples=NUMBER), field)
    with pytest.raises(HeadflowError) as error:
        RunWriter(whole, asked)
    assert str(error.value) == (
        f"{whole} holds another run: its {field} is {found!r}, this command's is {other!r}; "
        "choose another directory, or say --overwrite"
    )
    assert list(validate(whole)) == []


def test_a_second_writer_is_refused(tmp_path):
    first = write(tmp_path / "run", stop=3)
    with pytest.raises(HeadflowError, match="another process writes"):
        write(tmp_path / "run")
    first.flush()
    first.close()
    write(tmp_path / "run")
    assert list(validate(tmp_path / "run")) == []


def test_a_lock_ends_with_its_owner_and_not_with_its_owner_s_children(tmp_path):
    read, write_end = os.pipe()
    owner = os.fork()
    if not owner:
        writer = write(tmp_path / "run", stop=3)
        child = os.fork()
        if not child:
            time.sleep(60)
            os._exit(0)
        os.write(write_end, f"{child}\n".encode())
        writer._wait()
        time.sleep(60)
        os._exit(0)
    child = int(os.read(read, 20))
    try:
        with pytest.raises(HeadflowError, match="another process writes"):
            write(tmp_path / "run")
        os.kill(owner, signal.SIGKILL)
        os.waitpid(owner, 0)
        os.kill(child, 0)  # is there still
        write(tmp_path / "run")
    finally:
        os.kill(child, signal.SIGKILL)
    assert list(validate(tmp_path / "run")) == []


def test_where_files_cannot_be_locked_that_is_said_once(tmp_path, whole, monkeypatch, capsys):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(writer_module, "ROWS_PER_PART", 6)
    monkeypatch.setattr(locks_module.fcntl, "flock", refuse)
    write(tmp_path / "run")
    assert capsys.readouterr().err == (
        f"warning: {tmp_path / 'run'} lies where files cannot be locked: write it from one process\n"
    )
    assert list(validate(tmp_path / "run")) == []


def test_a_writer_that_could_not_start_holds_nothing(whole):
    for _ in range(2):
        with pytest.raises(HeadflowError, match="holds another run"):
            RunWriter(whole, manifest(samples=3))
    write(whole)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_chunks_make_the_whole(tmp_path, whole, order):
    run = tmp_path / "run"
    for place, chunk in enumerate(order):
        write(run, chunk=chunk, num_chunks=3)
        assert open_run(run).manifest.chunks_complete == sorted(order[: place + 1])
        assert open_run(run).manifest.state == ("complete" if place == 2 else "running")
    assert list(validate(run)) == []
    for found, expected in zip(tables(run), tables(whole), strict=True):
        keys = [name for name in ("sample_id", "layer", "head") if name in found]
        by_name = (table.astype({"sample_id": str}).sort_values(keys, ignore_index=True) for table in (found, expected))
        assert next(by_name).equals(next(by_name))


def test_chunks_at_once(tmp_path, whole, monkeypatch):
    monkeypatch.setattr(writer_module, "ROWS_PER_PART", 6)
    run = tmp_path / "run"
    children = []
    for chunk in range(4):
        children.append(os.fork())
        if not children[-1]:
            try:
                write(run, chunk=chunk, num_chunks=4)
                os._exit(0)
            except BaseException:
                os._exit(1)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    assert open_run(run).manifest.state == "complete"
    assert list(validate(run)) == []
    assert len(pd.read_parquet(run / "heads")) == NUMBER * 6


def test_skipped_samples_are_tried_again(tmp_path, whole, monkeypatch):
    monkeypatch.setattr(writer_module, "ROWS_PER_PART", 12)
    run = tmp_path / "run"
    write(run, skipped=(0, 1, 2, 5))
    assert len(write(run).done) == NUMBER  # not unasked
    writer = write(run, retry_skipped=True)
    assert len(writer.done) == NUMBER - 4
    assert list(validate(run)) == []
    found, expected = (pd.read_parquet(each / "samples").set_index("sample_id") for each in (run, whole))
    assert found.loc[expected.index].equals(expected)
    listed = {part.name for part in open_run(run).manifest.parts}
    assert {file.name for file in (run / "heads").iterdir()} == listed


def test_a_manifest_that_is_gone_is_no_reason_to_remove_parts(whole):
    (whole / "run.json").unlink()
    with pytest.raises(HeadflowError, match="it has parts, but its manifest is gone"):
        write(whole)
    assert len(pd.read_parquet(whole / "heads")) == NUMBER * 6
    write(whole, overwrite=True)
    assert list(validate(whole)) == []


def test_every_field_that_decides_numbers_is_held():
    from schemas.store.identity import IDENTITY

    free = {"state", "schema_version", "device", "batch_size", "question_file", "git_commit", "started", "finished"}
    free |= {"versions", "arguments", "parts", "chunks_complete"}
    assert set(IDENTITY) | free == set(Manifest.__dataclass_fields__)
