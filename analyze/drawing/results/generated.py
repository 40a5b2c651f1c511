"""Where heads look while the model writes: image mass, roles and layers by step, heads, and groups of words."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, MaxNLocator

from analyze.drawing.figures import figure_below_title, place_panels, short_tick_labels
from analyze.drawing.heads import BAR, COLOUR_MAP, GREY, colour_bar, colour_scale
from analyze.drawing.page import LETTERS, SMALLER, across, printed
from analyze.drawing.texts import TEXT_GAP, fit, legend_height, lines_height, name_points, put_legend, width_of
from analyze.generated.groups import ALL_WORDS
from analyze.generated.heads import WritingHeads
from analyze.generated.steps import FIXED, WRITING
from analyze.pictures.labels import colour, target
from analyze.statistics.clusters import Array
from schemas.columns import STEP_NAMES
from schemas.jobs.head_sets import head_name
from schemas.text import counted

_ONE_COLUMN = 5.1  # inches
_SMALL = LETTERS * SMALLER
_INKS = {WRITING: "#0072B2", FIXED: "#D55E00"}  # of Okabe and Ito
GROUP_INKS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#882255")
STEP_LABEL = "Step, the pass that chooses its token"
_LEFT, _BOTTOM = 0.85, 0.6  # inches of margins
_FEW = 24  # steps that have marks
_LINES = 5  # heads that have lines
_NAMED = 3  # heads that are named, of those that look most, in each way


def mass_figure(steps: pd.DataFrame, of: Sequence[str]) -> Figure:
    """Image mass by step, of the texts that are still written and of the fixed set; below, how many texts these are.

    Args:
        steps: see `analyze.generated.steps.by_step`.
    """
    sets = list(_sets(steps))
    labels = [name for name, _ in sets]
    width = across(_ONE_COLUMN)
    above = legend_height(labels, "", _SMALL, width - 2 * TEXT_GAP) + TEXT_GAP
    figure = figure_below_title(width, 4.4 + above, "Image mass by step, 95% intervals by image", of)
    mass, number = place_panels(
        figure, 2, left=_LEFT, bottom=_BOTTOM, above=above, between=(0, 0.2), height_ratios=(2.4, 1), sharex=True
    )
    lines: list[Artist] = []
    for name, rows in sets:
        x, marker = rows["step"].to_numpy(), "o" if len(rows) <= _FEW else ""
        options: dict[str, Any] = {"color": _INKS[name], "linewidth": 1.1, "marker": marker, "markersize": 2.6}
        options["clip_on"] = False
        mass.fill_between(x, rows["g2v_low"], rows["g2v_high"], color=_INKS[name], alpha=0.2, linewidth=0)
        lines += mass.plot(x, rows["g2v"], **options)
        number.plot(x, rows["texts"], **options)
    mass.set(ylabel="Image mass, mean")
    mass.set_ylim(0, 1.08 * steps[["g2v", "g2v_high"]].max().max() or 1)
    number.set(xlabel=STEP_LABEL, ylabel="Texts")
    number.set_ylim(0, 1.1 * steps["texts"].max())
    number.set_yticks([0, steps["texts"].max()])
    _step_axis(number, steps)
    short_tick_labels(mass)
    figure.align_ylabels([mass, number])
    put_legend(mass, lines, labels, "")
    return figure


def roles_figure(steps: pd.DataFrame, of: Sequence[str]) -> Figure:
    """The attention on each role by step, stacked, of each set of texts; arguments as for `mass_figure`."""
    sets = list(_sets(steps))
    labels = [target(name) for name in STEP_NAMES]
    width, room = across(_ONE_COLUMN), lines_height(1, _SMALL)
    above = legend_height(labels, "", _SMALL, width - 2 * TEXT_GAP) + room
    tall = above + len(sets) * 1.6 + (len(sets) - 1) * (room + 0.3) + _BOTTOM
    figure = figure_below_title(width, tall, "Attention by step, mean over heads and texts", of)
    panels = place_panels(figure, len(sets), left=_LEFT, bottom=_BOTTOM, above=above, between=(0, room + 0.3))
    for axes, (name, rows) in zip(panels, sets, strict=True):
        edges, bottom = _edges(rows["step"].to_numpy()), np.zeros(len(rows))
        for role in STEP_NAMES:
            top = bottom + rows[role].to_numpy()
            axes.stairs(top, edges, baseline=bottom, fill=True, color=colour(role), linewidth=0)
            bottom = top
        axes.set_title(f"{name}, {_range(rows['texts'])}", size=printed(_SMALL), pad=2)
        axes.set(xlim=(edges[0], edges[-1]), ylim=(0, 1), ylabel="Mass")
        axes.xaxis.set_major_locator(_integers(8))
        axes.grid(visible=False, axis="x")
    panels[-1].set(xlabel=STEP_LABEL)
    put_legend(panels[0], [Patch(color=colour(role)) for role in STEP_NAMES], labels, "", above=room)
    return figure


def layers_figure(layers: pd.DataFrame, steps: pd.DataFrame, of: Sequence[str]) -> Figure:
    """Image mass by layer and step, of the texts that are still written; above, how many these are.

    Args:
        layers, steps: see `analyze.generated.steps.by_layer` and `by_step`.
    """
    rows = layers[layers["texts_of"] == WRITING]
    means = rows.pivot(index="layer", columns="step", values="g2v")
    whole = means.reindex(range(int(means.index.max()) + 1))
    number = steps.loc[steps["texts_of"] == WRITING, "texts"].to_numpy()
    width = across(_ONE_COLUMN)
    tall = 1.0 + 0.2 + max(1.8, min(4.0, 0.12 * len(whole))) + _BOTTOM
    figure = figure_below_title(width, tall, "Image mass by layer and step, texts still written", of)
    above, axes = place_panels(
        figure, 2, left=_LEFT, right=BAR, bottom=_BOTTOM, between=(0, 0.2), height_ratios=(0.8, tall - 1.8)
    )
    edges = _edges(means.columns.to_numpy())
    above.stairs(number, edges, fill=True, color="0.55")
    above.set(xlim=(edges[0], edges[-1]), ylim=(0, 1.1 * number.max()), ylabel="Texts")
    above.yaxis.set_major_locator(_integers(2))
    above.xaxis.set_major_locator(_integers(8))
    above.tick_params(labelbottom=False)
    scale = colour_scale(means.to_numpy())
    values = np.ma.masked_invalid(whole.to_numpy())
    mesh = axes.pcolormesh(edges, np.arange(len(whole) + 1) - 0.5, values, norm=scale, cmap=COLOUR_MAP)
    axes.set(xlabel=STEP_LABEL, ylabel="Layer", ylim=(len(whole) - 0.5, -0.5))
    axes.set_facecolor(GREY)
    axes.grid(visible=False)
    axes.xaxis.set_major_locator(_integers(8))
    axes.yaxis.set_major_locator(_integers(8))
    logarithmic = isinstance(scale, LogNorm)
    ticks = {"ticks": LogLocator(subs=(1, 2, 5)), "format": "%g"} if logarithmic else {}
    name = f"mean G2V, {'logarithmic' if logarithmic else 'linear'} scale"
    colour_bar(figure, mesh, name, [axes], **ticks).minorticks_off()
    figure.align_ylabels([above, axes])
    return figure


def heads_figure(ranked: WritingHeads, of: Sequence[str]) -> Figure:
    """Image mass of each head while writing against that at the prompt; the heads that look most by their names."""
    table = ranked.table
    most = {by: table.index.isin(ranked.most(by).index) for by in ("writing", "prompt")}
    kinds = (
        ("heads", ~most["writing"] & ~most["prompt"], "0.45", "o", 9),
        ("most at the prompt", most["prompt"] & ~most["writing"], _INKS[WRITING], "s", 16),
        ("most while writing", most["writing"] & ~most["prompt"], _INKS[FIXED], "D", 16),
        ("most in both", most["writing"] & most["prompt"], "#009E73", "^", 20),
    )
    drawn = [each for each in kinds if each[1].any()]
    width, labels = across(_ONE_COLUMN), [*(name for name, *_ in drawn), "same mass"]
    above = legend_height(labels, "", _SMALL, width - 2 * TEXT_GAP) + TEXT_GAP
    figure = figure_below_title(width, 3.6 + above, "Image mass of heads, while writing and at the prompt", of)
    (axes,) = place_panels(figure, left=_LEFT, bottom=_BOTTOM, above=above)
    marks: list[Artist] = []
    for _, own, ink, marker, size in drawn:
        x, y = table["prompt"][own], table["writing"][own]
        marks.append(axes.scatter(x, y, s=size, color=ink, marker=marker, alpha=0.8, linewidth=0))
    marks += axes.plot([0, 1], [0, 1], color="0.3", linewidth=0.8, linestyle=(0, (4, 2)))
    axes.set(xlabel="Mass at the prompt, step 0", ylabel="Mass while writing, mean")
    axes.set(xlim=(0, 1.06 * table["prompt"].max() or 1.0), ylim=(0, 1.06 * table["writing"].max() or 1.0))
    short_tick_labels(axes)
    named = pd.concat([ranked.most(by).head(_NAMED) for by in most]).drop_duplicates(["layer", "head"])
    names = [head_name(layer, head) for layer, head in named[["layer", "head"]].to_numpy()]
    name_points(axes, names, named[["prompt", "writing"]].to_numpy(np.float64))
    put_legend(axes, marks, labels, "")
    return figure


def heads_by_step_figure(most: pd.DataFrame, of: Sequence[str]) -> Figure:
    """Image mass by step of the heads that look most while writing, over the fixed set; as many as are told apart.

    Args:
        most: see `analyze.generated.heads.most_by_step`.
    """
    heads = list(most.groupby(["layer", "head"], sort=False))[:_LINES]
    labels = [head_name(*rows[["layer", "head"]].iloc[0]) for _, rows in heads]
    width = across(_ONE_COLUMN)
    above = legend_height(labels, "", _SMALL, width - 2 * TEXT_GAP) + TEXT_GAP
    figure = figure_below_title(width, 3.2 + above, "Heads that look most while writing, fixed set of texts", of)
    (axes,) = place_panels(figure, left=_LEFT, bottom=_BOTTOM, above=above)
    lines: list[Artist] = []
    for (_, rows), ink, dashes in zip(heads, GROUP_INKS, ("-", "--", "-.", ":", (0, (1, 1))), strict=False):
        marker = "o" if len(rows) <= _FEW else ""
        lines += axes.plot(
            rows["step"], rows["g2v"], color=ink, linestyle=dashes, linewidth=1.1, marker=marker, markersize=2.6
        )
    axes.set(xlabel=STEP_LABEL, ylabel="Image mass, mean")
    axes.set_ylim(0, 1.08 * max(rows["g2v"].max() for _, rows in heads) or 1)
    _step_axis(axes, most)
    short_tick_labels(axes)
    put_legend(axes, lines, labels, "")
    return figure


def groups_figure(table: pd.DataFrame, of: Sequence[str]) -> Figure:
    """Image mass of groups of words by bins of steps; the groups with the most words, as many as there are colours.

    Args:
        table: see `analyze.generated.groups.Groups`.
    """
    whole = table[table["steps"] == ALL_WORDS].nlargest(len(GROUP_INKS), "words")
    rows = table[(table["steps"] != ALL_WORDS) & table["group"].isin(whole["group"])]
    groups = [name for name in table["group"].unique() if name in set(whole["group"])]
    bins = rows.drop_duplicates("steps").sort_values("first")["steps"].tolist()
    width, most = across(_ONE_COLUMN), across(_ONE_COLUMN) / 2
    labels = [fit(f"{name}, {counted(int(number), 'word')}", _SMALL, most) for name, number in
              whole.set_index("group").loc[groups, "words"].items()]  # fmt: skip
    above = legend_height(labels, "", _SMALL, width - 2 * TEXT_GAP) + TEXT_GAP
    figure = figure_below_title(width, 3.2 + above, "Image mass of words, 95% intervals by image", of)
    (axes,) = place_panels(figure, left=_LEFT, bottom=_BOTTOM, above=above)
    marks: list[Artist] = []
    for place, (name, ink) in enumerate(zip(groups, GROUP_INKS, strict=False)):
        own = rows[rows["group"] == name]
        x = own["steps"].map(bins.index) + 0.7 * ((place + 0.5) / len(groups) - 0.5)
        axes.vlines(x, own["g2v_low"].fillna(own["g2v"]), own["g2v_high"].fillna(own["g2v"]), color=ink, linewidth=1.4)
        marks += axes.plot(x, own["g2v"], color=ink, marker="osD^v<>p"[place], linestyle="", markersize=3.2)
    apart = -(-len(bins) // max(1, int((width - 1) / (1.3 * max(width_of(each, _SMALL) for each in bins)))))
    axes.set_xticks(range(0, len(bins), apart), bins[::apart])
    axes.set(xlim=(-0.6, len(bins) - 0.4), xlabel="Steps that chose the words' first pieces", ylabel="Image mass, mean")
    axes.set_ylim(0, 1.08 * rows[["g2v", "g2v_high"]].max().max() or 1)
    axes.grid(visible=False, axis="x")
    short_tick_labels(axes)
    put_legend(axes, marks, labels, "")
    return figure


def _sets(steps: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Both sets of texts, by name; the first one only, where they are the same."""
    sets = [(name, steps[steps["texts_of"] == name]) for name in (WRITING, FIXED)]
    return sets[:1] if sets[0][1]["texts"].tolist() == sets[1][1]["texts"].tolist() else sets


def _edges(steps: Array) -> Array:
    """The ends of the bars of some steps."""
    apart = float(steps[1] - steps[0]) if len(steps) > 1 else 1.0
    edges: Array = np.append(steps, steps[-1] + apart) - apart / 2
    return edges


def _integers(number: int) -> MaxNLocator:
    """Ticks at integers, so many at most; one, where the axis shows no more."""
    return MaxNLocator(number, integer=True, min_n_ticks=1)


def _step_axis(axes: Axes, steps: pd.DataFrame) -> None:
    last = max(1, int(steps["step"].max()))
    axes.set_xlim(-0.02 * last, 1.02 * last)
    axes.xaxis.set_major_locator(_integers(8))


def _range(numbers: pd.Series) -> str:
    """`20 to 8 texts`, of the first and the last step."""
    first, last = int(numbers.iloc[0]), int(numbers.iloc[-1])
    return f"{first:,} texts" if first == last else f"{first:,} to {last:,} texts"
