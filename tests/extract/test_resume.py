"""Oracle: the run that was never interrupted: the same rows, to the bit, however often a run was killed."""

import contextlib
import json
import os
import random
import shutil
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tqdm import tqdm

from extract.__main__ import main
from extract.questions.question_set import read_questions
from schemas.columns import TABLES
from schemas.store import writer as writer_module
from schemas.store.run import open_run
from schemas.store.validate import validate
from tests.extract.test_runner import tables

FAULTS = int(os.environ.get("HEADFLOW_FAULTS", "6"))  # moments at which a run is killed
NUMBER = 20


def same(run, whole, *, ordered=True) -> None:
    assert list(validate(run)) == []
    for found, expected in zip(tables(run), tables(whole), strict=True):
        if not ordered:
            keys = [name for name in ("sample_id", "layer", "head") if name in found]
            found, expected = (
                table.astype({"sample_id": str}).sort_values(keys, ignore_index=True) for table in (found, expected)
            )
        assert found.equals(expected)


@pytest.fixture(scope="module")
def arguments(checkpoint_path, questions):
    """The command, but for where it writes; questions apart from each other, in several parts."""

    def call(run, *flags) -> list[str]:
        return [
            *("--model-path", str(checkpoint_path), "--image-folder", str(questions / "images")),
            *("--question-file", str(questions / "MME_test.json"), "--output-dir", str(run)),
            *("--num-samples", str(NUMBER), "--num-workers", "0", *flags),
        ]

    return call


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(writer_module, "ROWS_PER_PART", 3 * 32)  # three samples


def start(argv) -> int:
    """The command in a process of its own; returns its id."""
    child = os.fork()
    if not child:
        tqdm.set_lock(threading.RLock())  # its own is shared by all forks, and stays taken where one is killed with it
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(1, 2)
        os._exit(main(argv))
    return child


def wait(child) -> int:
    """The exit code of a process, or minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.fixture(scope="module")
def duration(arguments, tmp_path_factory):
    """A whole run, and how many seconds it takes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer_module, "ROWS_PER_PART", 3 * 32)
        run = tmp_path_factory.mktemp("whole") / "run"
        began = time.monotonic()
        assert wait(start(arguments(run))) == 0
        return run, time.monotonic() - began


def test_a_run_killed_at_any_moment_goes_on(arguments, duration, tmp_path):
    whole, seconds = duration
    moments, killed = random.Random(0), 0
    while killed < FAULTS:  # a moment after the end of a run is none
        run = tmp_path / str(killed)
        child = start(arguments(run))
        time.sleep(moments.uniform(0, seconds))
        os.kill(child, signal.SIGKILL)
        killed += wait(child) == -signal.SIGKILL
        assert wait(start(arguments(run))) == 0
        same(run, whole)
        assert not list(run.rglob("*.tmp"))
        shutil.rmtree(run)


