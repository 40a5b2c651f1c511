"""Oracle: the run that was never interrupted: the same rows, to the bit, however often a run was killed."""

import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import time
from itertools import count
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from extract.__main__ import main
from extract.chunks import chunk as chunk_module
from extract.images.loading import ImageFiles
from extract.models import loading
from extract.models.transformers_model import TransformersModel
from extract.questions.question_set import read_questions
from schemas.store import writer as writer_module
from schemas.store.run import open_run
from schemas.validation.run import validate
from tests.support.forks import living, start, wait
from tests.support.runs import LEDGER, edit_json, read_tables
from tests.support.tiny_llava import make_checkpoint

FAULTS = int(os.environ.get("HEADFLOW_FAULTS", "2"))  # moments at which a run is killed
NUMBER = 16


def same(run, whole, *, ordered=True) -> None:
    assert list(validate(run)) == []
    for found, expected in zip(read_tables(run), read_tables(whole), strict=True):
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
            *("--num-samples", str(NUMBER), "--num-workers", "0", "--device", "cpu", *flags),
        ]

    return call


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(writer_module, "ROWS_PER_PART", 3 * 32)  # three samples


@pytest.fixture(scope="module")
def duration(arguments, tmp_path_factory):
    """A whole run, and how many seconds it takes where the checkpoint is loaded already."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer_module, "ROWS_PER_PART", 3 * 32)
        run = tmp_path_factory.mktemp("whole") / "run"
        assert main(arguments(run.with_name("few"), "--num-samples", "1")) == 0
        began = time.monotonic()
        assert wait(start(main, arguments(run))) == 0
        return run, time.monotonic() - began


def test_a_run_killed_at_any_moment_is_resumed(arguments, duration, tmp_path):
    whole, seconds = duration
    run = tmp_path / "run"
    for _ in killed_and_resumed(arguments(run), seconds, FAULTS):
        same(run, whole)
        assert not list(run.rglob("*.tmp"))
        shutil.rmtree(run)


def test_a_job_killed_at_any_moment_is_resumed(duration, tmp_path, monkeypatch):
    monkeypatch.setattr(writer_module, "ROWS_PER_PART", 3 * 2)  # three samples
    run = shutil.copytree(duration[0], tmp_path / "run")
    job = run / "jobs" / "two"
    argv = [
        "knock-out",
        str(run),
        "--heads",
        "L0H0,L3H7",
        "--job",
        job.name,
        "--num-samples",
        "10",
        "--num-workers",
        "0",
        "--device",
        "cpu",
    ]
    assert main(argv) == 0  # loads what the forks find loaded
    whole = pd.read_parquet(job / "knockouts")
    shutil.rmtree(job)
    began = time.monotonic()
    assert wait(start(main, argv)) == 0
    seconds = time.monotonic() - began
    shutil.rmtree(job)
    for _ in killed_and_resumed(argv, seconds, FAULTS // 2):
        assert list(validate(run)) == []
        assert pd.read_parquet(job / "knockouts").equals(whole)
        assert not list(run.rglob("*.tmp"))
        shutil.rmtree(job)


def killed_and_resumed(argv, seconds, times):
    """Kill a command at a moment of its `seconds`, and let it run to its end; yields after each time.

    The moments are random, one in each of `times` equal parts of its seconds.
    """
    moments, killed = random.Random(0), 0
    while killed < times:  # a moment after the end of a run is none
        child = start(main, argv)
        pause = (killed + moments.random()) * seconds / times
        time.sleep(pause)
        os.kill(child, signal.SIGKILL)
        if wait(child) == -signal.SIGKILL:
            killed += 1
        else:
            seconds = 0.9 * pause  # it takes less than when it was measured
        assert wait(start(main, argv)) == 0
        yield


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
    first = start(main, [*arguments(run), "--num-workers", "2"])
    until = time.monotonic() + 60
    while len(readers := children(first)) < 2 and time.monotonic() < until:
        time.sleep(0.001)
    os.kill(first, signal.SIGKILL)
    wait(first)
    assert wait(start(main, [*arguments(run), "--num-workers", "2"])) == 0  # its lock is free at once
    same(run, whole)
    assert len(readers) == 2
    assert living(readers) == []


def contents(run: Path) -> dict[Path, tuple[str, int]]:
    """The hash and the time of change of each file of a run."""
    files = [file for file in run.rglob("*") if file.is_file()]
    return {file: (hashlib.sha256(file.read_bytes()).hexdigest(), file.stat().st_mtime_ns) for file in files}


@pytest.fixture
def no_model(monkeypatch):
    """Let loading a model fail the test."""

    def fail(*_, **__):
        raise AssertionError("a model is loaded")

    for name in ("load_model", "load_prompt_format"):
        monkeypatch.setattr(loading, name, fail)


@pytest.mark.parametrize("flags", [[], ["--batch-size", "3", "--num-workers", "1", "--resume"], ["--num-samples", "7"]])
def test_a_complete_run_stays_as_it_is(arguments, duration, no_model, monkeypatch, capsys, flags):
    whole, _ = duration
    monkeypatch.setattr(chunk_module, "new_directory", None)  # it may lie on a disk that cannot be written
    before = contents(whole)
    assert main([*arguments(whole), *flags]) == 0
    number = 7 if "7" in flags else NUMBER
    assert capsys.readouterr().out == f"{number} of {number} samples are there already, the run stays as it is\n"
    assert contents(whole) == before
    assert len(before) > 10


def test_a_number_of_samples_below_all_is_refused(arguments, duration, capsys):
    assert main([*arguments(duration[0]), "--num-samples", "-5"]) == 2
    assert "-5 is not a whole number from -1 to 2147483648; see --num-samples" in capsys.readouterr().err


def test_a_complete_run_that_is_asked_for_by_other_flags(arguments, duration, capsys):
    """Flags that name the same settings: the model says that they are the same."""
    whole, _ = duration
    before = contents(whole)
    assert main([*arguments(whole), "--conv-mode", "vicuna_v1", "--dtype", "float32"]) == 0
    assert f"{NUMBER} of {NUMBER} samples are there already" in capsys.readouterr().out
    assert contents(whole) == before


def test_a_complete_chunk_stays_as_it_is(arguments, duration, tmp_path, capsys):
    run = tmp_path / "run"
    chunk = arguments(run, "--num-chunks", "2", "--chunk-idx", "1")
    assert main(chunk) == 0
    before = contents(run)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "load_model", None)
        assert main(chunk) == 0
    assert contents(run) == before
    assert main([*chunk, "--chunk-idx", "0"]) == 0
    assert open_run(run).complete


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--num-chunks", "2"], "its num_chunks is 1, this command's is 2"),
        (["--conv-mode", "llava_v0"], "its conv_mode is 'vicuna_v1', this command's is 'llava_v0'"),
        (["--prompt-suffix", ""], "its prompt_suffix is "),
        (["--system-span", "original"], "its system_span is 'template', this command's is 'original'"),
        (["--dtype", "bfloat16"], "its dtype is 'float32', this command's is 'bfloat16'"),
        (["--sequences", "separate"], "its sequences is 'packed', this command's is 'separate'"),
        (["--image-aspect-ratio", "pad"], "its image_preprocessing, aspect, is 'crop', this command's is 'pad'"),
        (["--answer-tokens", "No", "Yes"], "its answer_tokens is ['▁Yes', '▁No'], this command's is ['▁No', '▁Yes']"),
        (["--answer-tokens", "Yes", "Yes"], "begin with one token after the prompt, '▁Yes'"),
    ],
)
def test_another_command_is_refused_before_a_model_is_loaded(arguments, duration, monkeypatch, capsys, flags, says):
    whole, _ = duration
    before = contents(whole)
    monkeypatch.setattr(loading, "load_model", None)
    assert main([*arguments(whole), *flags]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert contents(whole) == before


def test_other_questions_and_images_are_refused_before_a_model_is_loaded(
    arguments, duration, questions, no_model, tmp_path, capsys
):
    whole, _ = duration
    rows = json.loads((questions / "MME_test.json").read_text())
    (tmp_path / "other.json").write_text(json.dumps(rows[1:]))
    assert main([*arguments(whole), "--question-file", str(tmp_path / "other.json")]) == 2
    assert "its question_file_sha256 is " in capsys.readouterr().err
    images = shutil.copytree(questions / "images", tmp_path / "images")
    assert main([*arguments(whole), "--image-folder", str(images)]) == 0
    (images / rows[0]["image_file"]).write_bytes((images / rows[4]["image_file"]).read_bytes())
    assert main([*arguments(whole), "--image-folder", str(images)]) == 2
    assert f"{rows[0]['image_file']!r} is not the image that" in capsys.readouterr().err


def test_a_chunk_on_other_images_is_refused(arguments, duration, questions, tmp_path, capsys):
    """Its own images are not those of the chunk before, whose images were others in this folder."""
    run, black = tmp_path / "run", shutil.copytree(questions / "images", tmp_path / "black")
    for file in black.rglob("*.png"):
        Image.new("RGB", (96, 96)).save(file)
    chunks = [arguments(run, "--num-chunks", "2", "--chunk-idx", str(index)) for index in range(2)]
    assert main(chunks[0]) == 0
    assert main([*chunks[1], "--image-folder", str(black)]) == 2
    assert "is not the image that chunk 0 of" in capsys.readouterr().err
    assert main(chunks[1]) == 0
    same(run, duration[0], ordered=False)


def test_other_weights_are_refused(arguments, checkpoint_path, texts, tmp_path, monkeypatch, capsys):
    model = shutil.copytree(checkpoint_path, tmp_path / "model")
    argv = [*arguments(tmp_path / "run"), "--model-path", str(model)]
    stop_after(monkeypatch, 2)
    assert main(argv) == 128 + signal.SIGTERM
    make_checkpoint(tmp_path / "other", texts, seed=1)
    shutil.copy(tmp_path / "other" / "model.safetensors", model)
    assert main(argv) == 2
    assert "the weights are not those that chunk 0" in capsys.readouterr().err
    shutil.copy(checkpoint_path / "model.safetensors", model)
    assert main(argv) == 0


def test_another_spelling_of_the_same_model_is_the_same(
    arguments, duration, checkpoint_path, questions, tmp_path, monkeypatch
):
    """Of the question file and the image folder, too."""
    whole, run = duration[0], tmp_path / "run"
    link = tmp_path / "link"
    link.symlink_to(checkpoint_path)
    monkeypatch.chdir(checkpoint_path.parent)
    copy = shutil.copytree(checkpoint_path, tmp_path / "copy")
    spellings = [f"./{checkpoint_path.name}/", str(link), f"{copy}//", str(checkpoint_path)]
    images, file = Path(os.path.relpath(questions)) / "images", os.path.relpath(questions / "MME_test.json")
    with_others = ["--image-folder", f"{images}/", "--question-file", f"./{file}"]
    for number, spelling in enumerate(spellings, 1):
        assert main([*arguments(run), "--model-path", spelling, "--num-samples", str(4 * number), *with_others]) == 0
    ledger = open_run(run).ledgers[0]
    assert [session.arguments["model_path"] for session in ledger.sessions] == spellings
    assert open_run(run).manifest.model == spellings[0]
    found, expected = (pd.read_parquet(each / "heads") for each in (run, whole))
    keys = ["sample_id", "category", "layer", "head"]
    assert found[keys].equals(expected[keys])
    assert np.abs(found.drop(columns=keys) - expected.drop(columns=keys)).max(axis=None) <= 2e-6


def test_another_model_in_another_directory_is_refused(
    arguments, duration, checkpoint_path, texts, no_model, tmp_path, capsys
):
    """By its settings, before weights are loaded."""
    whole, other = duration[0], shutil.copytree(checkpoint_path, tmp_path / "other")
    (other / "chat_template.jinja").write_text("{{ messages }}")
    assert main([*arguments(whole), "--model-path", str(other)]) == 2
    assert f"its model is {str(checkpoint_path)!r}, this command's is {str(other)!r}" in capsys.readouterr().err


def test_other_weights_in_another_directory_are_refused(arguments, duration, checkpoint_path, texts, tmp_path, capsys):
    whole, other = duration[0], shutil.copytree(checkpoint_path, tmp_path / "other")
    make_checkpoint(tmp_path / "made", texts, seed=1)
    shutil.copy(tmp_path / "made" / "model.safetensors", other)
    assert main([*arguments(whole), "--model-path", str(other)]) == 2
    assert f"its model is {str(checkpoint_path)!r}, this command's is {str(other)!r}" in capsys.readouterr().err


def stop_after(monkeypatch, passes: int) -> None:
    """Let a signal come in a run's pass of this number, from 0; later runs are undisturbed."""
    forward, calls = TransformersModel.forward, count()

    def interrupted(self, *inputs, **options):
        if next(calls) == passes:
            os.kill(os.getpid(), signal.SIGTERM)
        return forward(self, *inputs, **options)

    monkeypatch.setattr(TransformersModel, "forward", interrupted)


