"""Tables as CSV files, and as text for a terminal."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from schemas.errors import HeadflowError
from schemas.files import publishing
from schemas.text import printable


def write_csv(tables: Mapping[str, pd.DataFrame], folder: Path) -> HeadflowError | None:
    """Write tables into a folder, by the names of their files.

    Returns:
        What kept them from being written; the caller raises it when the result has been printed.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, table in tables.items():
            with publishing(folder / name) as aside:
                table.to_csv(aside, index=False)
    except OSError as error:
        return unwritable(", ".join(tables), folder, error)
    return None


def unwritable(what: str, folder: Path, error: OSError) -> HeadflowError:
    """The error of a result that has no place on the disk."""
    return HeadflowError(f"{what} cannot be written to {folder}: {error.strerror or error}", setting="output_dir")


def as_text(table: pd.DataFrame, digits: int) -> str:
    """A table as lines of text, without its index; numbers with so many digits, control characters escaped."""
    table = table.rename(columns=printable)
    texts = table.select_dtypes(exclude="number").columns
    table = table.assign(**{name: table[name].map(printable, na_action="ignore") for name in texts})
    return table.to_string(index=False, na_rep="", float_format=lambda value: f"{value:.{digits}f}")
