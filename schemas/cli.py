"""What the commands of both stages share: values of flags, exit codes, and errors as one line."""

import argparse
import io
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from schemas.errors import HeadflowError, Stopped
from schemas.text import one_line

USAGE = 2  # exit code of bad input, as argparse has it
INTERRUPTED = 130  # 128 + SIGINT, as shells have it
PIPE_CLOSED = 141  # 128 + SIGPIPE

Number = TypeVar("Number", int, float)


def path(text: str) -> Path:
    """A path; refuses the empty text, which mostly comes from a shell variable that is not set."""
    if not text:
        raise argparse.ArgumentTypeError("the path is empty")
    return Path(text)


def number(kind: Callable[[str], Number], least: float, most: float, *, auto: bool = False) -> Callable[[str], Number]:
    """A reader of numbers from `least` to `most`; `auto`: its error also names the choice `auto`."""

    def read(text: str) -> Number:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not least <= value <= most:
            wrong = f"{'neither auto nor' if auto else 'not'} a{' whole' if kind is int else ''} number"
            form = "d" if kind is int else "g"
            raise argparse.ArgumentTypeError(f"{text[:80]} is {wrong} from {least:{form}} to {most:{form}}")
        return value

    return read


def leave_at_interrupt() -> None:
    """Let Ctrl-C end this process at once, with one line; called first of all, before imports that take seconds.

    An exception, as Python raises it, would show a traceback where nobody catches it, and be lost where a module that
    is imported catches all. What a command must finish first, it says with a handler of its own.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else whoever started this ignores Ctrl-C
        signal.signal(signal.SIGINT, lambda *_: _leave())


def _leave() -> None:
    with suppress(OSError):  # stderr may be closed
        os.write(2, b"interrupted\n")  # sys.stderr may be in the middle of a write
    os._exit(INTERRUPTED)


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
    except HeadflowError as error:
        flag = f"; see --{error.setting.replace('_', '-')}" if error.setting else ""
        print(f"error: {one_line(error)}{flag}", file=sys.stderr)
        return USAGE
    except OSError as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        return USAGE
    except MemoryError as error:
        print(f"error: not enough memory: {one_line(error)}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
