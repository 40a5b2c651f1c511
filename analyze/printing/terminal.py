"""Tables as text that fits the terminal. Files have the same tables with all columns."""

import re
import shutil
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from typing import Any

import numpy as np
import pandas as pd

from schemas.text import printable

_WIDTH = 100  # where there is no terminal
_GAP = 1  # spaces between columns
LONG = 20  # letters of a text that is not repeated in each row
_NARROW = 16  # letters that a column of text keeps
BOUND = re.compile(r"(?:.+_)?low")


@dataclass(frozen=True)
class _Column:
    """A column of text: lines of its head, and lines of each of its cells."""

    head: list[str]
    cells: list[list[str]]
    is_text: bool = False

    @cached_property
    def width(self) -> int:
        """Letters of its longest line."""
        return max(_width(line) for lines in (self.head, *self.cells) for line in (lines or [""]))


def as_text(table: pd.DataFrame, digits: int, *, bounds: bool = True, width: int | None = None) -> str:
    """A table as lines of text, without its index; numbers with so many digits, control characters escaped.

    A value stands in one cell with its interval, `value [low, high]`: the bounds `X_low` and `X_high` are those of the
    column X, or of the column before them. A p value that would be 0 with so many digits has one digit that is not.

    A table that is too wide has long heads on several lines; then, below it, long texts where few cells or few
    different ones are long; then, above it, what is the same in all rows; then long texts on several lines; and if
    that is not enough, the rest of its columns below.

    Args:
        bounds: whether there are such columns; else the names of columns mean nothing here.
        width: letters of a line; None: those of the terminal, `_WIDTH` where there is none.
    """
    width = shutil.get_terminal_size((_WIDTH, 0)).columns if width is None else width
    columns, above, below = _columns(table, digits, bounds=bounds), "", list[str]()
    if _total(columns) > width:
        columns = [replace(each, head=_folded(each)) for each in columns]
    if _total(columns) > width:
        columns = [_with_marks(each, below) for each in columns]
    if _total(columns) > width and len(table) > 1:
        same = [each for each in columns[1:] if len({*map(tuple, each.cells)}) == 1]
        columns = [each for each in columns if not any(each is other for other in same)]
        above = ", ".join(f"{''.join(each.head)} {each.cells[0][0]}" for each in same if each.cells[0] != [""])
    wrapped = _wrapped(columns, width)
    if _total(wrapped) <= width or any(_total(block) > width for block in _blocks(columns, width)):
        columns = wrapped
    lines = [line for block in _blocks(columns, width) for line in _lines(block)]
    shown = _wrap(f"in all rows: {above}", max(width, LONG)) if above else []
    return "\n".join([*shown, *lines, *(line for note in below for line in _wrap(note, max(width, LONG)))])


def _columns(table: pd.DataFrame, digits: int, *, bounds: bool) -> list[_Column]:
    """The columns of a table; values with their bounds are one."""
    names, found = list(map(str, table.columns)), dict[str, _Column]()
    highs = {name: f"{name.removesuffix('low')}high" for name in names[1:] if bounds and BOUND.fullmatch(name)}
    highs = {low: high for low, high in highs.items() if high in names}
    for place, name in enumerate(names):
        if name in highs.values():
            continue
        values = table.iloc[:, place]
        if name in highs:
            own = name.removesuffix("_low")
            value = own if own in found else names[place - 1]
            texts = [
                [_cell(each, digits) for each in table.iloc[:, names.index(of)]] for of in (value, name, highs[name])
            ]
            found[value] = _Column([printable(value)], _with_bounds(*texts))
        else:
            small = name == "p" or name.startswith("p_") or name.endswith("_p")
            cells = [[_cell(each, digits, small=small)] for each in values]
            found[name] = _Column([printable(name)], cells, not pd.api.types.is_numeric_dtype(values))
    return list(found.values())


def _cell(value: Any, digits: int, *, small: bool = False) -> str:
    if value is None or value is pd.NA or (isinstance(value, float | np.floating) and np.isnan(value)):
        return ""
    if not isinstance(value, float | np.floating):
        return printable(value)
    if small and 0 < value < 10 ** (1 - digits):
        return f"{value:.2g}"
    return f"{value if round(value, digits) else 0:.{digits}f}"  # no -0.0


def _with_bounds(values: list[str], lows: list[str], highs: list[str]) -> list[list[str]]:
    """`value [low, high]`, the numbers below each other; the value by itself where it has no bounds."""
    value, low, high = (max(map(len, texts), default=0) for texts in (values, lows, highs))
    none = " " * (len(" [, ]") + low + high if low else 0)
    return [
        [f"{a:>{value}} [{b:>{low}}, {c:>{high}}]" if b and c else f"{a:>{value}}{none}"]
        for a, b, c in zip(values, lows, highs, strict=True)
    ]


