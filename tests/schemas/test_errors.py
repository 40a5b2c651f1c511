"""How a command ends: its exit code, and what it says."""

import errno
import io
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from analyze.__main__ import main
from schemas import cli
from schemas.cli import INTERRUPTED, PIPE_CLOSED, USAGE, at_work, run_command, say
from schemas.errors import HeadflowError, nothing_written
from schemas.files import writing
from schemas.jobs.settings import JobSettings
from schemas.manifest import Session
from schemas.store.directory import new_directory
from schemas.store.jobs import job_manifest, job_path
from schemas.store.run import open_run
from schemas.store.writer import RunWriter
from tests.support.forks import CLOSED, GONE, run_module

ROOT = Path(__file__).parents[2]
FULL = errno.ENOSPC
PLOTS = ["plots", "--dpi", "20", "--layers", "0", "--categories", "OCR", "--metrics", "t2v", "--"]
SET = {"L0H1": {"heads": [[0, 1]], "layers": []}}


def test_a_command_ends_with_its_own_code():
    assert [run_command(lambda code=code: code) for code in (0, 1)] == [0, 1]


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (HeadflowError("bad\n thing"), USAGE, "error: bad thing\n"),
        (OSError("disk full"), USAGE, "error: disk full\n"),
        (
            OSError(FULL, "No space left", "a\n"),
            USAGE,
            "error: a: No space left; free some space there, or choose another place\n",
        ),
        (MemoryError("Unable to allocate 9 EiB"), USAGE, "error: not enough memory: Unable to allocate 9 EiB\n"),
        (
            HeadflowError("bad \x1b[2J\u202e\x9b1m", setting="a_flag"),
            USAGE,
            "error: bad \\x1b[2J\\u202e\\x9b1m\n",
        ),
        (KeyboardInterrupt(), INTERRUPTED, "interrupted\n"),
    ],
)
def test_what_goes_wrong_is_one_line(error, code, said, capsys):
    def command():
        raise error

    assert run_command(command) == code
    assert capsys.readouterr().err == said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["card", "RUN", "RUN/../other", "--overwrite"], "; see OUT"),
        (["summary", "RUN", "--output-dir", "RUN/heads"], "; see --output-dir"),
        (["summary", "RUN", "--prompt", "x"], "; see --prompt"),
    ],
)
def test_commands_name_their_own_flags(made_up, words, said, capsys):
    (made_up.parent / "other").mkdir()
    (made_up.parent / "other" / "run.json").write_text("{}")
    assert main([word.replace("RUN", str(made_up)) for word in words]) == USAGE
    assert capsys.readouterr().err.endswith(f"{said}\n")


class Terminal(io.StringIO):
    """A terminal that tells when something is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = threading.Event()

    def write(self, text: str) -> int:
        """Write, and tell."""
        number = super().write(text)
        self.written.set()
        return number

    def isatty(self) -> bool:
        """As a terminal has it."""
        return True


def test_a_terminal_shows_that_a_command_is_at_work(monkeypatch, capsys):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(cli, "PATIENCE", 0)
    with at_work("summary"):
        assert terminal.written.wait(60)
        say("the result")
        said = terminal.getvalue()
    assert said.startswith("\rsummary: 0 s")
    assert said.endswith("\r\x1b[K")  # the line is free before something else is printed
    assert terminal.getvalue() == said
    assert capsys.readouterr().out == "the result\n"


def test_a_terminal_gets_lines_that_fit(monkeypatch, capsys):
    line = "  mass: " + "cannot be told " * 12 + "/a/path/that/is/longer/than/the/terminal/has/letters/in/a/line"
    say(line)
    assert capsys.readouterr().out == line + "\n"
    monkeypatch.setenv("COLUMNS", "50")
    monkeypatch.setattr(sys, "stdout", terminal := Terminal())
    say(line)
    shown = terminal.getvalue().splitlines()
    assert [len(each) <= 50 for each in shown] == [True] * (len(shown) - 1) + [False]
    assert {each[:4] for each in shown[1:]} == {"    "}
    assert " ".join(map(str.strip, shown)) == line.strip()
    say(line, whole=True)
    assert terminal.getvalue().splitlines()[-1] == line


def test_a_pipe_shows_nothing(monkeypatch, capsys, made_up):
    monkeypatch.setattr(cli, "PATIENCE", 0)
    assert main(["summary", str(made_up)]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("lines", [3, 100_000])  # in the buffer until the end, and more than a pipe holds
def test_a_reader_that_has_seen_enough_is_no_error(lines):
    command = f"lambda: [print('x') for _ in range({lines})] and 0"
    code = f"""
import sys
from schemas.cli import run_command
print(flush=True)
sys.stdin.read()
sys.exit(run_command({command}))
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.readline()
    process.stdout.close()
    process.stdin.close()
    assert process.stderr.read() == b""
    assert process.wait() == PIPE_CLOSED


