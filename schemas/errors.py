"""The error that reaches a user as one line: what is wrong, where, and what to do."""

import io
import os
import sys
from collections.abc import Callable

USAGE = 2  # exit code of bad input, as argparse has it
INTERRUPTED = 130  # 128 + SIGINT, as shells have it
PIPE_CLOSED = 141  # 128 + SIGPIPE


class Stopped(Exception):
    """The user asked to stop; told in one line. `code` is the exit code, as shells have it for the signal."""

    def __init__(self, message: str, signal: int) -> None:
        super().__init__(message)
        self.code = 128 + signal


class HeadflowError(Exception):
    """Bad input or a bad run, told in one line. Anything else that escapes is a defect of headflow."""


def one_line(error: object) -> str:
    """The text of an error, on one line."""
    return " ".join(str(error).split())


def short(value: object) -> str:
    """How a value is written in Python, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def run_command(command: Callable[[], int]) -> int:
    """Run a command line's body and return its exit code: its own, or that of what ended it.

    A `HeadflowError`, an `OSError` (a full disk, an unwritable directory) and a `MemoryError` become one line on
    stderr. A reader of the output that has seen enough (`| head`) is no error, and nothing is said.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name that the terminal cannot show is no error
    try:
        code = command()
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # What is still in the buffer would fail again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except Stopped as stopped:
        print(one_line(stopped), file=sys.stderr)
        return stopped.code
    except (HeadflowError, OSError) as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        return USAGE
    except MemoryError as error:
        print(f"error: not enough memory: {one_line(error)}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
