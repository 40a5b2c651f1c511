"""Parquet files that may be damaged: opened and read, or one line that says what is wrong."""

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.errors import HeadflowError
from schemas.files.locations import Location, ObjectPath, check_no_device
from schemas.text import one_line, storable


@contextmanager
def reading(what: object, remedy: str = "") -> Iterator[None]:
    """Turn pyarrow's errors about a broken or foreign file into a `HeadflowError` of one line.

    Args:
        what: the file, as the line begins.
        remedy: how the line ends.

    Raises:
        HeadflowError: the file cannot be read. `FileNotFoundError` is left to the caller.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError, UnicodeError) as error:  # the last of names and texts that are no UTF-8
        raise HeadflowError(f"{what} cannot be read as Parquet: {one_line(error)[:300]}{remedy}") from None


def open_parquet(path: Location, *, memory_map: bool = False) -> pq.ParquetFile:
    """Open a file; each page is compared with its checksum when it is read, if the writer gave it one."""
    check_no_device(path)
    if isinstance(path, ObjectPath):
        return pq.ParquetFile(path.open(), pre_buffer=True, page_checksum_verification=True)
    if str(path) != storable(str(path)):  # no UTF-8, as pyarrow wants it: an old name, or any in a locale of ASCII
        return pq.ParquetFile(pa.PythonFile(path.open("rb"), mode="r"), page_checksum_verification=True)
    return pq.ParquetFile(path, memory_map=memory_map, page_checksum_verification=True)
