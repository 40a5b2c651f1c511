"""A run compared with a reference, by layer and by category: means on one Axes, differences on another."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from analyze.drawing.figures import new_figure, place_panels
from analyze.drawing.heads import TICKS
from analyze.drawing.labels import colour, label
from analyze.drawing.texts import LETTERS, SMALLER, fit, put_legend
from schemas.columns import DEFAULT_FLOWS

MARKERS = {"t2v": "o", "v2t": "s"}  # so that columns can be distinguished without colours
BAND = "0.85"  # grey of the tolerance
LINES = {"layer": "-", "category": ""}  # styles by group: layers have an order, categories have none
NAMES = 1.4  # inches for the names of categories, below the panels


def draw_means(axes: Axes, figures: pd.DataFrame, *, line: str) -> Axes:
    """Draw the means of a run as dots at x = 0, 1, 2 ... and those of the reference as rings around them.

    Args:
        figures: rows of `Verification.figures`, of one group.
        line: style of the line that joins the dots; empty if the names have no order.
    """
    for flow in DEFAULT_FLOWS:
        rows = figures[figures["flow"] == flow]
        dots, rings = (
            axes.plot(np.arange(len(rows)), rows[column], marker=MARKERS[flow], color=colour(flow), linewidth=1)[0]
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
    for flow in DEFAULT_FLOWS:
        off = figures.loc[figures["flow"] == flow, "off"]
        at = np.arange(len(off))
        axes.plot(at, off, linestyle=line, linewidth=1, marker=MARKERS[flow], markersize=4, color=colour(flow))
    furthest = max(1.5 * tolerance, 1.1 * float(figures["off"].abs().fillna(0).max()))
    axes.set(ylim=(-furthest, furthest), ylabel="Run − reference")
    return axes


def verification_figure(figures: pd.DataFrame, title: str, of: Sequence[str]) -> Figure:
    """Layers on the left, categories on the right, if the run has any of the reference; means above, deviations below.

    Args:
        figures: those of `Verification`.
        title, of: see `new_figure`.
    """
    groups = [group for group in LINES if figures.loc[figures["group"] == group, "run"].notna().any()]
    absent = [f"no {group} in common with the reference" for group in LINES if group not in groups]
    figure = new_figure((11, 7), title, [*of, *absent])
    panels = place_panels(
        figure,
        2,
        max(1, len(groups)),
        left=0.95,
        bottom=NAMES + 0.3 if "category" in groups else 0.6,
        above=0.35,
        between=(0.95, 0.15),
        sharex="col",
        height_ratios=(3, 2),
        width_ratios=(3, 2)[: max(1, len(groups))],
    )
    for number, group in enumerate(groups):
        above, below = panels[number :: max(1, len(groups))]
        rows = figures[figures["group"] == group]
        draw_means(above, rows, line=LINES[group])
        draw_deviations(below, rows, line=LINES[group])
        _name_ticks(below, list(rows["name"].unique()), group)
        figure.align_ylabels([above, below])
    handles = [*panels[0].get_legend_handles_labels()[0], Patch(color=BAND, label="tolerance")]
    put_legend(
        panels[0],
        handles,
        [str(handle.get_label()) for handle in handles],
        "",
        letters=LETTERS * SMALLER,
        width=10.8,
        middle=5.5,
    )
    return figure


def _name_ticks(axes: Axes, names: Sequence[str], group: str) -> None:
    """Names of layers or of categories on the x axis."""
    if group == "layer":
        step = max(1, len(names) // TICKS)
        axes.set_xticks(range(0, len(names), step), names[::step])
        axes.set_xlabel("Layer")
        return
    small = LETTERS * SMALLER
    texts = [fit(name, small, 2**0.5 * NAMES) for name in names]
    axes.set_xticks(range(len(names)), texts, parse_math=False, size=small)
    for text in axes.get_xticklabels():
        text.set(rotation=45, horizontalalignment="right", rotation_mode="anchor")