@pytest.mark.parametrize(("first", "then", "passes"), [("4", "5", 0), ("3", "3", 1)])
def test_going_on_with_another_batch_size(arguments, duration, tmp_path, monkeypatch, first, then, passes):
    whole, run = duration[0], tmp_path / "run"
    if first == then:
        whole = tmp_path / "whole"
        assert main(arguments(whole, "--batch-size", first)) == 0
    stop_after(monkeypatch, passes)
    assert main(arguments(run, "--batch-size", first)) == 128 + signal.SIGTERM
    written = len(pd.read_parquet(run / "samples"))
    assert 0 < written < NUMBER
    assert main(arguments(run, "--batch-size", then)) == 0
    (ledger,) = open_run(run).ledgers.values()
    assert [session.batch_size for session in ledger.sessions] == [int(first), int(then)]
    if first == then:
        same(run, whole)
    assert list(validate(run)) == []
    found, expected = (pd.read_parquet(each / "heads") for each in (run, whole))
    keys = ["sample_id", "category", "layer", "head"]
    assert found[keys].equals(expected[keys])
    assert np.abs(found.drop(columns=keys) - expected.drop(columns=keys)).max(axis=None) <= 2e-6


@pytest.mark.parametrize(("device", "expected"), [("cpu", 3), ("another GPU", 1)])
def test_auto_takes_the_last_batch_size_of_the_same_device(arguments, tmp_path, monkeypatch, device, expected):
    run = tmp_path / "run"
    stop_after(monkeypatch, 1)
    assert main(arguments(run, "--batch-size", "3")) == 128 + signal.SIGTERM
    edit_json(run / LEDGER, sessions=[json.loads((run / LEDGER).read_text())["sessions"][0] | {"device": device}])
    assert main(arguments(run)) == 0
    (ledger,) = open_run(run).ledgers.values()
    assert [session.batch_size for session in ledger.sessions] == [3, expected]
    assert [session.device for session in ledger.sessions] == [device, "cpu"]


