"""A run compared with a reference, by layer and by category: means on one Axes, differences on another."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from analyze.drawing.figures import colours
from analyze.drawing.heads import TICKS
from analyze.drawing.labels import label
from analyze.tables.frames import DEFAULT

MARKERS = {"t2v": "o", "v2t": "s"}  # so that columns can be distinguished without colours
BAND = "0.85"  # grey of the tolerance


def draw_means(axes: Axes, figures: pd.DataFrame, *, line: str) -> Axes:
    """Draw the means of a run as dots at x = 0, 1, 2 ... and those of the reference as rings around them.

    Args:
        figures: rows of `Verification.figures`, of one group.
        line: style of the line that joins the dots; empty if the names have no order.
    """
    for flow, colour in zip(DEFAULT, colours(DEFAULT), strict=True):
        rows = figures[figures["flow"] == flow]
        dots, rings = (
            axes.plot(np.arange(len(rows)), rows[column], marker=MARKERS[flow], color=colour, linewidth=1)[0]
            for column in ("run", "reference")
        )
        dots.set(linestyle=line, markersize=3, label=f"{label(flow)}, run")
        rings.set(linestyle="", markersize=7, markerfacecolor="none", label=f"{flow.upper()}, reference")
    axes.set(ylabel="Mean attention value")
    axes.set_ylim(bottom=0)
    return axes


def draw_deviations(axes: Axes, figures: pd.DataFrame, *, line: str) -> Axes:
    """Draw run - reference, on a band of the tolerance around 0; arguments as for `draw_means`."""
    tolerance = float(figures["tolerance"].iloc[0])
    axes.axhspan(-tolerance, tolerance, color=BAND, linewidth=0, zorder=0)
    for flow, colour in zip(DEFAULT, colours(DEFAULT), strict=True):
        off = figures.loc[figures["flow"] == flow, "off"]
        at = np.arange(len(off))
        axes.plot(at, off, linestyle=line, linewidth=1, marker=MARKERS[flow], markersize=4, color=colour)
    furthest = max(1.5 * tolerance, 1.1 * float(figures["off"].abs().fillna(0).max()))
    axes.set(ylim=(-furthest, furthest), ylabel="Run − reference")
    return axes


def verification_figure(figures: pd.DataFrame, title: str) -> Figure:
    """Layers on the left, categories on the right; means above, deviations below."""
    figure = Figure(figsize=(11, 7))
    panels = figure.subplots(2, 2, sharex="col", height_ratios=(3, 2), width_ratios=(3, 2))
    figure.subplots_adjust(left=0.085, right=0.985, top=0.86, bottom=0.22, wspace=0.24, hspace=0.08)
    for (above, below), group, line in zip(panels.T, ("layer", "category"), ("-", ""), strict=True):
        rows = figures[figures["group"] == group]
        draw_means(above, rows, line=line)
        draw_deviations(below, rows, line=line)
        names = rows["name"].unique()
        step = max(1, len(names) // TICKS) if group == "layer" else 1
        below.set_xticks(range(0, len(names), step), names[::step], parse_math=False)
        figure.align_ylabels([above, below])
    panels[1, 0].set_xlabel("Layer")
    for text in below.get_xticklabels():
        text.set(rotation=45, horizontalalignment="right", rotation_mode="anchor")
    handles = [*above.get_legend_handles_labels()[0], Patch(color=BAND, label="tolerance")]
    figure.legend(
        handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0.94), ncols=5, frameon=False, columnspacing=1.2
    )
    figure.suptitle(title, size="medium", parse_math=False)
    return figure
