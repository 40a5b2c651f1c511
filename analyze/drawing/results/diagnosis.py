"""How a model fails: pair states by category, calibration, and the contrast of each head; what the image brings."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from analyze.drawing.results.intervals import draw_intervals, drawn_rows, rows_figure
from analyze.drawing.results.signed import signed_figure
from analyze.drawing.texts import name_points, put_legend
from analyze.pictures.labels import NOT_DISCOVERED
from analyze.statistics.calibration import Calibration
from analyze.statistics.clusters import Array
from analyze.statistics.contrasts import BOTH_RIGHT, BOTH_WRONG, NEITHER, NO_BIASED, STATES, YES_BIASED

_INKS = {BOTH_RIGHT: "#BBBBBB", YES_BIASED: "#E69F00", NO_BIASED: "#0072B2", BOTH_WRONG: "#000000", NEITHER: "#CC79A7"}

WITH, WITHOUT, PRIOR = "#0072B2", "#E69F00", "#000000"  # of Okabe and Ito
APART = 0.16  # rows


def draw_states(axes: Axes, states: pd.DataFrame) -> Axes:
    """Draw the shares of the states of pairs as stacked bars, one line of the table at each y."""
    left = np.zeros(len(states))
    total = states[list(STATES)].sum(axis=1).clip(lower=1)
    for state in STATES:
        share = (100 * states[state] / total).to_numpy()
        axes.barh(np.arange(len(states)), share, left=left, color=_INKS[state], height=0.7)
        left += share
    axes.set(xlabel="Pairs of questions, %", xlim=(0, 100))
    axes.grid(visible=False, axis="y")
    return axes


def draw_calibration(axes: Axes, found: Calibration, option: str) -> Axes:
    """Draw how often an option is right against its probability; areas and names of marks are counts of questions."""
    curve = found.curve
    axes.plot([0, 1], [0, 1], color="0.5", linewidth=1, linestyle="--")
    size = 12 + 150 * curve["samples"] / curve["samples"].sum()
    axes.scatter(curve["probability"], curve["share"], s=size, color="#0072B2", zorder=3, clip_on=False)
    axes.set(
        xlabel=f"Probability of {option} (n of each bin)", ylabel=f"Share where {option} is right", xlim=(-0.02, 1.02)
    )
    axes.set_ylim(-0.02, 1.02)
    places = curve[["probability", "share"]].to_numpy()
    name_points(axes, [f"{number:,}" for number in curve["samples"]], places, radius=0.12)
    return axes


def answers_figure(states: pd.DataFrame, calibration: Calibration | None, option: str, of: Sequence[str]) -> Figure:
    """Pair states by category, and the calibration of an option."""
    states, more = drawn_rows(states)
    rows = [f"{row['category']} ({row['images']})" for _, row in states.iterrows()]
    title = "How pairs of questions on an image are answered"
    figure, panels = rows_figure(
        10.5 if calibration else 7.0, rows, title, [*of, *more], number=2 if calibration else 1, legend=STATES,
        between=0.95, last=2.6 if calibration else None,
    )  # fmt: skip
    draw_states(panels[0], states)
    if calibration:
        draw_calibration(panels[1], calibration, option)
    put_legend(panels[0], [Patch(color=_INKS[state]) for state in STATES], STATES, "")
    return figure


def positions_figure(letters: pd.DataFrame, calibration: Calibration | None, of: Sequence[str]) -> Figure:
    """How often each letter is given over all questions and what is expected, and the calibration of given options.

    Whiskers are those of the difference from what is expected; a mark without is hollow.

    Args:
        letters: `over_all` of `analyze.positions.Positions`.
    """
    own = letters.reset_index(drop=True)
    names = ["given", "expected without a position bias", "right"]
    title = "How often each letter is given, 95% intervals by image"
    figure, panels = rows_figure(
        10.5 if calibration else 7.0, [f"{row['letter']} ({row['answers']:,})" for _, row in own.iterrows()], title, of,
        number=2 if calibration else 1, legend=names, between=0.95, last=2.6 if calibration else None,
    )  # fmt: skip
    axes, y = panels[0], np.arange(len(own))
    axes.vlines(own["expected"], y - 0.36, y + 0.36, color=PRIOR, linewidth=2)
    axes.plot(own["right"], y + APART, marker="s", color=WITHOUT, linestyle="", markersize=4.5, clip_on=False)
    bounds = (own["expected"] + own[each] for each in ("low", "high"))
    draw_intervals(axes, own["given"], *bounds, marker="o", ink=WITH, shift=-APART)
    axes.set_xlabel("Answers, %")
    axes.set_xlim(left=0)
    if calibration:
        draw_calibration(panels[1], calibration, "the answer")
    handles = [
        Line2D([], [], marker="o", color=WITH, markersize=4.5),
        Line2D([], [], color=PRIOR, linewidth=2),
        Line2D([], [], marker="s", color=WITHOUT, linestyle="", markersize=4.5),
    ]
    put_legend(axes, handles, names, "")
    return figure


def contrasts_figure(
    values: Array,
    significant: npt.NDArray[np.bool_],
    flow: str,
    of: Sequence[str],
    *,
    layers: Sequence[int] | None = None,
) -> Figure:
    """The layer x head map of the contrast less what is expected of it; heads that are not significant are grey.

    Args:
        values: [layers, heads], -1 to 1.
        significant: bool [layers, heads].
        layers: see `signed_figure`.
    """
    return signed_figure(
        values,
        f"Does {flow.upper()} tell which question is answered wrong?",
        of,
        label="Contrast less what is expected",
        layers=layers,
        least=0.1,
        shown=significant,
        grey=NOT_DISCOVERED,
        none=f"No head's {flow.upper()} tells which question is answered wrong (false discovery rate 5%).",
    )


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