def test_more_samples_can_be_asked_for_later(arguments, duration, tmp_path):
    whole, _ = duration
    run = tmp_path / "run"
    assert main([*arguments(run), "--num-samples", "5"]) == 0
    assert main(arguments(run)) == 0
    assert len(open_run(run).ledgers[0].sessions) == 2
    assert open_run(run).complete
    found, expected = (pd.read_parquet(each / "samples") for each in (run, whole))
    assert found["sample_id"].tolist() == expected["sample_id"].tolist()


def test_chunks_in_processes_of_their_own_are_the_whole(arguments, duration, tmp_path):
    whole, seconds = duration
    run = tmp_path / "run"
    chunks = [arguments(run, "--num-chunks", "3", "--chunk-idx", str(index)) for index in range(3)]
    children = [start(main, chunk) for chunk in chunks]
    time.sleep(seconds)
    os.kill(children[2], signal.SIGKILL)
    codes = [wait(child) for child in children]
    assert codes[:2] == [0, 0]
    if codes[2] and 2 not in open_run(run).chunks_complete:  # else it was killed after its last part
        assert open_run(run).chunks_complete == [0, 1]
        assert not open_run(run).complete
    assert wait(start(main, chunks[2])) == 0
    assert open_run(run).complete
    same(run, whole, ordered=False)


