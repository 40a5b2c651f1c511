"""Extraction on a Ray cluster that is started here: the rows of one process, whatever is lost on the way."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from schemas.files.locations import location
from schemas.store.locks import Lock
from schemas.store.run import open_run
from schemas.validation.run import validate

pytest.importorskip("ray")
ROOT = Path(__file__).parents[3]
SECONDS = 300  # that anything may take here


@pytest.fixture
def command(checkpoint_path, questions):
    """A command line that extracts eight chunks by two actors."""

    def made(run: object) -> list[str]:
        flags = {
            "model-path": checkpoint_path,
            "image-folder": questions / "images",
            "question-file": questions / "MME_test.json",
            "output-dir": run,
            "num-chunks": 8,
            "num-workers": 0,
            "gpus": 2,
            "device": "cpu",
        }
        return [sys.executable, "-m", "extract", *(f"--{name}={value}" for name, value in flags.items()), "--ray"]

    return made


def actors() -> list[int]:
    """The processes of this machine that run a chunk on Ray, or wait to."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                name = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            found += [int(folder.name)] if name.startswith(b"ray::ChunkActor") else []
    return found


def wait_for(happened: Callable[[], object], process: subprocess.Popen) -> None:
    until = time.monotonic() + SECONDS
    while not happened():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.02)


def begun(run: object) -> list[str]:
    """The ledgers of a run."""
    folder = location(str(run)) / "chunks"
    return [path.name for path in folder.glob("*.json")]


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="it looks for processes in /proc")
@pytest.mark.parametrize("where", ["disk", "store"])
def test_an_actor_is_killed(where, command, extracted, tmp_path, store):
    run = tmp_path / "run" if where == "disk" else "s3://bucket/run"
    process = subprocess.Popen(command(run), cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    wait_for(lambda: begun(run), process)
    (killed, *_) = actors()
    os.kill(killed, signal.SIGKILL)
    _, error = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, error
    written = open_run(str(run))
    assert (written.manifest.num_chunks, len(written.ledgers)) == (8, 8)
    assert list(validate(str(run))) == []
    for table in ("heads", "samples"):
        assert pd.read_parquet(f"{run}/{table}").equals(pd.read_parquet(extracted / table))


def test_ctrl_c_and_a_chunk_that_keeps_failing(command, extracted, tmp_path):
    run = tmp_path / "run"
    process = subprocess.Popen(command(run), cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    wait_for(lambda: begun(run), process)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=SECONDS)
    assert process.returncode == 130
    assert "stopping after the current batch" in error
    assert "samples are written to" in error
    assert "the same command resumes it" in error
    assert not open_run(run).complete

    lock = Lock(run / ".chunk-00003.lock", "")
    done = subprocess.run(command(run), cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=False)
    lock.release()
    assert done.returncode == 2
    assert (
        f"chunks 3 failed 3 times, the last time chunk 3 with: another process writes chunk 3 of {run}" in done.stderr
    )
    assert open_run(run).chunks_complete == [0, 1, 2, 4, 5, 6, 7]

    alone = [each for each in command(run) if each not in ("--ray", "--gpus=2")]
    assert subprocess.run([*alone, "--chunk-idx=3"], cwd=ROOT, capture_output=True, check=False).returncode == 0
    for table in ("heads", "samples"):
        assert pd.read_parquet(run / table).equals(pd.read_parquet(extracted / table))


def test_flags_that_contradict_each_other(extract, tmp_path, capsys):
    assert extract(tmp_path / "run", gpus=2) == 2
    assert "--gpus needs --ray" in capsys.readouterr().err
    assert extract(tmp_path / "run", ray="local", num_chunks=4, chunk_idx=2) == 2
    assert "--ray runs all chunks" in capsys.readouterr().err


def test_no_cluster_at_the_address(extract, tmp_path, capsys):
    assert extract(tmp_path / "run", ray="127.0.0.1:1") == 2
    assert "no Ray cluster at 127.0.0.1:1" in capsys.readouterr().err
