"""How a model fails: pair states by category, calibration, and the contrast of each head."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from analyze.drawing.figures import new_figure, place_panels
from analyze.drawing.heads import GREY, draw_diverging_map, map_size
from analyze.drawing.intervals import NAMES, drawn_rows, name_rows
from analyze.drawing.texts import LETTERS, SMALLER, put_legend
from analyze.statistics.calibration import Calibration
from analyze.statistics.contrasts import BOTH_RIGHT, BOTH_WRONG, NEITHER, NO_BIASED, STATES, YES_BIASED
from analyze.tables.text_scope import Array

INKS = {BOTH_RIGHT: "#BBBBBB", YES_BIASED: "#E69F00", NO_BIASED: "#0072B2", BOTH_WRONG: "#000000", NEITHER: "#CC79A7"}


def draw_states(axes: Axes, states: pd.DataFrame) -> Axes:
    """Draw the shares of the states of pairs as stacked bars, one line of the table at each y."""
    left = np.zeros(len(states))
    total = states[list(STATES)].sum(axis=1).clip(lower=1)
    for state in STATES:
        share = (100 * states[state] / total).to_numpy()
        axes.barh(np.arange(len(states)), share, left=left, color=INKS[state], height=0.7)
        left += share
    axes.set(xlabel="Pairs of questions, %", xlim=(0, 100))
    axes.grid(visible=False, axis="y")
    return axes


def draw_calibration(axes: Axes, found: Calibration) -> Axes:
    """Draw how often Yes is right against its probability; areas of marks are numbers of samples."""
    curve = found.curve
    axes.plot([0, 1], [0, 1], color="0.5", linewidth=1, linestyle="--")
    size = 12 + 150 * curve["samples"] / curve["samples"].sum()
    axes.plot(curve["probability"], curve["share"], color="#0072B2", linewidth=1)
    axes.scatter(curve["probability"], curve["share"], s=size, color="#0072B2", zorder=3)
    axes.set(xlabel="Probability of Yes, mean of a bin", ylabel="Share where Yes is right", xlim=(-0.02, 1.02))
    axes.set_ylim(-0.02, 1.02)
    return axes


def answers_figure(states: pd.DataFrame, calibration: Calibration | None, of: Sequence[str]) -> Figure:
    """Pair states by category on the left, calibration on the right."""
    states, more = drawn_rows(states)
    width, height = (10.5, max(4.0, 1.9 + 0.34 * len(states))) if calibration else (7.0, 1.9 + 0.34 * len(states))
    figure = new_figure((width, height), "How pairs of questions on an image are answered", [*of, *more])
    columns = 2 if calibration else 1
    panels = place_panels(figure, 1, columns, left=NAMES, above=0.35, between=(0.95, 0))
    draw_states(panels[0], states)
    name_rows(panels[0], [f"{row['category']} ({row['images']})" for _, row in states.iterrows()])
    if calibration:
        draw_calibration(panels[1], calibration)
    handles = [Patch(color=INKS[state]) for state in STATES]
    put_legend(panels[0], handles, list(STATES), "", letters=LETTERS * SMALLER, width=width - 0.2, middle=width / 2)
    return figure


def contrasts_figure(values: Array, significant: npt.NDArray[np.bool_], flow: str, of: Sequence[str]) -> Figure:
    """The layer x head map of the contrast less what is expected of it; heads that are not significant are grey.

    Args:
        values: [layers, heads], -1 to 1.
        significant: bool [layers, heads].
    """
    size = map_size(*values.shape)
    figure = new_figure(size, f"Does {flow.upper()} tell which question is answered wrong?", of)
    (axes,) = place_panels(figure, right=0.3, above=0.35)
    furthest = max(0.1, float(np.abs(values[significant]).max(initial=0)))
    image = draw_diverging_map(axes, values, middle=0, furthest=furthest, colours="PuOr_r", shown=significant)
    figure.colorbar(image, ax=axes, label="Contrast less what is expected")
    letters = LETTERS * SMALLER
    names = ["not significant (false discovery rate 5%)"]
    put_legend(axes, [Patch(color=GREY)], names, "", letters=letters, width=size[0] - 0.2, middle=size[0] / 2)
    return figure
