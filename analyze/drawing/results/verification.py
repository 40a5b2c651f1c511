"""A run compared with a reference, by layer and by category: means on one Axes, differences on another."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from analyze.drawing.figures import figure_below_title, place_panels
from analyze.drawing.heads import TICKS
from analyze.drawing.page import LETTERS, SMALLER, across, panels_across, printed
from analyze.drawing.texts import TEXT_GAP, fit, legend_height, put_legend
from analyze.pictures.labels import colour, label
from schemas.columns import DEFAULT_FLOWS

_MARKERS = {"t2v": "o", "v2t": "s"}  # so that columns can be distinguished without colours
_BAND = "0.85"  # grey of the tolerance
_LINES = {"layer": "-", "category": ""}  # styles by group: layers have an order, categories have none
_NAMES = 1.4  # inches for the names of categories, below the panels


def draw_means(axes: Axes, figures: pd.DataFrame, *, line: str) -> Axes:
    """Draw the means of a run as dots at x = 0, 1, 2 ... and those of the reference as rings around them.

    Args:
        figures: rows of `Verification.figures`, of one group.
        line: style of the line that joins the dots; empty if the names have no order.
    """
    for flow in DEFAULT_FLOWS:
        rows = figures[figures["flow"] == flow]
        dots, rings = (
            axes.plot(np.arange(len(rows)), rows[column], marker=_MARKERS[flow], color=colour(flow), linewidth=1)[0]
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
    axes.axhspan(-tolerance, tolerance, color=_BAND, linewidth=0, zorder=0)
    for flow in DEFAULT_FLOWS:
        off = figures.loc[figures["flow"] == flow, "off"]
        at = np.arange(len(off))
        axes.plot(at, off, linestyle=line, linewidth=1, marker=_MARKERS[flow], markersize=4, color=colour(flow))
    furthest = max(1.5 * tolerance, 1.1 * float(figures["off"].abs().fillna(0).max()))
    axes.set(ylim=(-furthest, furthest), ylabel="Run − reference")
    return axes


def verification_figure(figures: pd.DataFrame, title: str, of: Sequence[str]) -> Figure:
    """Layers on the left, categories on the right, if the run has any of the reference; means above, deviations below.

    Args:
        figures: those of `Verification`.
        title, of: see `new_figure`.
    """
    groups = [group for group in _LINES if figures.loc[figures["group"] == group, "run"].notna().any()]
    absent = [f"no {group} in common with the reference" for group in _LINES if group not in groups]
    number = max(1, len(groups))
    columns = panels_across(number, 11, 3.0, 1.15, 0.95)
    blocks = number // columns
    legend = [*(f"{label(flow)}, reference" for flow in DEFAULT_FLOWS)] * 2
    over = legend_height(legend, "", LETTERS * SMALLER, across(11) - 2 * TEXT_GAP) + TEXT_GAP
    bottom = _NAMES + 0.3 if "category" in groups else 0.6
    gap = 0.15 if blocks == 1 else 0.75
    tall = over + 4.4 * blocks + gap * (2 * blocks - 1) + bottom
    figure = figure_below_title(across(11), tall, title, [*of, *absent])
    panels = place_panels(
        figure,
        2 * blocks,
        columns,
        left=0.95,
        bottom=bottom,
        above=over,
        between=(0.95, gap),
        sharex="col" if blocks == 1 else "none",
        height_ratios=(3, 2) * blocks,
        width_ratios=(3, 2)[:columns],
    )
    for place, group in enumerate(groups):
        above, below = panels[place::columns] if blocks == 1 else panels[2 * place : 2 * place + 2]
        rows = figures[figures["group"] == group]
        draw_means(above, rows, line=_LINES[group])
        draw_deviations(below, rows, line=_LINES[group])
        if blocks > 1:
            above.set_xlim(below.get_xlim())
            above.tick_params(labelbottom=False)
        _name_ticks(below, list(rows["name"].unique()), group)
        figure.align_ylabels([above, below])
    handles = [*panels[0].get_legend_handles_labels()[0], Patch(color=_BAND, label="tolerance")]
    put_legend(panels[0], handles, [str(handle.get_label()) for handle in handles], "")
    return figure


def _name_ticks(axes: Axes, names: Sequence[str], group: str) -> None:
    """Names of layers or of categories on the x axis."""
    if group == "layer":
        step = max(1, len(names) // TICKS)
        axes.set_xticks(range(0, len(names), step), names[::step])
        axes.set_xlabel("Layer")
        return
    small = LETTERS * SMALLER
    texts = [fit(name, small, 2**0.5 * _NAMES) for name in names]
    axes.set_xticks(range(len(names)), texts, parse_math=False, size=printed(small))
    for text in axes.get_xticklabels():
        text.set(rotation=45, horizontalalignment="right", rotation_mode="anchor")
