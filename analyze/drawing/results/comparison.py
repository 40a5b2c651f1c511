"""Two runs side by side: scores, masses, and the difference of each head."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator

from analyze.drawing.figures import figure_below_title, place_panels, short_tick_labels
from analyze.drawing.page import LETTERS, SMALLER, across, panels_across
from analyze.drawing.results.intervals import draw_intervals, drawn_rows, rows_figure
from analyze.drawing.results.signed import signed_figure
from analyze.drawing.texts import TEXT_GAP, legend_height, lines_height, put_legend
from analyze.pictures.labels import label
from analyze.statistics.clusters import Array

_MARKERS = {"a": "o", "b": "s"}
_LINES: dict[str, Literal["-", "--"]] = {"a": "-", "b": "--"}
_SIGNIFICANT, _OTHER = "0.1", "0.55"  # of differences
_INKS = {"a": "#0072B2", "b": "#D55E00"}  # of Okabe and Ito
_NARROWEST = 1.7  # inches of a panel of masses


def draw_shares(axes: Axes, scores: pd.DataFrame) -> Axes:
    """Draw the accuracy of both runs by category with its intervals, one line of the table at each y.

    Args:
        scores: `a`, `a_low`, `a_high` and the same of `b`, in per cent; bounds may be missing.
    """
    for run, shift in (("a", -0.13), ("b", 0.13)):
        low, high = scores[f"{run}_low"], scores[f"{run}_high"]
        draw_intervals(axes, scores[run], low, high, marker=_MARKERS[run], ink=_INKS[run], shift=shift)
    axes.set(xlabel="Accuracy, %", xlim=(-2, 102))
    return axes


def draw_differences(axes: Axes, scores: pd.DataFrame) -> Axes:
    """Draw B − A with its interval, grey and hollow where it is not significant.

    Args:
        scores: `difference`, `low`, `high` (NaN where there is no interval) and `significant`.
    """
    axes.axvline(0, color="0.4", linewidth=1)
    y, found = np.arange(len(scores)), scores["significant"].to_numpy(bool)
    for own, ink, face in ((found, _SIGNIFICANT, _SIGNIFICANT), (~found, _OTHER, "white")):
        some = scores[own]
        axes.hlines(y[own], some["low"], some["high"], color=ink, linewidth=1.4)
        axes.plot(some["difference"], y[own], marker="D", color=ink, linestyle="", markersize=4.5, markerfacecolor=face)
    axes.set(xlabel="B − A, percentage points")
    return axes


def scores_figure(scores: pd.DataFrame, title: str, of: Sequence[str], names: Sequence[str]) -> Figure:
    """Accuracy of both runs by category on the left, the paired difference on the right.

    Args:
        scores: see `draw_shares` and `draw_differences`, with `category`.
        title, of: see `new_figure`.
        names: of the two runs.
    """
    scores, more = drawn_rows(scores)
    handles = [Line2D([], [], marker=_MARKERS[run], color=_INKS[run], linestyle="") for run in "ab"]
    handles += [
        Line2D([], [], marker="D", color=ink, markerfacecolor=face, linestyle="", markersize=4.5)
        for ink, face in ((_SIGNIFICANT, _SIGNIFICANT), (_OTHER, "white"))
    ]
    names = (*names, "B − A, significant", "not significant")
    figure, (left, right) = rows_figure(9.5, scores["category"].tolist(), title, [*of, *more], number=2, legend=names)
    draw_shares(left, scores)
    draw_differences(right, scores)
    put_legend(left, handles, names, "")
    return figure


def masses_figure(
    distributions: pd.DataFrame,
    profiles: pd.DataFrame,
    heads: pd.DataFrame,
    title: str,
    of: Sequence[str],
    names: tuple[str, str],
) -> Figure:
    """A column of panels for each mass: distribution, profile by relative depth, heads in order of their means.

    Args:
        distributions: `run` (a, b), `flow`, `left` and `right` (of the bin), `share` (of all head values).
        profiles: `run`, `flow`, `depth` (0 to 1), `mean`, `low`, `high`.
        heads: `run`, `flow`, `rank` (0 to 1), `mean`.
    """
    flows = list(distributions["flow"].unique())
    natural = max(6.0, 3.1 * len(flows) + 0.8)
    columns = panels_across(len(flows), natural, _NARROWEST, 1.05, 0.55)
    blocks = -(-len(flows) // columns)
    above = (
        legend_height(names, "", LETTERS * SMALLER, across(natural) - 2 * TEXT_GAP)
        + lines_height(1, LETTERS)
        + TEXT_GAP
    )
    high = 1.65 if blocks == 1 else 1.1
    tall = above + 3 * blocks * high + (3 * blocks - 1) * 0.85 + 0.6
    figure = figure_below_title(across(natural), tall, title, of)
    panels = place_panels(figure, 3 * blocks, columns, left=0.85, above=above, between=(0.55, 0.85))
    for place, flow in enumerate(flows):
        top, middle, bottom = panels[3 * columns * (place // columns) + place % columns :: columns][:3]
        top.set_title(label(flow))
        for run in ("a", "b"):
            ink, line = _INKS[run], _LINES[run]
            some, profile, order = (each[(each["run"] == run) & (each["flow"] == flow)] for each in (
                distributions, profiles, heads))  # fmt: skip
            edges = np.append(some["left"], some["right"].iloc[-1])
            top.stairs(some["share"], edges, color=ink, linestyle=line, linewidth=1.4)
            middle.plot(
                profile["depth"],
                profile["mean"],
                color=ink,
                linestyle=line,
                marker=_MARKERS[run],
                markersize=3,
                clip_on=False,
            )
            middle.fill_between(profile["depth"], profile["low"], profile["high"], color=ink, alpha=0.2, linewidth=0)
            bottom.plot(order["rank"], order["mean"], color=ink, linestyle=line)
        top.set(xlabel="Attention value (mass)", xlim=(0, 1))
        middle.set(xlabel="Relative depth of the layer", xlim=(0, 1))
        bottom.set(xlabel="Heads, largest mean first", xlim=(0, 1))
        for axes in (top, middle, bottom):
            axes.set_ylim(bottom=0)
            short_tick_labels(axes).xaxis.set_major_locator(FixedLocator([0, 0.5, 1]))
    for row, axes in enumerate(panels[::columns]):
        axes.set_ylabel(("Share of values", "Mean", "Mean of a head")[row % 3])
    handles = [Line2D([], [], marker=_MARKERS[run], color=_INKS[run], linestyle=_LINES[run]) for run in "ab"]
    put_legend(panels[0], handles, names, "", above=lines_height(1, LETTERS))
    for axes in panels:
        if not axes.has_data():
            axes.remove()
    return figure


def differences_figure(
    differences: Array,
    significant: npt.NDArray[np.bool_],
    flow: str,
    title: str,
    of: Sequence[str],
    *,
    none: str,
    layers: Sequence[int] | None = None,
) -> Figure:
    """The layer x head map of B − A; heads whose difference is not significant are grey.

    Args:
        differences: [layers, heads].
        significant: bool [layers, heads].
        none, layers: see `signed_figure`.
    """
    label = f"B − A, mean {flow.upper()}"
    return signed_figure(differences, title, of, label=label, layers=layers, shown=significant, none=none)
