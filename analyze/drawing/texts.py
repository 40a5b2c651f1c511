"""Text that fits: titles and legends are measured before they are drawn, so that the margins can hold them."""

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from analyze.drawing.fonts import drawable
from analyze.drawing.page import LETTERS, SMALLER, printed, size_of

TEXT_GAP = 0.08  # inches between texts
INCH = 72  # points
LINE = 1.4  # height of a line, as a share of the letters
HANDLE, HANDLE_PAD, COLUMN_PAD = 1.2, 0.5, 1.2  # widths in a legend, as shares of the letters
HINTING = 1.06  # by which letters drawn with few dots are wider
RINGS = 12  # of places around a point, and places on each
_Box = tuple[float, float, float, float]
_LEAST = 6.0  # points
FULL_WIDTH = 5.0  # inches of a picture that has letters of full size; narrower ones have smaller letters


def letters_for(width: float) -> float:
    """Points of the letters in a picture of so many inches: smaller in narrow ones; of legends `_LEAST` or more."""
    return LETTERS * min(1.0, max(_LEAST / SMALLER / LETTERS, width / FULL_WIDTH))


def lines_height(lines: int, letters: float) -> float:
    """Height of some lines of text, in inches."""
    return lines * letters * LINE / INCH


def width_of(text: str, letters: float) -> float:
    """Width of a text, in inches, at least as it is drawn with 100 dots per inch or more."""
    return _width(text, letters, tuple(matplotlib.rcParams["font.family"]))


@lru_cache(4096)
def _width(text: str, letters: float, families: tuple[str, ...]) -> float:
    """`width_of` in some fonts: titles and legends are measured for their room, their columns and their place."""
    font = FontProperties(family=list(families), size=letters)
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, False)
    return float(width) / INCH * HINTING


def fit(text: str, letters: float, width: float) -> str:
    """The text as it can be drawn, on one line; its middle left out if it is wider than `width` inches."""
    text = " ".join(text.split())
    if width_of(whole := drawable(text), letters) <= width:
        return whole
    low, high = 0, len(text)  # letters that are kept: so many fit, so many do not
    while high - low > 1:
        kept = (low + high) // 2
        low, high = (kept, high) if width_of(_cut(text, kept), letters) <= width else (low, kept)
    return _cut(text, low)


def _cut(text: str, kept: int) -> str:
    """The first and the last letters of a text, `kept` in all."""
    return f"{drawable(text[: kept - kept // 2])}…{drawable(text[len(text) - kept // 2 :])}"


def fill_rows(parts: Iterable[str], letters: float, width: float) -> list[str]:
    """Parts of a title joined by commas, on as few lines as they need; a part is never divided."""
    lines: list[str] = []
    for part in parts:
        joined = f"{lines[-1]}, {fit(part, letters, width)}" if lines else ""
        if lines and width_of(joined, letters) <= width:
            lines[-1] = joined
        else:
            lines.append(fit(part, letters, width))
    return lines


def wrap(text: str, letters: float, width: float, most: int) -> list[str]:
    """A text on lines of `width` inches, divided between words; what does not fit on `most` lines is left out."""
    lines, words = [""], text.split()
    for place, word in enumerate(words):
        longer = f"{lines[-1]} {word}".strip()
        if width_of(drawable(longer), letters) <= width or not lines[-1]:
            lines[-1] = longer
        elif len(lines) < most:
            lines.append(word)
        else:
            lines[-1] = " ".join([lines[-1], *words[place:]])
            break
    return [fit(line, letters, width) for line in lines]


def legend_columns(labels: Sequence[str], letters: float, width: float) -> int:
    """How many columns a legend can have that may be `width` inches wide."""
    entry = max(width_of(text, letters) for text in labels) + (HANDLE + HANDLE_PAD + COLUMN_PAD) * letters / INCH
    return max(1, min(len(labels), int((width + COLUMN_PAD * letters / INCH) / entry)))