def _folded(column: _Column) -> list[str]:
    """The head of a column on several lines, none longer than the cells or its own longest word."""
    text = " ".join(column.head)
    most = max(_width(piece) for piece in [*_words(text), *(line for cell in column.cells for line in cell), ""])
    return _wrap(text, most)


def _with_marks(column: _Column, notes: list[str]) -> _Column:
    """The column with marks in place of long texts, if these are few; `notes` gets them."""
    texts = [" ".join(cell) for cell in column.cells]
    long = [text for text in dict.fromkeys(texts) if _width(text) > LONG and " " in text]
    if not column.is_text or not long or len(long) * 2 > len([text for text in texts if text]):
        return column
    marks = {text: f"({len(notes) + number})" for number, text in enumerate(long, start=1)}
    notes += [f"{mark} {text}" for text, mark in marks.items()]
    return replace(column, cells=[[marks.get(text, text)] for text in texts])


def _wrapped(columns: Sequence[_Column], width: int) -> list[_Column]:
    """The columns with long texts on several lines, the longest first, until the table fits or none is long."""
    found = list(columns)
    for _ in columns:
        place = max(range(len(found)), key=lambda each: found[each].width if found[each].is_text else 0)
        widest, excess = found[place], _total(found) - width
        if excess <= 0 or not widest.is_text or widest.width <= _NARROW:
            break
        most = max(_NARROW, widest.width - excess)
        cells = [_wrap(" ".join(cell), most) for cell in widest.cells]
        found[place] = replace(widest, cells=cells)
    return found


def _blocks(columns: Sequence[_Column], width: int) -> Iterator[list[_Column]]:
    """The columns in blocks that fit; each block begins with the columns that tell the rows apart."""
    keys = _keys(columns, width)
    rest, first = list(columns[len(keys) :]), True
    while rest or first:
        widths = accumulate((each.width + _GAP for each in rest), initial=_total(keys))
        fitting = max(1, sum(total <= width for total in widths) - 1)
        yield [*keys, *rest[:fitting]]
        rest, first = rest[fitting:], False


def _keys(columns: Sequence[_Column], width: int) -> list[_Column]:
    """The first texts and whole numbers, up to where no two rows are the same, in at most half of the width."""
    keys = [columns[0]]
    for each in columns[1:]:
        rows = [tuple(map(tuple, row)) for row in zip(*(key.cells for key in keys), strict=True)]
        whole = each.is_text or all(re.fullmatch(r"-?\d*", line) for cell in each.cells for line in cell)
        if len(set(rows)) == len(rows) or not whole or 2 * _total([*keys, each]) > width:
            break
        keys.append(each)
    return keys


def _lines(columns: Sequence[_Column]) -> Iterator[str]:
    """The lines of a block: heads at the bottom of theirs, cells at the top."""
    widths = [each.width for each in columns]
    height = max(len(each.head) for each in columns)
    heads = [[""] * (height - len(each.head)) + each.head for each in columns]
    for row in [heads, *zip(*(each.cells for each in columns), strict=True)]:
        for number in range(max(map(len, row))):
            parts = [cell[number] if number < len(cell) else "" for cell in row]
            padded = [" " * (most - _width(part)) + part for part, most in zip(parts, widths, strict=True)]
            yield (" " * _GAP).join(padded).rstrip()


def _total(columns: Sequence[_Column]) -> int:
    return sum(each.width for each in columns) + _GAP * (len(columns) - 1)


def _words(text: str) -> list[str]:
    """The text in pieces, between which a line may break: `bias_p of` is `bias_`, `p `, `of`."""
    return re.split(r"(?<=[\s_/,@])(?=[^\s_/,@])|(?<=[a-z]-)(?=[a-z])", text)


def _wrap(text: str, width: int) -> list[str]:
    """The text in lines of at most `width`; words that are longer are cut."""
    lines, letters = [""], width if _width(text) == len(text) else width // 2
    for word in _words(text):
        for begin in range(0, len(word), letters):
            piece = word[begin : begin + letters]
            lines = (
                [*lines, piece] if _width((lines[-1] + piece).rstrip()) > width else [*lines[:-1], lines[-1] + piece]
            )
    return [line.strip() for line in lines]


def _width(text: str) -> int:
    """Cells of a terminal that a text takes; letters of Chinese and the like take two."""
    if text.isascii():
        return len(text)
    return sum(
        2 if unicodedata.east_asian_width(letter) in "WF" else not unicodedata.combining(letter) for letter in text
    )
