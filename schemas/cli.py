"""What the commands of both stages share: exit codes, errors as one line, and what shows that they are at work."""

import atexit
import contextlib
import errno
import gc
import io
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from schemas.errors import UNDONE, HeadflowError, Stopped
from schemas.text import fitted, one_line, printable

USAGE = 2  # exit code of bad input, as of other programs
INTERRUPTED = 130  # 128 + SIGINT, as shells have it
PATIENCE = 2.0  # seconds without a line until a command shows that it is at work
PIPE_CLOSED = 141  # 128 + SIGPIPE

# What to do about an error of the operating system
_ROOM = "; free some space there, or choose another place"
_RIGHTS = "; change its rights, or choose another place"
ADVICE = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.EROFS: "; choose another place",
}


# Pictures are files, of one style: a notebook's backend need not be installed here, and no matplotlibrc is read
MATPLOTLIB = {"MPLBACKEND": "agg", "MATPLOTLIBRC": os.devnull}


def begin() -> None:
    """What a program does first: Ctrl-C ends it at once, matplotlib draws files, and its end takes no time.

    Arrow takes memory from the system, as its own allocator keeps what it read a large table with. At the program's end
    Python would look through all objects of all modules for cycles, three times, only to free their memory.
    """
    leave_at_interrupt()
    os.environ |= MATPLOTLIB
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    atexit.register(gc.freeze)


def leave_at_interrupt() -> None:
    """Let Ctrl-C end this process at once, with one line; called first of all, before imports that take seconds.

    An exception, as Python raises it, would show a traceback where nobody catches it, and be lost where a module that
    is imported catches all. What a command must finish first, it says with a handler of its own.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else whoever started this ignores Ctrl-C
        signal.signal(signal.SIGINT, lambda *_: _leave())


def _leave() -> None:
    for undo in UNDONE:
        with suppress(OSError):
            undo()
    with suppress(OSError):  # stderr may be closed
        line_ended = b"\n" if any(clock.shown for clock in _clocks) else b""
        said = b"interrupted: nothing is written yet" if UNDONE else b"interrupted"
        os.write(2, line_ended + said + b"\n")  # sys.stderr may be in the middle of a write
    os._exit(INTERRUPTED)


def say(line: object, *, error: bool = False, whole: bool = False) -> None:
    """Print one line, on stderr if it is an error or a warning; control characters of data are escaped.

    A terminal gets what it has no room for on several lines, if it is no error and need not stay `whole` to be copied.
    What `at_work` shows ends with the first line on stdout.
    """
    for clock in _clocks:
        clock.clear()
    if not error:
        end_clock()
    text = printable(line)
    print(text if error or whole else fitted(text), file=sys.stderr if error else sys.stdout)


class _Clock:
    """For how long something is at work, on the last line of a terminal, from `PATIENCE` on."""

    def __init__(self, what: str) -> None:
        import threading  # a command that fails at once needs none

        self._what, self._begun, self.shown = what, time.monotonic(), False
        self._done, self._lock = threading.Event(), threading.Lock()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        wait = PATIENCE
        while not self._done.wait(wait):
            wait = 1.0
            with self._lock, suppress(OSError):
                if not self._done.is_set():
                    sys.stderr.write(f"\r{self._what}: {time.monotonic() - self._begun:.0f} s")
                    sys.stderr.flush()
                    self.shown = True

    def clear(self) -> None:
        """Free the line for something else, until the next second."""
        with self._lock, suppress(OSError):
            if self.shown:
                sys.stderr.write("\r\x1b[K")
                sys.stderr.flush()
                self.shown = False

    def end(self) -> None:
        """Show nothing from now on."""
        self._done.set()
        self.clear()


_clocks: list[_Clock] = []


@contextmanager
def at_work(what: str) -> Iterator[None]:
    """Show on a terminal for how long something is at work; nothing where stderr is a pipe or a file."""
    if not (sys.stderr and sys.stderr.isatty()):
        yield
        return
    end_clock()
    clock = _Clock(what)
    _clocks.append(clock)
    try:
        yield
    finally:
        clock.end()
        _clocks.remove(clock)


def end_clock() -> None:
    """End what `at_work` shows, as something else is shown from now on."""
    for clock in _clocks:
        clock.end()


def run_command(command: Callable[[], int]) -> int:
    """Run a command line's body and return its exit code: its own, or that of what ended it.

    A `HeadflowError`, an `OSError` (a full disk, an unwritable directory) and a `MemoryError` become one line on
    stderr. A reader of the output that has seen enough (`| head`) is no error, and nothing is said; nor is an output
    that is closed (`>&-`).
    """
    _open_streams()
    code = _exit_code(command)
    failure = _flush()
    return code or failure


def _exit_code(command: Callable[[], int]) -> int:
    try:
        return command()
    except BrokenPipeError:
        return PIPE_CLOSED
    except Stopped as stopped:
        return _refuse(one_line(stopped), stopped.code)
    except HeadflowError as error:
        return _refuse(f"error: {one_line(error)}")
    except OSError as error:
        return _refuse(f"error: {_of_system(error)}")
    except MemoryError as error:
        return _refuse(f"error: not enough memory: {one_line(error)}")
    except KeyboardInterrupt:
        return _refuse("interrupted", INTERRUPTED)


def _of_system(error: OSError) -> str:
    """What the operating system refuses, where, and what to do."""
    if error.strerror is None:
        return one_line(error)
    if not isinstance(error.filename, str | bytes):
        return one_line(error.strerror)
    return f"{one_line(os.fsdecode(error.filename))}: {error.strerror}{ADVICE.get(error.errno or 0, '')}"


def _refuse(line: str, code: int = USAGE) -> int:
    with contextlib.suppress(OSError):  # nobody reads it
        say(line, error=True)
    return code


def _open_streams() -> None:
    """Point a closed stdout or stderr at the null device, so that the next opened file does not get its descriptor."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            closed = os.open(os.devnull, os.O_WRONLY)
            os.set_inheritable(closed, True)
            setattr(sys, name, os.fdopen(closed, "w", encoding="utf-8"))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name that the terminal cannot show is no error


def _flush() -> int:
    """Write out what was printed; returns 0, or an exit code if that fails."""
    code = 0
    for stream in (sys.stderr, sys.stdout):
        try:
            stream.flush()
        except OSError as error:
            # What is still in the buffer would fail again at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            closed = isinstance(error, BrokenPipeError)
            code = PIPE_CLOSED if closed else _refuse(f"error: the output cannot be written: {one_line(error)}")
    return code