def test_questions_on_one_image_stay_in_one_chunk(questions):
    whole = read_questions(questions / "MME_test.json")
    samples, chunks = whole.samples, [whole.chunk(5, index).samples for index in range(5)]
    assert [sample for chunk in chunks for sample in chunk] == samples
    assert len({sample.image for sample in samples}) == sum(len({s.image for s in chunk}) for chunk in chunks)
    assert whole.chunk(10**6, 10**6 - 1).samples == []
    assert whole.chunk(10**6, 10**6 - 1).by_image() == []


def test_flags_that_contradict_each_other(arguments, duration, no_model, capsys):
    whole, _ = duration
    for flags, says in (
        (["--chunk-idx", "1"], "chunk 1 is not one of 1 chunk, from 0; see --chunk-idx"),
        (["--num-chunks", "2", "--overwrite"], "overwriting would remove what other chunks have written"),
    ):
        assert main([*arguments(whole), *flags]) == 2
        error = capsys.readouterr().err
        assert says in error, error
        assert error.count("\n") == 1
    assert list(validate(whole)) == []


def test_two_processes_on_one_run(arguments, tmp_path, capsys):
    run = tmp_path / "run"
    first = start(main, arguments(run))
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


def test_a_reader_that_is_killed_ends_the_command_in_one_line(arguments, duration, tmp_path, monkeypatch, capsys):
    whole, run = duration[0], tmp_path / "run"
    read = ImageFiles.__getitem__

    def killed(self, number):
        if number == 6:
            os.kill(os.getpid(), signal.SIGKILL)
        return read(self, number)

    with monkeypatch.context() as patch:
        patch.setattr(ImageFiles, "__getitem__", killed)
        assert main(arguments(run, "--num-workers", "1")) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: a process that reads images ended: DataLoader worker")
    assert not open_run(run).complete
    assert main(arguments(run)) == 0
    same(run, whole)


