"""Panels of named rows: values with their intervals, and the like."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analyze.drawing.figures import figure_below_title, place_panels
from analyze.drawing.page import LETTERS, SMALLER, across, panels_across
from analyze.drawing.texts import TEXT_GAP, fit, legend_height

NAMES_WIDTH = 1.9  # inches for the names of rows
_ROW = 0.34  # inches of a row
MOST_ROWS = 60  # of a picture: more are neither read nor drawn in bounded memory
_LOWEST, _NARROWEST = 1.2, 1.9  # inches of a panel
BELOW = 0.6  # inches for ticks and label of an x axis


def rows_figure(
    natural: float,
    rows: Sequence[str],
    title: str,
    of: Sequence[str],
    *,
    number: int,
    legend: Sequence[str] = (),
    between: float = 0.3,
    last: float | None = None,
) -> tuple[Figure, list[Axes]]:
    """A figure of panels of the same rows, side by side where the page has room, else one below another.

    Args:
        natural: width of the figure, in inches; so are the others.
        rows: their names, the first one on top.
        title, of: see `new_figure`.
        number: of panels.
        legend: what a legend over the first panel says; the caller puts it there.
        between: room between panels that stand side by side.
        last: height of the last panel, which has other rows; None: it has the same.
    """
    columns = number if panels_across(number, natural, _NARROWEST, NAMES_WIDTH + 0.2, between) == number else 1
    above = TEXT_GAP + (legend_height(legend, "", LETTERS * SMALLER, across(natural) - 2 * TEXT_GAP) if legend else 0)
    heights = [max(_LOWEST, _ROW * len(rows))] * number
    heights[-1] = last or heights[-1]
    heights = [max(heights)] if columns > 1 else heights
    gap = BELOW + 2 * TEXT_GAP
    figure = figure_below_title(across(natural), above + sum(heights) + BELOW + (len(heights) - 1) * gap, title, of)
    panels = place_panels(
        figure, len(heights), columns, left=NAMES_WIDTH, bottom=BELOW, above=above, between=(between, gap),
        sharey=last is None, height_ratios=heights,
    )  # fmt: skip
    for axes in panels if last is None else panels[:-1]:
        name_rows(axes, rows)
    return figure, panels


def drawn_rows(table: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The rows of a table that a picture has room for, and a line on the rest, if there is any.

    Args:
        table: a row for each category, and last all of them; `questions`, how many each has.
    """
    if len(table) <= MOST_ROWS:
        return table, ()
    largest = table["questions"][:-1].nlargest(MOST_ROWS - 1).index
    kept = table[table.index.isin([*largest, table.index[-1]])].reset_index(drop=True)
    return kept, (f"{len(largest):,} of {len(table) - 1:,} categories are drawn, those with the most questions",)


def draw_intervals(
    axes: Axes, values: pd.Series, low: pd.Series, high: pd.Series, *, marker: str, ink: str, shift: float = 0.0
) -> Axes:
    """Draw values with whiskers, the first row at y = 0; a mark is hollow where `low` is missing.

    Marks at the end of a scale, such as 100%, lie over the frame.

    Args:
        shift: of all marks, in rows, so that several in one row do not hide each other.
    """
    y = np.arange(len(values)) + shift
    axes.hlines(y, low.fillna(values), high.fillna(values), color=ink, linewidth=1.4)
    for known, face in ((low.notna(), ink), (low.isna(), "none")):
        axes.plot(
            values[known], y[known], marker=marker, color=ink, linestyle="", markersize=4.5, markerfacecolor=face,
            clip_on=False,
        )  # fmt: skip
    return axes


def name_rows(axes: Axes, names: Sequence[str]) -> Axes:
    """Write names on the left, the first one on top; the margin has `NAMES_WIDTH` inches."""
    texts = [fit(name, LETTERS * SMALLER, NAMES_WIDTH - 0.2) for name in names]
    axes.set_yticks(range(len(names)), texts, parse_math=False)
    axes.set_ylim(len(names) - 0.5, -0.5)
    return axes
