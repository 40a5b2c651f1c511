"""Forks of this process: what they run finds torch and other large libraries imported, which takes seconds."""

import io
import os
import runpy
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Collection, Iterable

import psutil
from tqdm import tqdm

CLOSED, GONE = "closed", "gone"  # of a stream: it is closed; nobody reads it any more
AT_EXIT = 120  # Python's code where a stream cannot be flushed at its end
OURS = ("schemas", "extract", "analyze", "data")


def start(call: Callable[..., int], *arguments: object) -> int:
    """Call a function in a process of its own, whose exit code is what it returns; what it prints is lost.

    Returns:
        The id of the process.
    """
    child = os.fork()
    if not child:
        tqdm.set_lock(threading.RLock())  # its own is shared by all forks, and stays taken where one is killed with it
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(1, 2)
        code = 1
        try:
            code = call(*arguments)
        finally:
            os._exit(code)
    return child


def wait(child: int) -> int:
    """The exit code of a process, or minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def living(processes: Iterable[int], seconds: float = 60) -> list[int]:
    """Which of some processes have not ended, after these seconds at most.

    One that has ended is there until whoever adopted it asks for its exit code, which may take seconds.
    """
    until = time.monotonic() + seconds
    while (found := [each for each in processes if _lives(each)]) and time.monotonic() < until:
        time.sleep(0.01)
    return found


def _lives(process: int) -> bool:
    try:
        return psutil.Process(process).status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return False


def run_afresh(code: str, *arguments: object, without: Collection[str] = ()) -> subprocess.CompletedProcess:
    """Run code as `python -c` does where none of our packages is imported yet; other packages may be.

    Args:
        without: further packages that are not imported yet.
    """
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as error:
        child = os.fork()
        if not child:
            _run(code, [str(each) for each in arguments], {*OURS, *without}, (out.fileno(), error.fileno()))
        code_of_exit = wait(child)
        for file in (out, error):
            file.seek(0)
        return subprocess.CompletedProcess(code, code_of_exit, out.read(), error.read())


def _run(code: str, arguments: list[str], dropped: Collection[str], outputs: tuple[int, int]) -> None:
    status = 1
    try:
        for place, file in enumerate(outputs, 1):
            os.dup2(file, place)
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
        sys.argv[:] = ["-c", *arguments]
        for name in [name for name in sys.modules if name.partition(".")[0] in dropped]:
            del sys.modules[name]
        exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})
        status = 0
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        if status != stop.code and stop.code is not None:
            print(stop.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def run_module(
    name: str, *words: str, out: str | None = None, error: str | None = None, buffered: bool = True
) -> subprocess.CompletedProcess:
    """Run a module as `python -m` does, with its streams as a shell would make them.

    Args:
        out: where stdout goes: `CLOSED`, `GONE`, or the path of a file; None: it is returned.
        error: where stderr goes.
        buffered: False as Python is with `PYTHONUNBUFFERED`.
    """
    with tempfile.TemporaryFile("w+") as kept_out, tempfile.TemporaryFile("w+") as kept_error:
        child = os.fork()
        if not child:
            status = 1
            try:
                status = _as_program(name, words, (out, kept_out.fileno()), (error, kept_error.fileno()), buffered)
            finally:
                os._exit(status)
        code = wait(child)
        for file in (kept_out, kept_error):
            file.seek(0)
        return subprocess.CompletedProcess(words, code, kept_out.read(), kept_error.read())


def _as_program(
    name: str,
    words: tuple[str, ...],
    out: tuple[str | None, int],
    error: tuple[str | None, int],
    buffered: bool,
) -> int:
    for number, (where, kept) in ((1, out), (2, error)):
        if where == GONE:
            reader, kept = os.pipe()
            os.close(reader)
        elif where not in (None, CLOSED):
            kept = os.open(where, os.O_WRONLY)
        os.dup2(kept, number)
    sys.stdout, sys.stderr = (_stream(number, buffered) for number in (1, 2))
    for number, (where, _) in ((1, out), (2, error)):
        if where == CLOSED:  # for which Python has no stream
            os.close(number)
            setattr(sys, ("stdout", "stderr")[number - 1], None)
    sys.argv[:] = [name, *words]
    status = 0
    try:
        runpy.run_module(f"{name}.__main__", run_name="__main__")
    except SystemExit as stop:
        status = int(stop.code or 0)
    except BaseException:
        traceback.print_exc()
        status = 1
    for stream in filter(None, (sys.stdout, sys.stderr)):
        try:
            stream.flush()
        except OSError:
            os.write(2, b"Exception ignored while a stream is flushed\n")
            status = AT_EXIT
    return status


def _stream(number: int, buffered: bool) -> io.TextIOWrapper:
    raw = open(number, "wb", buffering=-1 if buffered else 0, closefd=False)  # noqa: SIM115
    return io.TextIOWrapper(raw, line_buffering=number == 2, write_through=not buffered)
