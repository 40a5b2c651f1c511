"""Files that readers see only when they are whole."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow as pa

from schemas.files.locations import Location, ObjectPath


def write_whole(path: Location, content: bytes | pa.Buffer) -> None:
    """Write a file; readers see it when it is whole."""
    if isinstance(path, ObjectPath):
        path.write_bytes(content)
        return
    with publishing(path) as aside:
        aside.write_bytes(content)


def write_text(path: Location, content: str) -> None:
    """Write a small JSON file; readers see it when it is whole."""
    write_whole(path, _encoded(content))


def write_text_once(path: Location, content: str, chunk: int) -> bool:
    """Write a small JSON file unless it exists; returns whether it was written. Of the writers of chunks, one does.

    On an object store several may, if they begin at the same time; the last one stays.
    """
    if isinstance(path, ObjectPath):
        if absent := not path.exists():
            write_text(path, content)
        return absent
    aside = path.parent / aside_name(path.name, chunk)
    try:
        with _naming(path):
            aside.write_bytes(_encoded(content))
            _flush(aside)
        try:
            os.link(aside, path)
        except FileExistsError:
            return False
        except OSError:  # a file system without links
            if path.exists():
                return False
            aside.replace(path)
        _flush_folder(path.parent)
        return True
    finally:
        aside.unlink(missing_ok=True)


def aside_name(name: str, chunk: int) -> str:
    """The name, until it is whole, of a file that the writers of all chunks write."""
    return f".{name}.{chunk:05d}.tmp"


@contextmanager
def publishing(path: Path) -> Iterator[Path]:
    """Where to write a file, which is then visible under its name, whole, also after a power cut.

    Raises:
        OSError: it cannot be written; the error names the file, and what was there before stays.
    """
    aside = path.with_name(f".{path.name}.tmp")  # the dot hides it from readers of the folder
    try:
        with _naming(path):
            yield aside
            _flush(aside)
            aside.replace(path)
            _flush_folder(path.parent)
    except BaseException:
        with suppress(OSError):  # where no folder is
            aside.unlink(missing_ok=True)  # free the space on a full disk
        raise


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Let errors of writing a file name it: one of a full disk names nothing."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def _flush(path: Path) -> None:
    """Flush a file to the disk."""
    with path.open("rb+") as file:
        os.fsync(file)


def _flush_folder(path: Path) -> None:
    """Flush the names in a folder to the disk; Windows cannot open folders, and does so by itself."""
    if os.name != "posix":
        return
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _encoded(content: str) -> bytes:
    return content.encode("utf-8", errors="backslashreplace")  # half a surrogate pair, as JSON writes it
