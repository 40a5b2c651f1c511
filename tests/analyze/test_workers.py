"""Oracle: the same command without workers. Files and what is printed are the same, byte for byte."""

import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import psutil
import pytest

from analyze.__main__ import main
from analyze.drawing.figures import FigureFiles
from analyze.tables.frames import open_heads
from analyze.tables.tallies import Total
from schemas.store import writer
from schemas.workers import processes, work
from schemas.workers.opening import open_workers
from schemas.workers.processes import Processes
from schemas.workers.work import LOCAL, attempt, result_of
from tests.support.forks import living
from tests.support.pictures import write_empty
from tests.support.runs import PART, flows, put, rewrite, sample, start

ROOT = Path(__file__).parents[2]
COMMANDS = {
    "summary": ["--metrics", "t2v,v2t,q2v"],
    "summary without the system prompt": ["--text-scope", "no-system"],
    "plots": ["--dpi", "20", "--layers", "1", "--categories", "OCR", "--bins", "0.013", "--range", "0.1", "0.36"],
    "compare": ["--dpi", "20", "--related", "--resamples", "100"],
    "compare three": ["--metrics", "t2v"],
    "diagnose": ["--dpi", "20", "--resamples", "100"],
    "validate": [],
}


@pytest.fixture(autouse=True)
def small_tasks(monkeypatch):
    """Of two parts."""
    monkeypatch.setattr(work, "_PARTS", 2)


@pytest.fixture(scope="module")
def two():
    """Processes that are started once."""
    with Processes(2) as workers:
        yield workers


@pytest.fixture
def shared(two, monkeypatch):
    """Commands take the processes of `two`, and leave them running."""
    monkeypatch.setattr(processes, "Processes", lambda _: nullcontext(two))


class Pickled:
    """This process in place of others: functions, tasks, results and errors cross as bytes."""

    def map(self, function, tasks):
        for task in tasks:
            outcome = attempt(processes._do, pickle.dumps((function, task)))
            yield result_of(pickle.loads(pickle.dumps(outcome)))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Three runs in 14 parts of three samples: an image's questions are in two parts or two tasks; one was skipped."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer, "ROWS_PER_PART", 3 * 12)
        return [in_turn(folder / f"run{seed}", seed=seed) for seed in range(3)]


