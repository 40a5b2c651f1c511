"""Forks of this process: what they run finds torch and other large libraries imported, which takes seconds."""

import os
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Collection

from tqdm import tqdm

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
