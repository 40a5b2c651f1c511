"""Text that fits: titles and legends are measured before they are drawn, so that the margins can hold them."""

from collections.abc import Iterable, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from analyze.drawing.fonts import drawable

LETTERS = 10.8  # points, of titles and labels
SMALLER = 0.92  # tick labels and legends, as a share of that
PAD = 0.08  # inches between texts
INCH = 72  # points
LINE = 1.4  # height of a line, as a share of the letters
HANDLE, HANDLE_PAD, COLUMN_PAD = 1.2, 0.5, 1.2  # widths in a legend, as shares of the letters
HINTING = 1.06  # by which letters drawn with few dots are wider
FULL_WIDTH = 5.0  # inches of a picture that has letters of full size


def letters_for(width: float) -> float:
    """Points of the letters in a picture of this width, in inches: smaller in narrow ones, at least 60%."""
    return LETTERS * min(1.0, max(0.6, width / FULL_WIDTH))


def lines_height(lines: int, letters: float) -> float:
    """Height of some lines of text, in inches."""
    return lines * letters * LINE / INCH


def width_of(text: str, letters: float) -> float:
    """Width of a text, in inches, at least as it is drawn with 100 dots per inch or more."""
    width, _, _ = text_to_path.get_text_width_height_descent(text, FontProperties(size=letters), False)
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


def fill(parts: Iterable[str], letters: float, width: float) -> list[str]:
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
    return lines_height(rows + bool(heading), letters) + PAD


def put_legend(
    axes: Axes,
    handles: Sequence[Any],
    labels: Sequence[str],
    heading: str,
    *,
    letters: float,
    width: float,
    middle: float,
    above: float = 0.0,
) -> None:
    """Put a legend over a panel, where it hides nothing.

    Args:
        heading: line above the entries; may be empty.
        letters: points.
        width: inches that the legend may take.
        middle: of the legend, in inches from the left of the figure.
        above: room between the panel and the legend, in inches.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    across, up = figure.get_size_inches()
    axes.legend(
        handles,
        labels,
        loc="lower center",
        bbox_to_anchor=(middle / across, axes.get_position().y1 + (above + PAD / 2) / up),
        bbox_transform=figure.transFigure,
        ncols=legend_columns(labels, letters, width),
        title=heading or None,
        fontsize=letters,
        title_fontsize=letters,
        frameon=False,
        borderpad=0,
        borderaxespad=0,
        labelspacing=0.15,
        handlelength=HANDLE,
        handletextpad=HANDLE_PAD,
        columnspacing=COLUMN_PAD,
    )
