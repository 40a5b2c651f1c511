"""Text of data, such as names of categories, in Markdown: shown as it is, and obeyed by no reader."""

import re
from collections.abc import Iterable, Sequence

from schemas.contract import markdown
from schemas.text import printable

_LONGEST = 300  # characters of one text
SPECIAL = re.compile(r"([\\`*_\[\]|~$#])")
ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def plain_text(value: object) -> str:
    """The text of a value on one line, cut if it is long."""
    text = printable(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def escaped(value: object) -> str:
    """The text of a value as Markdown shows it, in a line or a cell of a table: neither markup nor HTML."""
    text = SPECIAL.sub(r"\\\1", plain_text(value))
    return re.sub("[&<>]", lambda found: ENTITIES[found[0]], text)


def table_of(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table of data; its cells are escaped."""
    return markdown(header, ([escaped(cell) for cell in row] for row in rows))
