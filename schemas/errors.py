"""What reaches a user as one line: what is wrong, where, and what to do."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

UNDONE: list[Callable[[], None]] = []  # what an interrupt undoes, see `nothing_written`


@contextmanager
def nothing_written(undo: Callable[[], None]) -> Iterator[None]:
    """Around what comes before anything is written: Ctrl-C then calls `undo`, and says that nothing is."""
    UNDONE.append(undo)
    try:
        yield
    finally:
        UNDONE.remove(undo)


class Stopped(Exception):
    """The user asked to stop; said in one line. `code` is the exit code, as shells have it for the signal."""

    def __init__(self, message: str, signal: int) -> None:
        super().__init__(message)
        self.code = 128 + signal


class HeadflowError(Exception):
    """Bad input or a bad run, said in one line. Anything else that escapes is a defect of headflow.

    Attributes:
        setting: the setting to change, such as `conv_mode`. A command that has a flag
            of that name names it after the message; code that raises the error knows no flags.
    """

    def __init__(self, message: str, *, setting: str | None = None) -> None:
        super().__init__(message)
        self.setting = setting
