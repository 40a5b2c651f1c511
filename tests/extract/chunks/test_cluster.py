"""Extraction on a Ray cluster: the rows of one process, whatever is lost on the way."""

import os
import signal
import threading
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest

from extract.chunks import pool
from extract.chunks.chunk import Done
from schemas.files.locations import location
from schemas.files.locks import Lock
from schemas.store.run import open_run
from schemas.validation.run import validate
from schemas.workers.work import LOCAL
from tests.support.ray_cluster import actors

CHUNKS = {"num_chunks": 8, "num_workers": 0}


@pytest.fixture
def ignored():
    """Ctrl-C does nothing where no command handles it."""
    before = signal.signal(signal.SIGINT, lambda *_: None)
    yield
    signal.signal(signal.SIGINT, before)


@contextmanager
def meanwhile(run: object, act: Callable[[], object]):
    """Do something as soon as a run has a ledger."""

    ended = threading.Event()

    def wait() -> None:
        while not ended.wait(0.1):  # a look at a store takes a while
            if list((location(str(run)) / "chunks").glob("*.json")):
                act()
                return

    thread = threading.Thread(target=wait)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def kill_an_actor() -> None:
    (killed, *_) = actors("ChunkActor")
    os.kill(killed, signal.SIGKILL)


def kill_an_actor_and_interrupt() -> None:
    kill_an_actor()
    os.kill(os.getpid(), signal.SIGINT)


def same_rows(run: object, expected: Path) -> bool:
    return all(
        pd.read_parquet(f"{run}/{table}").equals(pd.read_parquet(expected / table)) for table in ("heads", "samples")
    )


def test_an_actor_is_killed_and_a_chunk_keeps_failing(extract, ray_address, extracted, tmp_path, capfd):
    """The run is on a disk. Another actor goes on with the chunk after one is killed."""
    run = tmp_path / "run"
    run.mkdir()
    lock = Lock(run / ".chunk-00003.lock", "")
    with meanwhile(run, kill_an_actor):
        assert extract(run, ray=ray_address, gpus=2, **CHUNKS) == 2
    lock.release()
    why = f"chunks 3 failed 3 times, the last time chunk 3 with: another process writes chunk 3 of {run}"
    assert why in capfd.readouterr().err
    written = open_run(run)
    assert (written.manifest.num_chunks, written.chunks_complete) == (8, [0, 1, 2, 4, 5, 6, 7])

    assert extract(run, chunk_idx=3, **CHUNKS) == 0
    assert list(validate(run)) == []
    assert same_rows(run, extracted)


@pytest.mark.usefixtures("ignored")
def test_ctrl_c_after_an_actor_was_killed(extract, ray_address, extracted, store, capfd):
    """The run is on an object store; chunks that were begun are gone on with."""
    run, chunks = "s3://bucket/run", CHUNKS | {"num_chunks": 4}
    with meanwhile(run, kill_an_actor_and_interrupt):
        assert extract(run, ray=ray_address, gpus=1, **chunks) == 130
    error = capfd.readouterr().err
    assert "stopping after the current batch" in error
    assert "samples are written to" in error
    assert "the same command resumes it" in error
    assert not open_run(run).complete

    for chunk in range(4):
        assert extract(run, chunk_idx=chunk, **chunks) == 0
    assert len(open_run(run).ledgers) == 4
    assert list(validate(run)) == []
    assert same_rows(run, extracted)


def test_without_an_address_a_cluster_is_started(extract, tmp_path, monkeypatch):
    addresses = []
    monkeypatch.setattr(pool, "run_on_cluster", lambda _, address: addresses.append(address) or Done(0, unchanged=True))
    assert extract(tmp_path / "run", ray=True) == 0
    assert extract(tmp_path / "run", ray="auto") == 0
    assert addresses == [LOCAL, "auto"]


def test_flags_that_contradict_each_other(extract, tmp_path, capsys):
    assert extract(tmp_path / "run", gpus=2) == 2
    assert "without `ray` it does nothing; see --gpus" in capsys.readouterr().err
    assert extract(tmp_path / "run", ray="local", num_chunks=4, chunk_idx=2) == 2
    assert "all chunks run on the cluster: name none; see --chunk-idx" in capsys.readouterr().err


def test_no_cluster_at_the_address(extract, tmp_path, capsys):
    assert extract(tmp_path / "run", ray="127.0.0.1:1") == 2
    assert "no Ray cluster at 127.0.0.1:1" in capsys.readouterr().err
