"""Extraction on a Ray cluster: the rows of one process, whatever is lost on the way."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import contextmanager, nullcontext
from pathlib import Path
from unittest.mock import MagicMock

import pandas as pd
import pytest

from extract.chunks import pool
from extract.chunks.chunk import Done
from extract.settings import Extract
from schemas.files.locations import location
from schemas.files.locks import Lock
from schemas.store.run import open_run
from schemas.validation.run import validate
from schemas.workers.work import LOCAL
from tests.support.ray_cluster import RayHere, actors

CHUNKS = {"num_chunks": 8, "num_workers": 0}
ON_GPU = {"num_cpus": 1, "num_gpus": 1}


@pytest.fixture
def ignored():
    """Ctrl-C does nothing where no command handles it."""
    before = signal.signal(signal.SIGINT, lambda *_: None)
    yield
    signal.signal(signal.SIGINT, before)


@contextmanager
def meanwhile(run: object, *acts: Callable[[], object]):
    """Do something as soon as a run has a ledger, something else as soon as it has another one, and so on."""
    ended = threading.Event()

    def wait() -> None:
        for number, act in enumerate(acts, 1):
            while len(list((location(str(run)) / "chunks").glob("*.json"))) < number:
                if ended.wait(0.2):  # a look at a store takes a while
                    return
            act()

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


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def use(monkeypatch, ray: RayHere) -> RayHere:
    """Let commands use it in the place of Ray."""
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setattr(pool, "connected", lambda *_: nullcontext(ray))
    return ray


def same_rows(run: object, expected: Path) -> bool:
    return all(
        pd.read_parquet(f"{run}/{table}").equals(pd.read_parquet(expected / table)) for table in ("heads", "samples")
    )


@pytest.mark.usefixtures("ignored")
def test_an_actor_is_killed_and_ctrl_c_comes_to_the_next_one(
    extract, ray_address, extracted, store, monkeypatch, capfd
):
    """The run is on an object store; chunks that were begun are gone on with."""
    run = "s3://bucket/run"
    with meanwhile(run, kill_an_actor, interrupt):
        assert extract(run, ray=ray_address, gpus=1, **CHUNKS) == 130
    error = capfd.readouterr().err
    assert "stopping after the current batch" in error
    assert "samples are written to" in error
    assert "the same command resumes it" in error
    stopped = open_run(run)
    assert len(stopped.ledgers) > 1  # of the actor that was killed, and of its successor
    assert not stopped.complete

    use(monkeypatch, RayHere())
    assert extract(run, ray=ray_address, gpus=1, **CHUNKS) == 0
    assert len(open_run(run).ledgers) == 8
    assert list(validate(run)) == []
    assert same_rows(run, extracted)


@pytest.fixture
def in_this_process(monkeypatch):
    """A Ray whose actors are objects of this process."""
    return use(monkeypatch, RayHere())


def test_an_actor_is_lost_and_a_chunk_keeps_failing(extract, in_this_process, extracted, tmp_path, capfd):
    """The run is on a disk. Another actor takes the place of an actor that is lost, and its chunk is run again."""
    run = tmp_path / "run"
    run.mkdir()
    in_this_process.lost = [1]
    lock = Lock(run / ".chunk-00003.lock", "")
    assert extract(run, ray="here", gpus=2, **CHUNKS) == 2
    lock.release()
    called = in_this_process.called("ChunkActor", "run")  # by actor: seven chunks, one of them again, three tries of 3
    assert (called.keys(), called[1], sum(called.values())) == ({0, 1, 2}, 1, 7 + 1 + 3)
    why = f"chunks 3 failed 3 times, the last time chunk 3 with: another process writes chunk 3 of {run}"
    assert why in capfd.readouterr().err
    written = open_run(run)
    assert (written.manifest.num_chunks, written.chunks_complete) == (8, [0, 1, 2, 4, 5, 6, 7])

    assert extract(run, chunk_idx=3, **CHUNKS) == 0
    assert list(validate(run)) == []
    assert same_rows(run, extracted)


def test_as_many_actors_are_started_as_there_are_gpus_or_chunks():
    """Each of them has a GPU, where the cluster has GPUs."""
    settings = Extract(model_path="m", question_file="q", output_dir="o", ray="a", gpus=3)
    for gpus, chunks, each in ((0, 5, [{"num_cpus": 1}] * 3), (2, 5, [ON_GPU] * 2), (4, 2, [ON_GPU] * 2)):
        ray = MagicMock()
        ray.cluster_resources.return_value = {"GPU": gpus}
        make = ray.remote.return_value.options
        make.return_value.remote.side_effect = lambda *_: MagicMock()
        pool.Pool(ray, MagicMock(), pool._resources(ray, settings), range(chunks))
        asked = [call.kwargs for call in make.call_args_list if call.kwargs["max_restarts"] == 0]
        assert asked == [place | {"max_restarts": 0} for place in each]


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