def test_a_name_that_the_terminal_cannot_show_is_no_error():
    code = "import sys; from schemas.cli import run_command; sys.exit(run_command(lambda: print('图 \\udcff') or 0))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, env=os.environ | {"PYTHONIOENCODING": "ascii"}, check=True
    )
    assert done.stdout == b"\\u56fe \\udcff\n"


@pytest.mark.parametrize(("command", "code"), [("validate RUN >&-", 0), ("validate RUN | true", PIPE_CLOSED)])
def test_outputs_that_a_shell_makes(made_up, command, code):
    """What the other tests of outputs do in a fork of this process, done by a shell."""
    command = f"'{sys.executable}' -m analyze {command.replace('RUN', str(made_up))}"
    command = ["bash", "-o", "pipefail", "-c", command]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "")


@pytest.mark.parametrize(
    ("command", "closed", "code", "out", "error"),
    [
        ("analyze validate RUN", "out", 0, "", ""),
        ("analyze validate RUN", "error", 0, "RUN: valid\n", ""),
        ("analyze validate RUN/no", "out", 1, "", ""),
        ("analyze nothing", "error", 2, "", ""),
        ("analyze summary RUN/no", "out error", 2, "", ""),
        (f"analyze {' '.join(PLOTS)} RUN", "out error", 0, "", ""),
        ("extract --model-path no --question-file no", "out", 2, "", "error: question file no "),
    ],
)
def test_outputs_that_are_closed(made_up, command, closed, code, out, error):
    """Python has no stream there, so none that has a buffer or not."""
    done = run_module(*command.replace("RUN", str(made_up)).split(), **dict.fromkeys(closed.split(), CLOSED))
    check_end(done, code, out.replace("RUN", str(made_up)), error)


@pytest.mark.parametrize("buffered", [True, False])
@pytest.mark.parametrize(
    ("command", "code", "error"),
    [
        ("analyze nothing", 2, {"out": CLOSED, "error": GONE}),
        ("analyze summary RUN", PIPE_CLOSED, {}),
        ("analyze --help", PIPE_CLOSED, {}),
        ("analyze validate RUN", PIPE_CLOSED, {}),
        ("extract --help", PIPE_CLOSED, {}),
    ],
)
def test_outputs_whose_reader_is_gone(made_up, command, code, error, buffered):
    streams = {"out": GONE} | error
    check_end(run_module(*command.replace("RUN", str(made_up)).split(), buffered=buffered, **streams), code, "", "")


def check_end(done: subprocess.CompletedProcess, code: int, out: str, error: str) -> None:
    assert done.returncode == code, done.stderr
    assert done.stdout == out
    assert done.stderr.startswith(error)
    assert done.stderr.count("\n") == bool(error)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("buffered", [True, False])
def test_an_output_that_is_full(made_up, buffered):
    done = run_module("analyze", "validate", str(made_up), out="/dev/full", buffered=buffered)
    assert done.returncode == USAGE
    assert done.stderr.startswith("error: ")
    assert done.stderr.endswith("No space left on device\n")
    assert done.stderr.count("\n") == 1


@pytest.fixture
def full(monkeypatch):
    """From this call on, no file gets onto the disk: the system says so when it is flushed."""

    def refuse(_):
        raise OSError(FULL, os.strerror(FULL))

    return lambda: monkeypatch.setattr(writing, "_flush", refuse)


@pytest.mark.parametrize("command", [PLOTS, ["card"]], ids=["png", "card"])
def test_a_full_disk_leaves_what_was_there(made_up, tmp_path, full, capsys, command):
    """Pictures and copies of runs are written beside what they replace; the line says what cannot be written."""
    words, folder = [*command, str(made_up)], made_up
    if command == ["card"]:
        folder = tmp_path / "out"
        words.append(str(folder))
    else:
        assert main(words) == 0
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    capsys.readouterr()
    full()
    assert main(words) == USAGE
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(f"error: {folder}{os.sep}")
    assert said.endswith(": No space left on device; free some space there, or choose another place")
    assert {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()} == before


def test_a_job_on_a_full_disk_says_how_to_resume_it(made_up, full):
    settings = JobSettings(kind="edge", query="last", key="image", knock_outs=SET)
    manifest = job_manifest(open_run(made_up), settings)
    full()
    with pytest.raises(HeadflowError, match=r"cannot write to .*edge.*run.json'; .*the same command resumes it"):
        RunWriter(job_path(made_up, "edge"), manifest, Session(), samples=1)


def test_an_interrupt_before_a_run_leaves_no_folder(tmp_path, monkeypatch, capfd):
    there = []

    def leave(code):
        there.append((tmp_path / "run").exists())
        raise SystemExit(code)

    monkeypatch.setattr(cli.os, "_exit", leave)
    with pytest.raises(SystemExit), new_directory(tmp_path / "run") as undo, nothing_written(undo):
        cli._leave()
    assert there == [False]
    assert capfd.readouterr().err == "interrupted: nothing is written yet\n"
