"""Locks between processes that do not outlive their owner: the kernel lets go when a process ends, however it ends.

A lock stays while any copy of its open file does, so processes that are forked off, to read images, close theirs.
"""

import errno
import fcntl
import os
import sys
import weakref
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
            locked = _flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._file)
            raise HeadflowError(busy) from None
        if not locked:
            print(
                f"warning: {path.parent} lies where files cannot be locked: write it from one process", file=sys.stderr
            )
        _held.add(self)

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


_held: weakref.WeakSet[Lock] = weakref.WeakSet()


def _close_copies() -> None:
    for lock in _held:
        lock.release()


os.register_at_fork(after_in_child=_close_copies)


@contextmanager
def turn(path: Path) -> Iterator[None]:
    """Wait until no other process is inside, and keep others out meanwhile."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        _flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def _flock(file: int, how: int) -> bool:
    """Whether the file's system has locks."""
    try:
        fcntl.flock(file, how)
    except OSError as error:
        if error.errno not in UNKNOWN:
            raise
        return False
    return True
