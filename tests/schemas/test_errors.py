"""How a command ends: its exit code, and what it says."""

import os
import subprocess
import sys

import pytest

from schemas.cli import INTERRUPTED, PIPE_CLOSED, USAGE, run_command
from schemas.errors import HeadflowError


def test_a_command_ends_with_its_own_code():
    assert [run_command(lambda code=code: code) for code in (0, 1)] == [0, 1]


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (HeadflowError("bad\n thing"), USAGE, "error: bad thing\n"),
        (OSError("disk full"), USAGE, "error: disk full\n"),
        (MemoryError("Unable to allocate 9 EiB"), USAGE, "error: not enough memory: Unable to allocate 9 EiB\n"),
        (KeyboardInterrupt(), INTERRUPTED, "interrupted\n"),
    ],
)
def test_what_goes_wrong_is_one_line(error, code, said, capsys):
    def command():
        raise error

    assert run_command(command) == code
    assert capsys.readouterr().err == said


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