def test_a_signal_to_all_processes_stops_none_but_the_owner(arguments, duration, tmp_path, monkeypatch):
    whole, run = duration[0], tmp_path / "run"
    read, process = ImageFiles.__getitem__, os.getpid()

    def signalled(self, number):
        assert os.getpid() != process
        for stop in (signal.SIGTERM, signal.SIGINT):
            os.kill(os.getpid(), stop)
        return read(self, number)

    with monkeypatch.context() as patch:
        patch.setattr(ImageFiles, "__getitem__", signalled)
        assert main(arguments(run, "--num-workers", "1")) == 0
    same(run, whole)


@pytest.mark.parametrize("complete", [False, True])
def test_damaged_parts_are_run_again(arguments, duration, tmp_path, monkeypatch, capsys, complete):
    whole, run = duration[0], tmp_path / "run"
    if complete:
        shutil.copytree(whole, run)
    else:
        stop_after(monkeypatch, 5)
        assert main(arguments(run)) == 128 + signal.SIGTERM
    damages = [(table, damage) for table in ("heads", "samples") for damage in ("gone", "cut")]
    parts = [sorted((run / table).glob("*.parquet"))[place] for place, (table, _) in enumerate(damages)]
    for part, (_, damage) in zip(parts, damages, strict=True):
        if damage == "gone":
            part.unlink()
        else:
            part.write_bytes(part.read_bytes()[:-100])
    capsys.readouterr()
    assert main(arguments(run)) == 0
    warned = capsys.readouterr().err
    for part in parts:
        assert f"warning: {part.name} lacks files or rows; its samples are run again\n" in warned
    same(run, whole, ordered=False)


def test_a_ledger_that_is_gone_is_asked_for(arguments, duration, tmp_path, capsys):
    run = shutil.copytree(duration[0], tmp_path / "run")
    before = read_tables(run)
    (run / LEDGER).rename(tmp_path / "ledger")
    assert main(arguments(run)) == 2
    assert "has parts of chunk 0, but not chunks/00000.json, which names those that count" in capsys.readouterr().err
    (tmp_path / "ledger").rename(run / LEDGER)
    assert all(found.equals(expected) for found, expected in zip(read_tables(run), before, strict=True))
    (run / "run.json").write_text("{")
    assert main(arguments(run)) == 2
    assert capsys.readouterr().err.endswith("put the file back, or overwrite the run; see --overwrite\n")
