"""Parquet files that anything may have happened to: what is wrong with one, as one line."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.errors import HeadflowError, one_line


@contextmanager
def reading(what: object, remedy: str = "") -> Iterator[None]:
    """Around calls of pyarrow: what it raises of a file that is no Parquet, or not whole, becomes one line.

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


def open_parquet(path: Path, *, memory_map: bool = False) -> pq.ParquetFile:
    """Open a file; each page is held against its checksum when it is read, where the writer gave it one."""
    return pq.ParquetFile(path, memory_map=memory_map, page_checksum_verification=True)
