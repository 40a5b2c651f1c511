"""Faults of single rows: each costs its row, or one field of it, and is named; the other rows are asked as they are."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from extract.questions.fields import FIELD_NAMES, NEEDED, REQUIRED, is_missing
from extract.questions.samples import check_field
from schemas.errors import HeadflowError
from schemas.text import short


def without_faults(rows: Sequence[Any], path: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """Rows with all fields that are needed, and a line on each kind of fault.

    A row that is no object or lacks such a field gets it as None, and is skipped later. A field that cannot be read
    becomes None.

    Raises:
        HeadflowError: no row has what is needed, or most values of a field cannot be read.
    """
    lacking = [(number, what) for number, row in enumerate(rows) if (what := _what_it_lacks(row))]
    if len(lacking) == len(rows):
        number, what = lacking[0]
        raise HeadflowError(f"question file {path}: row {number} {what}{_more(lacking)}; each row needs {NEEDED}")
    notes = [f"row {lacking[0][0]} {lacking[0][1]}{_more(lacking)}: skipped"] if lacking else []
    whole = [dict.fromkeys(REQUIRED) | (row if isinstance(row, dict) else {}) for row in rows]
    for name in FIELD_NAMES:
        faults = {
            number: fault for number, row in enumerate(whole) if (fault := _fault(name, row.get(name), number, path))
        }
        if not faults:
            continue
        first = next(iter(faults.values()))
        if 2 * len(faults) > sum(not is_missing(row.get(name)) for row in whole):
            raise first
        for number in faults:
            whole[number][name] = None
        text = str(first).removeprefix(f"question file {path}: ")
        notes.append(f"{text}{_more(list(faults))}: `{name}` counts as missing there")
    return whole, notes


def _what_it_lacks(row: Any) -> str:
    if not isinstance(row, dict):
        return f"is {short(row)}, not an object"
    return next((f"has no `{field}`" for field in REQUIRED if field not in row), "")


def _fault(name: str, value: Any, number: int, path: Path) -> HeadflowError | None:
    """What is wrong with a field of a row; None if nothing is."""
    if isinstance(value, HeadflowError):
        return value
    try:
        check_field(name, value, number, path)
    except HeadflowError as error:
        return error
    return None


def _more(found: Sequence[Any]) -> str:
    """How many rows have the fault beside the one that is named."""
    return f" (and {len(found) - 1} more rows like it)" if len(found) > 1 else ""
