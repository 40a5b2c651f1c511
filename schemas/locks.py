"""Locks between processes that do not outlive their owner: the kernel lets go when a process ends, however it ends."""

import errno
import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from schemas.errors import HeadflowError

UNKNOWN = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK)  # what file systems without locks say


class Lock:
    """Holds a file for this process, until `release` or its end."""

    def __init__(self, path: Path, busy: str) -> None:
        """Take the lock.

        Raises:
            HeadflowError: another process holds it; `busy` is what to say then.
        """
        self._path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, path)
        except BlockingIOError:
            os.close(self._file)
            raise HeadflowError(busy) from None

    def check(self) -> None:
        """Hold that the file is where it was when it was locked.

        Raises:
            HeadflowError: it is not; another process may hold one in its place.
        """
        try:
            same = os.path.samestat(os.fstat(self._file), self._path.stat())
        except FileNotFoundError:
            same = False
        if not same:
            raise HeadflowError(f"{self._path.parent} was removed while it was written; the same command starts anew")

    def release(self) -> None:
        """Let others have it; does nothing where that was done."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)


@contextmanager
def turn(path: Path) -> Iterator[None]:
    """Wait until no other process is inside, and keep others out meanwhile."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        _flock(file, fcntl.LOCK_EX, path)
        yield
    finally:
        os.close(file)


def _flock(file: int, how: int, path: Path) -> None:
    try:
        fcntl.flock(file, how)
    except OSError as error:
        if error.errno not in UNKNOWN:
            raise
        print(f"warning: {path.parent} lies where files cannot be locked: write it from one process", file=sys.stderr)