def children(process: int) -> set[int]:
    """The processes that a process has started, by id."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
            if int(parent) == process and state != "Z":
                found.add(int(stat.parent.name))
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="processes end with their owner on Linux alone")
def test_nothing_is_left_of_a_run_that_is_killed(arguments, duration, tmp_path):
    whole, _ = duration
    run = tmp_path / "run"
    first = start([*arguments(run), "--num-workers", "2"])
    until = time.monotonic() + 60
    while len(readers := children(first)) < 2 and time.monotonic() < until:
        time.sleep(0.001)
    os.kill(first, signal.SIGKILL)
    wait(first)
    assert wait(start([*arguments(run), "--num-workers", "2"])) == 0  # its lock is free at once
    same(run, whole)
    while any(Path(f"/proc/{reader}").exists() for reader in readers) and time.monotonic() < until:
        time.sleep(0.01)
    assert len(readers) == 2
    assert not any(Path(f"/proc/{reader}").exists() for reader in readers)


def test_a_complete_run_stays_as_it_is(arguments, duration, tmp_path, capsys):
    whole, _ = duration
    before = {file: file.stat().st_mtime_ns for table in TABLES for file in (whole / table).iterdir()}
    assert main(arguments(whole)) == 0
    assert f"{NUMBER} of {NUMBER} samples are there already" in capsys.readouterr().out
    assert {file: file.stat().st_mtime_ns for table in TABLES for file in (whole / table).iterdir()} == before


def test_chunks_in_processes_of_their_own_are_the_whole(arguments, duration, tmp_path):
    whole, seconds = duration
    run = tmp_path / "run"
    chunks = [arguments(run, "--num-chunks", "4", "--chunk-idx", str(index)) for index in range(4)]
    children = [start(chunk) for chunk in chunks]
    time.sleep(seconds)
    os.kill(children[2], signal.SIGKILL)
    codes = [wait(child) for child in children]
    assert [codes[index] for index in (0, 1, 3)] == [0] * 3
    if codes[2]:
        assert open_run(run).chunks_complete == [0, 1, 3]
        assert not open_run(run).complete
    assert wait(start(chunks[2])) == 0
    assert open_run(run).complete
    same(run, whole, ordered=False)


def test_questions_on_one_image_stay_in_one_chunk(questions):
    whole = read_questions(questions / "MME_test.json")
    samples, chunks = whole.samples, [whole.chunk(5, index).samples for index in range(5)]
    assert [sample for chunk in chunks for sample in chunk] == samples
    assert len({sample.image for sample in samples}) == sum(len({s.image for s in chunk}) for chunk in chunks)
    assert whole.chunk(10**6, 10**6 - 1).samples == []
    assert whole.chunk(10**6, 10**6 - 1).by_image() == []


def test_another_command_is_refused(arguments, duration, tmp_path, capsys):
    whole, _ = duration
    other = tmp_path / "other.json"
    for flags, says in (
        (["--num-chunks", "2"], "its num_chunks is 1, this command's is 2"),
        (["--system-span", "original"], "its system_span is 'template', this command's is 'original'"),
        (["--conv-mode", "llava_v0"], "its conv_mode is 'vicuna_v1', this command's is 'llava_v0'"),
        (["--dtype", "bfloat16"], "its dtype is 'float32', this command's is 'bfloat16'"),
        (
            ["--image-aspect-ratio", "pad"],
            "its image_preprocessing is {",
        ),
        (["--chunk-idx", "1"], "--chunk-idx 1 is not one of 1 chunks"),
        (["--num-chunks", "2", "--overwrite"], "--overwrite would remove what other chunks have written"),
    ):
        assert main([*arguments(whole), *flags]) == 2
        error = capsys.readouterr().err
        assert says in error, error
        assert error.count("\n") == 1
    assert not other.exists()
    assert list(validate(whole)) == []


def test_two_processes_on_one_run(arguments, tmp_path, capsys):
    run = tmp_path / "run"
    first = start(arguments(run))
    until = time.monotonic() + 60
    while not (run / "run.json").exists() and time.monotonic() < until:
        time.sleep(0.001)
    os.kill(first, signal.SIGSTOP)
    try:
        assert main(arguments(run)) == 2
        assert capsys.readouterr().err == f"error: another process writes {run}\n"
    finally:
        os.kill(first, signal.SIGCONT)
    assert wait(first) == 0
    assert list(validate(run)) == []


def test_skipped_samples_are_run_again(arguments, duration, questions, tmp_path):
    whole, _ = duration
    rows = json.loads((questions / "MME_test.json").read_text())
    folder = tmp_path / "images"
    for row in rows[:NUMBER]:
        place = folder / row["image_file"]
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists():
            shutil.copy(questions / "images" / row["image_file"], place)
    gone = folder / rows[5]["image_file"]
    gone.unlink()
    argv = [*arguments(tmp_path / "run"), "--image-folder", str(folder)]
    assert main(argv) == 0
    skipped = pd.read_parquet(tmp_path / "run" / "samples")["status"].eq("skipped")
    assert skipped.sum() == 2
    shutil.copy(questions / "images" / rows[5]["image_file"], gone)
    assert main(argv) == 0
    assert pd.read_parquet(tmp_path / "run" / "samples")["status"].eq("skipped").sum() == 2
    assert main([*argv, "--retry-skipped"]) == 0
    same(tmp_path / "run", whole, ordered=False)
    assert np.array_equal(open_run(tmp_path / "run").chunks_complete, [0])