def legend_height(labels: Sequence[str], heading: str, letters: float, width: float) -> float:
    """Height of a legend over a panel, in inches; arguments as for `put_legend`."""
    rows = -(-len(labels) // legend_columns(labels, letters, width))
    return lines_height(rows + bool(heading), letters) + TEXT_GAP


def put_legend(
    axes: Axes,
    handles: Sequence[Any],
    labels: Sequence[str],
    heading: str,
    *,
    letters: float = LETTERS * SMALLER,
    width: float | None = None,
    middle: float | None = None,
    above: float = 0.0,
) -> None:
    """Put a legend over a panel, where it hides nothing.

    Args:
        heading: line above the entries; may be empty.
        letters: points.
        width: inches that the legend may take; None: the width of the figure.
        middle: of the legend, in inches from the left of the figure; None: that of the figure.
        above: room between the panel and the legend, in inches.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    across, up = size_of(figure)
    width, middle = width or across - 2 * TEXT_GAP, middle or across / 2
    axes.legend(
        handles,
        labels,
        loc="lower center",
        bbox_to_anchor=(middle / across, axes.get_position().y1 + (above + TEXT_GAP / 2) / up),
        bbox_transform=figure.transFigure,
        ncols=legend_columns(labels, letters, width),
        title=heading or None,
        fontsize=printed(letters),
        title_fontsize=printed(letters),
        frameon=False,
        borderpad=0,
        borderaxespad=0,
        labelspacing=0.15,
        handlelength=HANDLE,
        handletextpad=HANDLE_PAD,
        columnspacing=COLUMN_PAD,
    )


def name_points(
    axes: Axes, names: Sequence[str], points: npt.NDArray[np.float64], *, radius: float = TEXT_GAP / 2
) -> None:
    """Write names beside points, each where it lies neither on another name nor on a named point, joined by a line.

    Args:
        points: float64 [names, 2], in units of both axes; their limits do not change.
        radius: of the marks, in inches.
    """
    figure, letters = axes.get_figure(root=True), LETTERS * SMALLER
    assert figure is not None
    (across, up), place = size_of(figure), axes.get_position()
    axes.set(xlim=axes.get_xlim(), ylim=axes.get_ylim())
    width, height = place.width * across, place.height * up
    inches = axes.transAxes.inverted().transform(axes.transData.transform(points)) * (width, height)
    taken = [(x - radius, y - radius, x + radius, y + radius) for x, y in inches]
    tall = lines_height(1, letters)
    for name, (x, y) in zip(names, inches, strict=True):
        wide = width_of(name, letters)
        box = min(_places(x, y, wide, tall, radius), key=lambda box: _covered(box, taken, width, height))
        taken.append(box)
        middle = (box[0] + box[2]) / 2 - x, (box[1] + box[3]) / 2 - y
        axes.annotate(
            name, (x / width, y / height), (printed(middle[0] * INCH), printed(middle[1] * INCH)),
            xycoords="axes fraction", textcoords="offset points", size=printed(letters), ha="center", va="center",
            arrowprops={"arrowstyle": "-", "linewidth": 0.5, "color": "0.4", "shrinkA": 0, "shrinkB": 2},
        )  # fmt: skip


def _places(x: float, y: float, wide: float, tall: float, radius: float) -> Iterator[_Box]:
    """Boxes for a name around a point, the nearest first; `x0, y0, x1, y1` in inches."""
    for ring in range(1, RINGS):
        for turn in range(RINGS):
            angle = 2 * math.pi * turn / RINGS
            left = x + math.cos(angle) * (radius + TEXT_GAP / 2 * ring + wide / 2) - wide / 2
            low = y + math.sin(angle) * (radius + TEXT_GAP / 2 * ring + tall / 2) - tall / 2
            yield left, low, left + wide, low + tall


def _covered(box: _Box, taken: Sequence[_Box], width: float, height: float) -> float:
    """Area that a box shares with others, and has outside of the panel."""
    inside = max(0.0, min(box[2], width) - max(box[0], 0)) * max(0.0, min(box[3], height) - max(box[1], 0))
    outside = (box[2] - box[0]) * (box[3] - box[1]) - inside
    return outside + sum(
        max(0.0, min(box[2], x1) - max(box[0], x0)) * max(0.0, min(box[3], y1) - max(box[1], y0))
        for x0, y0, x1, y1 in taken
    )
