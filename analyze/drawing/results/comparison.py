"""Two runs side by side: scores, masses, and the difference of each head."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from analyze.drawing.figures import new_figure, place_panels, short_tick_labels
from analyze.drawing.heads import GREY, draw_diverging_map, map_size
from analyze.drawing.intervals import NAMES, draw_intervals, drawn_rows, name_rows
from analyze.drawing.labels import label
from analyze.drawing.texts import LETTERS, SMALLER, put_legend
from analyze.tables.text_scope import Array

MARKERS = {"a": "o", "b": "s"}
LINES: dict[str, Literal["-", "--"]] = {"a": "-", "b": "--"}
INKS = {"a": "#0072B2", "b": "#D55E00"}  # of Okabe and Ito
DIVERGING = "RdBu_r"


def draw_shares(axes: Axes, scores: pd.DataFrame) -> Axes:
    """Draw the accuracy of both runs by category with its intervals, one line of the table at each y.

    Args:
        scores: `a`, `a_low`, `a_high` and the same of `b`, in per cent; bounds may be missing.
    """
    for run, shift in (("a", -0.13), ("b", 0.13)):
        low, high = scores[f"{run}_low"], scores[f"{run}_high"]
        draw_intervals(axes, scores[run], low, high, marker=MARKERS[run], ink=INKS[run], shift=shift)
    axes.set(xlabel="Accuracy, %", xlim=(-2, 102))
    return axes


def draw_differences(axes: Axes, scores: pd.DataFrame) -> Axes:
    """Draw B − A with its interval, hollow where there is none; columns `difference`, `low`, `high`."""
    axes.axvline(0, color="0.4", linewidth=1)
    draw_intervals(axes, scores["difference"], scores["low"], scores["high"], marker="D", ink="0.15")
    axes.set(xlabel="B − A, percentage points")
    return axes


def scores_figure(scores: pd.DataFrame, title: str, of: Sequence[str], names: tuple[str, str]) -> Figure:
    """Accuracy of both runs by category on the left, the paired difference on the right.

    Args:
        scores: see `draw_shares` and `draw_differences`, with `category`.
        title, of: see `new_figure`.
        names: of the two runs.
    """
    scores, more = drawn_rows(scores)
    height = 1.9 + 0.34 * len(scores)
    figure = new_figure((9.5, height), title, [*of, *more])
    left, right = place_panels(figure, 1, 2, left=NAMES, above=0.35, between=(0.3, 0), sharey=True)
    draw_shares(left, scores)
    draw_differences(right, scores)
    name_rows(left, scores["category"].tolist())
    _legend(left, names, [Line2D([], [], marker=MARKERS[run], color=INKS[run], linestyle="") for run in "ab"], 9.5)
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
    width = max(6.0, 3.1 * len(flows) + 0.8)
    figure = new_figure((width, 8.6), title, of)
    panels = place_panels(figure, 3, len(flows), left=0.85, above=0.65, between=(0.55, 0.75))
    for column, flow in enumerate(flows):
        top, middle, bottom = panels[column :: len(flows)]
        top.set_title(label(flow), size=LETTERS)
        for run in ("a", "b"):
            ink, line = INKS[run], LINES[run]
            some, profile, order = (each[(each["run"] == run) & (each["flow"] == flow)] for each in (
                distributions, profiles, heads))  # fmt: skip
            edges = np.append(some["left"], some["right"].iloc[-1])
            top.stairs(some["share"], edges, color=ink, linestyle=line, linewidth=1.4)
            middle.plot(profile["depth"], profile["mean"], color=ink, linestyle=line, marker=MARKERS[run], markersize=3)
            middle.fill_between(profile["depth"], profile["low"], profile["high"], color=ink, alpha=0.2, linewidth=0)
            bottom.plot(order["rank"], order["mean"], color=ink, linestyle=line)
        top.set(xlabel="Attention value (mass)", xlim=(0, 1))
        middle.set(xlabel="Relative depth of the layer", xlim=(0, 1))
        bottom.set(xlabel="Heads, largest mean first (share)", xlim=(0, 1))
        for axes in (top, middle, bottom):
            axes.set_ylim(bottom=0)
            short_tick_labels(axes)
    for axes, text in zip(panels[:: len(flows)], ("Share of head values", "Mean", "Mean of a head"), strict=True):
        axes.set_ylabel(text)
    handles = [Line2D([], [], marker=MARKERS[run], color=INKS[run], linestyle=LINES[run]) for run in "ab"]
    _legend(panels[0], names, handles, width, above=0.3)
    return figure


def differences_figure(
    differences: Array, significant: npt.NDArray[np.bool_], flow: str, title: str, of: Sequence[str]
) -> Figure:
    """The layer x head map of B − A; heads whose difference is not significant are grey.

    Args:
        differences: [layers, heads].
        significant: bool [layers, heads].
    """
    size = map_size(*differences.shape)
    figure = new_figure(size, title, of)
    (axes,) = place_panels(figure, right=0.3, above=0.35)
    furthest = float(np.abs(differences[significant]).max()) if significant.any() else float(np.abs(differences).max())
    image = draw_diverging_map(
        axes, differences, middle=0, furthest=furthest or 1e-6, colours=DIVERGING, shown=significant
    )
    figure.colorbar(image, ax=axes, label=f"B − A, mean {flow.upper()}")
    _legend(axes, ("not significant",), [Patch(color=GREY)], size[0])
    return figure


def _legend(
    axes: Axes, names: Sequence[str], handles: Sequence[Line2D | Patch], width: float, **options: float
) -> None:
    put_legend(
        axes, list(handles), list(names), "", letters=LETTERS * SMALLER, width=width - 0.2, middle=width / 2, **options
    )
