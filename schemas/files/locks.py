"""Locks between processes that end with their owner: the kernel releases them when a process ends, however it ends.

A lock stays while any copy of its open file does, so processes that are forked off, to read images, close theirs.
An object store has no locks, nor have some file systems; there the writers of a chunk are told apart by the names of
their parts, and by its ledger, see `LedgerFile`.
"""

import errno
import os
import secrets
import sys
import weakref

from schemas.errors import HeadflowError
from schemas.files.locations import Location, ObjectPath

try:
    import fcntl
except ModuleNotFoundError:  # Windows
    fcntl = None  # type: ignore[assignment]
    import msvcrt

_UNSUPPORTED = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK)  # what file systems without locks answer


class Lock:
    """Holds a file for this process, until `release` or its end; nothing where there are no locks.

    Attributes:
        writer: for the names of parts where there are no locks: a name that no other process has; else empty.
    """

    def __init__(self, path: Location, busy: str) -> None:
        """Take the lock.

        Raises:
            HeadflowError: another process holds it; `busy` is the message.
        """
        self._path = path
        self._file, self.writer = -1, f"w{secrets.token_hex(4)}"
        if isinstance(path, ObjectPath):
            return
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            locked = _lock(self._file)
        except BlockingIOError:
            os.close(self._file)
            raise HeadflowError(busy) from None
        if locked:
            self.writer = ""
        else:
            print(
                f"warning: {path.parent} lies on a file system without locks: write it from one process",
                file=sys.stderr,
            )
        _held.add(self)

    def check(self) -> None:
        """Check that the file is where it was when it was locked.

        Raises:
            HeadflowError: it is not; another process may hold one in its place.
        """
        if isinstance(self._path, ObjectPath):
            return
        try:
            same = os.path.samestat(os.fstat(self._file), self._path.stat())
        except FileNotFoundError:
            same = False
        if not same:
            raise HeadflowError(f"{self._path.parent} was removed while it was written; the same command starts anew")

    def release(self) -> None:
        """Release the lock; does nothing if it was released before."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)


_held: weakref.WeakSet[Lock] = weakref.WeakSet()


def _close_copies() -> None:
    for lock in _held:
        lock.release()


if hasattr(os, "register_at_fork"):  # where processes fork
    os.register_at_fork(after_in_child=_close_copies)


def _lock(file: int) -> bool:
    """Lock an open file; returns whether its file system has locks.

    Raises:
        BlockingIOError: another process holds the lock.
    """
    try:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    except PermissionError:  # what Windows answers if another process holds it
        raise BlockingIOError from None
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        return False
    return True
