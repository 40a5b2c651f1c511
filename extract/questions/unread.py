"""What a question file has beside what is asked: named in one line, or refused where the question is another one."""

import re
from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from extract.questions.fields import (
    FIELD_NAMES,
    KIND,
    NO_FIGURE,
    image_columns,
    is_missing,
    is_video,
    option_columns,
    without_figure,
)
from schemas.errors import HeadflowError
from schemas.text import counted

DECIDING = re.compile(r"option|choice")  # columns without which a question is another one
_LETTER = re.compile(r"[A-Za-z]")  # a column that may be meant as an option
KNOWN = {*(name for names in FIELD_NAMES.values() for name in names), "conversations", "messages", KIND}


def deciding(columns: Iterable[str]) -> list[str]:
    """The columns of a file that decide what its questions are, and are not asked."""
    return [column for column in columns if DECIDING.fullmatch(column.strip().lower())]


def columns_of(rows: Iterable[Any]) -> list[str]:
    """The columns of rows in which at least one has a value."""
    found: dict[str, None] = {}
    for row in rows:
        if isinstance(row, dict):
            found |= dict.fromkeys(str(name) for name, value in row.items() if name not in found and _is_there(value))
    return list(found)


def check_asked_whole(rows: Sequence[Any], path: Path) -> None:
    """Raise `HeadflowError` if questions of a file come with what may be an option."""
    columns = deciding(columns_of(rows))
    for number, row in enumerate(rows) if columns else ():
        if there := [name for name in columns if isinstance(row, dict) and _is_there(row.get(name))]:
            raise HeadflowError(
                f"question file {path}: row {number} has {_listed(there)}, without which its question is another one, "
                "and which are not asked; write all that is to be asked into `question`, and leave these columns out"
            )


def notes(columns: Iterable[str], rows: Sequence[Any], read: Iterable[str] = ()) -> list[str]:
    """What is to be said of a file, a line each.

    Args:
        columns: of the file, that have values.
        rows: as they are in the file.
        read: columns, in small letters, that are read beside `FIELD_NAMES`.
    """
    said = []
    names = list(columns)
    known, small = {*option_columns(names), *image_columns(names), "id"}, {*KNOWN, *read}
    if others := [name for name in names if name.strip() and name.strip().lower() not in small and name not in known]:
        letters = [name for name in others if _LETTER.fullmatch(name.strip())]
        why = (
            f"; of single letters, {_listed(('A', 'B'))} are to be among them to be options" if len(letters) > 1 else ""
        )
        said.append(f"{_listed(others)} {'is' if len(others) == 1 else 'are'} not read{why}")
    bare = sum(isinstance(row, dict) and without_figure(row) for row in rows)
    if bare:
        said.append(
            f"{counted(bare, 'row has', 'rows have')} `{NO_FIGURE}` 0, which HallusionBench asks without an image; "
            "they are skipped"
        )
    if videos := sum(isinstance(row, dict) and is_video(row) for row in rows):
        said.append(f"{counted(videos, 'row is', 'rows are')} about a video: skipped")
    further = sum(_has_further_messages(row) for row in rows)
    if further:
        said.append(
            "of `conversations`, the first question and answer are read; "
            f"{counted(further, 'row has', 'rows have')} more"
        )
    return said


def repeated(asked: Iterable[tuple[str, str, Sequence[str] | None]]) -> str | None:
    """A line on questions that ask the same about the same image; None if there are none.

    Args:
        asked: image, question and options of each row.
    """
    first: dict[tuple[str, str, Sequence[str] | None], int] = {}
    twice = [
        (first[each], number)
        for number, each in zip(count(), asked)
        if all(each[:2]) and first.setdefault(each, number) < number
    ]
    if not twice:
        return None
    (one, other), more = twice[0], len(twice) - 1
    others = f", and {more} more rows do so" if more else ""
    return f"row {other} repeats the question and the name of the image of row {one}{others}; each counts"


def _is_there(value: Any) -> bool:
    return not is_missing(value) and value != "" and value != [] and value != {}


def _has_further_messages(row: Any) -> bool:
    messages = row.get("conversations") if isinstance(row, dict) else None
    return isinstance(messages, list) and len(messages) > 2


def _listed(names: Sequence[str]) -> str:
    """Names as code, the first dozen."""
    shown = ", ".join(f"`{name}`" for name in names[:12])
    return shown + (f" and {len(names) - 12} more" if len(names) > 12 else "")