def in_turn(path: Path, seed: int = 0, prompts: tuple[str, ...] = ()) -> Path:
    """A run whose samples are of three categories in turn, in some wordings."""
    random, categories = np.random.default_rng(seed), ("OCR", "color", "count")
    texts = {name: {"template": f"{{question}} {name}"} for name in prompts}
    run = start(path, 42 * max(1, len(prompts)), fields={"layers": 3, "heads": 4, "prompts": texts})
    for number in range(42):
        row = sample(number, categories[number // 2 % 3]) | {"row": number}
        for prompt in prompts or (None,):
            named = {"sample_id": f"{row['sample_id']}@{prompt}", "prompt": prompt} if prompt else {}
            if number == 5:
                run.skip(row | named, "image_missing", "gone")
            else:
                run.add(row | named, {"heads": flows(random, 3, 4)})
    run.finish()
    return path


def outcome(words: list, folder: Path, capsys) -> tuple[int, str, str, dict[str, bytes]]:
    """The exit code, what is printed, and the files of a command; the folder's name is left out of what is printed."""
    output = ["--output-dir", folder] if words[0] != "validate" else []
    code = main([str(word) for word in [*words, *output]])
    printed = capsys.readouterr()
    files = {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*.*"))}
    errors = [line for line in printed.err.splitlines() if "picture/s" not in line]  # a bar with times
    return code, printed.out.replace(str(folder), ""), "\n".join(errors), files


def words_of(name: str, runs: list[Path]) -> list:
    command, *_ = name.split()
    number = 3 if "three" in name else 2 if command == "compare" else 1
    return [command, *runs[:number], *COMMANDS[name]]


def test_the_runs_have_images_in_several_tasks(runs):
    heads, _ = open_heads(runs[0])
    total = Total(heads, ("t2v",), heads.scope(None), spread=True)
    assert len(list(total.tasks())) == 7
    assert 0 < (total._images.place >= 0).sum() < len(total._images.place)


@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize("name", COMMANDS)
def test_workers_give_the_same(runs, tmp_path, monkeypatch, capsys, name):
    if name != "plots":  # tables have all numbers
        monkeypatch.setattr(FigureFiles, "save", write_empty)
    words = words_of(name, runs)
    expected = outcome(words, tmp_path / "one", capsys)
    assert expected[0] == 0
    assert expected[3] or name == "validate"
    assert outcome([*words, "--workers", 2], tmp_path / "several", capsys) == expected


def test_ray_gives_the_same(runs, tmp_path, capsys, monkeypatch, ray_address):
    """The other commands read as `summary` does. Both commands use one connection, which takes seconds to make."""
    with open_workers(1, ray_address, packages=("schemas", "analyze")) as workers:
        asked = {(None, None): nullcontext(work.HERE), (1, ray_address): nullcontext(workers)}
        monkeypatch.setattr(
            "analyze.commands.shared_settings.open_workers", lambda number, address, packages: asked[number, address]
        )
        for name in ("summary", "validate"):
            words = words_of(name, runs)
            expected = outcome(words, tmp_path / "one", capsys)
            assert outcome([*words, f"--ray={ray_address}", "--workers", 1], tmp_path / "several", capsys) == expected


def test_ray_without_an_address_is_started(runs, monkeypatch):
    asked = []
    workers = nullcontext(work.HERE)
    monkeypatch.setattr(
        "analyze.commands.shared_settings.open_workers", lambda _, address, packages: asked.append(address) or workers
    )
    for words in (["--ray"], ["--ray=10.0.0.5:6379"], []):
        assert main(["validate", str(runs[0]), *words]) == 0
    assert asked == [LOCAL, "10.0.0.5:6379", None]


@pytest.mark.usefixtures("shared")
def test_one_of_several_wordings(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(writer, "ROWS_PER_PART", 5 * 12)  # parts begin at any wording
    run = in_turn(tmp_path / "run", prompts=("short", "long"))
    monkeypatch.setattr(FigureFiles, "save", write_empty)
    for name, more in {"summary": ["--prompt", "long"], "prompts": ["--resamples", 100]}.items():
        words = [name, run, *more]
        expected = outcome(words, tmp_path / name / "one", capsys)
        assert expected[0] == 0
        assert outcome([*words, "--workers", 2], tmp_path / name / "several", capsys) == expected


DAMAGES = {
    "a part of heads is gone": lambda run: (run / "heads" / PART.replace("0.p", "6.p")).unlink(),
    "a part of samples is gone": lambda run: (run / "samples" / PART.replace("0.p", "6.p")).unlink(),
    "a part is cut": lambda run: os.truncate(run / "heads" / PART.replace("0.p", "5.p"), 700),
    "rows are lost": lambda run: rewrite(run, "heads", lambda table: table.slice(2)),
    "rows are there twice": lambda run: rewrite(run, "heads", lambda table: put(table, "layer", 0, 1)),
    "values are wrong": lambda run: rewrite(run, "heads", lambda table: put(table, "v2t", 3, 7.0)),
    "a value is infinite": lambda run: rewrite(run, "heads", lambda table: put(table, "t2v", 3, float("inf"))),
    "a sample is another": lambda run: rewrite(run, "samples", lambda table: put(table, "sample_id", 0, "other")),
    "a category is another": lambda run: rewrite(run, "samples", lambda table: put(table, "category", 0, "scene")),
    "a sample is there twice": lambda run: rewrite(run, "samples", lambda table: put(table, "sample_id", 0, "OCR/6")),
    "nothing was observed": lambda run: [
        rewrite(run, "samples", lambda table: put(table, "status", slice(None), ["skipped"] * len(table)))
    ],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_runs_are_refused_in_the_same_words(runs, tmp_path, monkeypatch, capsys, damage):
    """What becomes of errors in processes of their own, tests of the processes themselves say."""
    monkeypatch.setattr(processes, "Processes", lambda _: nullcontext(Pickled()))
    run = shutil.copytree(runs[0], tmp_path / "run")
    DAMAGES[damage](run)
    for command in ("summary", "validate"):
        expected = outcome([command, run], tmp_path / "one", capsys)
        assert expected[0] or (command == "summary" and damage in ("values are wrong", "a category is another"))
        assert outcome([command, run, "--workers", 2], tmp_path / "several", capsys) == expected, command


@pytest.fixture
def command(runs):
    """A command that waits for a worker, which is stopped; and its workers, that one first."""
    process = psutil.Popen(
        [sys.executable, "-m", "analyze", "validate", str(runs[0]), "--workers", "2"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    workers, deadline = [], time.monotonic() + 60
    while len(workers) < 2 and time.monotonic() < deadline:
        workers = [each for each in process.children() if "spawn_main" in " ".join(each.cmdline())]
    workers[0].suspend()
    yield process, workers
    for each in [process, *workers]:
        if each.is_running():
            each.kill()


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_a_worker_that_is_killed_is_named_in_one_line(command):
    process, workers = command
    workers[0].kill()
    error = process.communicate(timeout=120)[1]
    assert process.returncode == 2
    assert error.startswith("error: a worker process was killed by signal 9 before its task was done; if memory ran ")
    assert error.endswith("; see --workers\n")
    assert error.count("\n") == 1
    assert living([worker.pid for worker in workers]) == []


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_ctrl_c_ends_all_processes(command):
    process, workers = command
    os.killpg(process.pid, signal.SIGINT)
    workers[0].resume()
    assert process.communicate(timeout=120)[1] == "interrupted\n"
    assert process.returncode == 130
    assert living([worker.pid for worker in workers]) == []


def test_ray_that_is_not_installed_is_named(made_up, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["summary", str(made_up), "--ray"]) == 2
    assert capsys.readouterr().err == "error: Ray is not installed: pip install -e '.[cluster]'\n"


def test_workers_load_neither_pandas_nor_matplotlib():
    code = "import sys, analyze.tables.parts.sums, schemas.validation.run, schemas.workers.opening; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"pandas", "matplotlib", "scipy", "ray", "torch"} & set(done.stdout.split())
