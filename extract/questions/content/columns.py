"""Columns of a question file that a user gives the names of fields: `question=query`."""

from collections.abc import Mapping, Sequence
from typing import Any

from extract.questions.fields import FIELD_NAMES, HINTS
from schemas.errors import HeadflowError
from schemas.text import listed

IMAGE = "image_file"
OPTIONS, HINT = "options", "hint"
_NAMES = {**FIELD_NAMES, OPTIONS: (OPTIONS,), HINT: HINTS}  # of each field, the columns that it is read from
FIELDS = ("image", *(name for name in _NAMES if name != IMAGE))


def read_columns(asked: Sequence[str]) -> dict[str, str]:
    """The column of each field, from `FIELD=COLUMN` each.

    Raises:
        ValueError: one is not such, names no field, or one that another has named.
    """
    found: dict[str, str] = {}
    for each in asked:
        given, equal, column = (part.strip() for part in each.partition("="))
        if not (given and equal and column):
            raise ValueError(f"{each} is not FIELD=COLUMN, such as question=query")
        field = IMAGE if given == "image" else given
        if field not in _NAMES:
            raise ValueError(f"{given} is no field of a question; there are {', '.join(FIELDS)}")
        if field in found:
            raise ValueError(f"the field {given} has two columns, {found[field]} and {column}")
        found[field] = column
    return found


def check_columns(there: Sequence[str], columns: Mapping[str, str], name: object) -> None:
    """Raise `HeadflowError` if a file lacks a column that a field is to be read from."""
    if missing := [column for column in columns.values() if column not in there]:
        raise HeadflowError(
            f"question file {name} has no column {missing[0]}; it has {listed(list(there), shown=30)}",
            setting="columns",
        )


def renamed(row: Any, columns: Mapping[str, str]) -> Any:
    """A row with its columns under the names of their fields, in place of what it has under these; else as it is."""
    if not isinstance(row, dict) or not columns:
        return row
    hidden = {name for field in columns for name in _NAMES[field]}
    taken = {*columns.values()} - {name for names in _NAMES.values() for name in names}
    kept = {name: value for name, value in row.items() if str(name).strip().lower() not in hidden and name not in taken}
    return kept | {field: row.get(column) for field, column in columns.items()}
