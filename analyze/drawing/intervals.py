"""Values with their intervals, a named row each."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analyze.drawing.texts import LETTERS, SMALLER, fit

NAMES = 1.9  # inches for the names of rows
MOST_ROWS = 60  # of a picture: more are neither read nor drawn in bounded memory


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

    Args:
        shift: of all marks, in rows, so that several in one row do not hide each other.
    """
    y = np.arange(len(values)) + shift
    axes.hlines(y, low.fillna(values), high.fillna(values), color=ink, linewidth=1.4)
    for known, face in ((low.notna(), ink), (low.isna(), "none")):
        axes.plot(values[known], y[known], marker=marker, color=ink, linestyle="", markersize=4.5, markerfacecolor=face)
    return axes


def name_rows(axes: Axes, names: Sequence[str]) -> Axes:
    """Write names on the left, the first one on top; the margin has `NAMES` inches."""
    texts = [fit(name, LETTERS * SMALLER, NAMES - 0.2) for name in names]
    axes.set_yticks(range(len(names)), texts, parse_math=False)
    axes.set_ylim(len(names) - 0.5, -0.5)
    return axes
