"""What cutting heads or layers costs: curves against random sets, and criteria against the measured effect."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from analyze.drawing.figures import figure_below_title, place_panels, short_tick_labels
from analyze.drawing.page import SMALLER, across, panels_across, printed
from analyze.drawing.texts import TEXT_GAP, legend_height, letters_for, put_legend
from analyze.statistics.clusters import Array

# Of Okabe and Ito, which colour-blind readers tell apart; marks and orders of dashes tell them apart in print
INKS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
_MARKERS = ("o", "s", "^", "D", "v", "P")
_BAND, _MEDIAN = "0.85", "0.45"
_LEAST, _MOST = "least", "most"
Bands = Sequence[tuple[float, Array]]  # of each share low, median and high
# Column of losses and of their bounds, and what is left of it on the axis
_MEASURES = (
    ("loss", "loss_low", "loss_high", "{score}"),
    ("effect", "effect_low", "effect_high", "Lead, logits"),
)
_COLUMNS = 3  # panels side by side
_WIDTH = 4.4  # inches
_NARROWEST = 1.9  # inches of a panel of a criterion
ASIDE = 0.7  # per cent of the axis between the marks of two criteria, so that none hides another


def draw_curve(
    axes: Axes, rows: pd.DataFrame, measure: Sequence[str], untouched: float, place: int, number: int
) -> Axes:
    """Draw what is left of a measure against the share that is cut: least important first solid, most dashed.

    Args:
        rows: of one criterion: `order`, `share`, and the columns of `measure`: the loss and its bounds.
        untouched: value at share 0.
        place: of the criterion, which gives its colour and mark, and moves it a little aside; of so many: `number`.
    """
    loss, low, high = measure[:3]
    ink, marker = INKS[place % len(INKS)], _MARKERS[place % len(_MARKERS)]
    for order, own in rows.sort_values("share").groupby("order", sort=False):
        solid = order == _LEAST
        x = np.append(0.0, 100 * own["share"].to_numpy() + ASIDE * (place - (number - 1) / 2))
        y = untouched - np.append(0.0, own[loss].to_numpy(np.float64))
        axes.plot(
            x, y, color=ink, marker=marker, markersize=3.6 if solid else 3.0, linestyle="-" if solid else (0, (4, 2)),
            linewidth=1.4 if solid else 0.9, markerfacecolor=ink if solid else "white", zorder=3 if solid else 2,
            clip_on=False,
        )  # fmt: skip
        if solid:
            lower, upper = (untouched - own[each].to_numpy(np.float64) for each in (high, low))
            axes.vlines(x[1:], lower, upper, color=ink, linewidth=1.2, zorder=3)
    return axes


def curves_figure(
    sets: pd.DataFrame,
    random: Mapping[str, Bands],
    untouched: Mapping[str, float],
    unit: str,
    of: Sequence[str],
    score: str,
) -> Figure:
    """Score and lead against the share of heads, or layers, that is cut; a line for each criterion, 95% whiskers.

    The grey band holds 95% of the random sets, which have as many heads in each layer as the `least` sets; where
    criteria cut different layers it is over the sets of all of them.

    Args:
        sets: `criterion`, `order`, `share`, and the columns of `_MEASURES`.
        random: of each measure, see `Bands`.
        untouched: of each measure, its value where nothing is cut.
        score: what the score is called, such as `MME score`.
    """
    measures = [measure for measure in _MEASURES if np.isfinite(untouched[measure[0]])]
    names = list(sets["criterion"].unique())
    labels = [f"{name}, least first" for name in names]
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=INKS[place % len(INKS)], marker=_MARKERS[place % len(_MARKERS)], markersize=4)
        for place in range(len(names))
    ]
    if (sets["order"] == _MOST).any():
        handles.append(Line2D([], [], color="0.2", linestyle=(0, (2.2, 1.2)), linewidth=1))
        labels.append("most first")
    if any(len(each) > 1 for each in random.values()):
        handles.append(Patch(color=_BAND))
        labels.append("random sets: 95%, median")
    width = across(_WIDTH)
    letters = letters_for(width) * SMALLER
    above = legend_height(labels, "", letters, width - 2 * TEXT_GAP) + TEXT_GAP
    columns = panels_across(len(measures), _WIDTH, _WIDTH - 1, 1, 0.9)
    rows = len(measures) // columns
    tall = above + 0.55 + (2.1 if columns == 1 else 2.6) * rows
    figure = figure_below_title(width, tall, f"What is left if {unit} are cut, 95% intervals", of)
    panels = place_panels(
        figure, rows, columns, left=0.8, bottom=0.55, above=above, between=(0.9, 0.15), sharex=columns == 1
    )
    for axes, measure in zip(panels, measures, strict=True):
        _draw_band(axes, random[measure[0]], untouched[measure[0]])
        axes.axhline(untouched[measure[0]], color="0.35", linewidth=0.8, linestyle=":")
        for place, name in enumerate(names):
            draw_curve(axes, sets[sets["criterion"] == name], measure, untouched[measure[0]], place, len(names))
        axes.set_ylabel(measure[3].format(score=score))
        axes.set_xlim(left=0)
        short_tick_labels(axes)
        axes.yaxis.label.set_fontsize(printed(letters))
    if measures[0][0] == "loss":
        panels[0].set_ylim(bottom=-0.04 * untouched["loss"] or None)
    for axes in panels[-columns:]:
        axes.set_xlabel(f"{unit.capitalize()} cut, %", size=printed(letters))
    put_legend(panels[0], handles, labels, "", letters=letters)
    return figure


def _draw_band(axes: Axes, band: Bands, untouched: float) -> None:
    x = 100 * np.array([share for share, _ in band])
    low, middle, high = untouched - np.stack([values for _, values in band]).T
    axes.fill_between(x, high, low, color=_BAND, linewidth=0, zorder=0)
    axes.plot(x, middle, color=_MEDIAN, linewidth=1.1, zorder=1)


def relations_figure(values: Mapping[str, Array], relations: pd.DataFrame, unit: str, of: Sequence[str]) -> Figure:
    """Each criterion against the measured effect, a mark for each head or layer; its rank correlation in the title.

    Args:
        values: [cells] of each criterion, and of `effect`.
        relations: `criterion`, `correlation`; a panel each.
    """
    number = len(relations)
    natural = max(4.2, 1.0 + 2.6 * min(_COLUMNS, number))
    columns = panels_across(min(_COLUMNS, number), natural, _NARROWEST, 1.1, 0.3)
    rows = -(-number // columns)
    tall = 0.4 + 1.8 * rows + 0.95 * (rows - 1) + 0.6
    figure = figure_below_title(across(natural), tall, f"Criteria of {unit} and the measured effect", of)
    panels = place_panels(figure, rows, columns, left=0.9, above=0.4, between=(0.3, 0.95), sharey=True)
    for place, (axes, row) in enumerate(zip(panels, relations.to_dict("records"), strict=False)):
        axes.axhline(0, color="0.4", linewidth=0.8)
        axes.scatter(
            values[row["criterion"]],
            values["effect"],
            s=min(14, 8000 / len(values["effect"])),
            color=INKS[0],
            alpha=0.65,
            linewidth=0,
        )
        axes.set_title(f"ρ = {row['correlation']:+.2f}")
        axes.set_xlabel(row["criterion"])
        if place % columns == 0:
            axes.set_ylabel("Measured effect, logits")
        short_tick_labels(axes)
    for axes in panels[number:]:
        axes.remove()
    return figure
