"""What the image brings to the answers: accuracy with it and without, and its gain in lead, by category."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analyze.drawing.results.intervals import draw_intervals, drawn_rows, rows_figure
from analyze.drawing.texts import put_legend

WITH, WITHOUT, PRIOR = "#0072B2", "#E69F00", "#000000"  # of Okabe and Ito
APART = 0.16  # rows


def gain_figure(table: pd.DataFrame, images: str, of: Sequence[str]) -> Figure:
    """Accuracy on the left, gain in lead on the right; hollow marks have no interval.

    How it can mislead: a gain is in logits, whose scale differs between models and between categories. Accuracy without
    the image near the bar of the more frequent answer is chance, not knowledge.

    Args:
        table: of `analyze.image.gain.Gain`.
        images: what stands in place of the image.
    """
    table, more = drawn_rows(table)
    rows = [f"{row['category']} ({row['images']})" for _, row in table.iterrows()]
    names = ["with the image", f"without ({images})", "always the more frequent answer"]
    title = "What the image brings, 95% intervals by image"
    figure, (left, right) = rows_figure(10.5, rows, title, [*of, *more], number=2, legend=names)
    y = np.arange(len(table))
    left.vlines(table["frequent"], y - 0.36, y + 0.36, color=PRIOR, linewidth=2)
    draw_intervals(left, table["accuracy"], table["low"], table["high"], marker="o", ink=WITH, shift=-APART)
    draw_intervals(
        left, table["without"], table["without_low"], table["without_high"], marker="s", ink=WITHOUT, shift=APART
    )
    left.set(xlabel="Accuracy, %", xlim=(-2, 102))
    right.axvline(0, color="0.4", linewidth=1)
    draw_intervals(right, table["gain"], table["gain_low"], table["gain_high"], marker="o", ink=WITH)
    right.set_xlabel(f"Gain of the lead over {images}, logits")
    handles = [
        Line2D([], [], marker="o", color=WITH, markersize=4.5),
        Line2D([], [], marker="s", color=WITHOUT, markersize=4.5),
        Line2D([], [], color=PRIOR, linewidth=2),
    ]
    put_legend(left, handles, names, "")
    return figure
