"""A picture of `analyze.pictures` -> a figure of matplotlib: its size, its panels, its title and its legend."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from analyze.drawing.figures import figure_below_title, new_figure, place_panels, short_tick_labels
from analyze.drawing.heads import BAR, add_steps, draw_head_map, draw_layer_row, map_size
from analyze.drawing.page import LETTERS, SMALLER, across, panels_across, printed, size_of
from analyze.drawing.results.signed import signed_figure
from analyze.drawing.texts import TEXT_GAP, legend_height, letters_for, lines_height, put_legend
from analyze.pictures.kinds import HeadMap, Histogram, LayerBars, LayerHistograms, Panel, Picture, SignedMap
from analyze.pictures.labels import colour, label, target
from analyze.statistics.clusters import Array
from schemas.columns import DEFAULT_FLOWS

GRID_COLUMNS = 8  # layers in a row, at most
NARROWEST_LAYER = 0.92  # inches
_TWO_COLUMNS = 7.0  # inches of width from which more than two histograms stand in two columns
NEXT_ROW = 0.7  # height that each further row of histograms adds, as a share of the first
_STEPS = (1, 2, 2.5, 5, 10)  # between ticks


def draw(picture: Picture, figsize: tuple[float, float]) -> Figure:
    """Draw a picture.

    Args:
        figsize: width and height of histograms, in inches. One with several panels is as wide, and higher. Other
            pictures are as large as their layers and heads need. On a page, its proportions count.

    Raises:
        TypeError: a picture that is none of the kinds in `analyze.pictures`.
    """
    match picture:
        case Histogram():
            return _histogram(picture, figsize)
        case LayerHistograms():
            return _layer_histograms(picture)
        case SignedMap():
            shown, known = picture.shown, np.isfinite(picture.values).any()
            none = f"No head differs from 0: {picture.grey}." if known else "No head has a value."
            return signed_figure(
                picture.values, picture.title, picture.of, label=picture.label, layers=picture.layers,
                shown=None if shown.all() else shown, grey=picture.grey, none=none,
            )  # fmt: skip
        case LayerBars():
            return _layer_bars(picture)
        case HeadMap():
            return _head_map(picture)
    raise TypeError(f"{type(picture).__name__} is no kind of picture that can be drawn")


def _histogram(picture: Histogram, figsize: tuple[float, float]) -> Figure:
    """A panel for each group of queries, with a legend above it."""
    width = across(figsize[0])
    height = figsize[1] * width / figsize[0]
    letters = letters_for(width)
    small = letters * SMALLER
    number = len(picture.panels)
    columns = 2 if number > 2 and width >= _TWO_COLUMNS else 1
    rows = math.ceil(number / columns)
    cell = width / columns - 2 * TEXT_GAP
    headings = [_heading(panel, number) for panel in picture.panels]
    entries = [[_entry(flow, picture.means[flow]) for flow in panel.bars] for panel in picture.panels]
    above = max(legend_height(texts, head, small, cell) for texts, head in zip(entries, headings, strict=True))
    left, bottom = 0.2 + 0.6 * letters / LETTERS, 0.2 + 0.4 * letters / LETTERS
    figure = new_figure((width, height * (1 + NEXT_ROW * (rows - 1))), picture.title, picture.of)
    grid = place_panels(
        figure,
        rows,
        columns,
        left=left,
        bottom=bottom,
        above=above,
        between=(left + 0.2, bottom + TEXT_GAP + above),
    )
    for place, (axes, panel) in enumerate(zip(grid, picture.panels, strict=False)):
        bars = draw_stacked_histogram(axes, panel.bars, picture.edges, top=panel.top)
        middle = (place % columns + 0.5) * width / columns
        put_legend(axes, list(bars.values()), entries[place], headings[place], letters=small, width=cell, middle=middle)
        axes.set_xlabel("Attention value (mass)", size=printed(letters))
        heights = "Density of head values" if picture.density else "Share of all head values"
        axes.set_ylabel(heights, size=printed(letters))
        short_tick_labels(axes).tick_params(labelsize=printed(small))
    _remove(grid[number:])
    return figure


def _heading(panel: Panel, number: int) -> str:
    """What a legend says above its entries; nothing where the only panel has T2V and V2T, whose names say it."""
    return "" if number == 1 and set(panel.bars) <= set(DEFAULT_FLOWS) else panel.heading


def _entry(flow: str, mean: float) -> str:
    """A column in a legend, with the mean of its values."""
    return f"{label(flow) if flow in DEFAULT_FLOWS else target(flow)}, mean {mean:.3f}"


def _layer_histograms(picture: LayerHistograms) -> Figure:
    """All layers on one scale, some side by side in each row."""
    number, edges = len(picture.panels), picture.edges
    natural = max(8.0, 1.4 * min(GRID_COLUMNS, number) + 1.2)
    columns = panels_across(min(GRID_COLUMNS, number), natural, NARROWEST_LAYER, 1.05, 0.1)
    rows = math.ceil(number / columns)
    flows = list(dict.fromkeys(flow for panel in picture.panels for flow in panel.bars))
    names = [label(flow) if flow in DEFAULT_FLOWS else target(flow) for flow in flows]
    above = legend_height(names, "", LETTERS * SMALLER, across(natural) - 2 * TEXT_GAP) + lines_height(1, LETTERS)
    tall = above + 1.1 * rows + 0.3 * (rows - 1) + 0.65
    figure = figure_below_title(across(natural), tall, picture.title, picture.of)
    grid = place_panels(
        figure,
        rows,
        columns,
        left=0.9,
        right=0.15,
        bottom=0.65,
        above=above,
        between=(0.1, 0.3),
    )  # with axes of their own, all alike: shared ones take time that grows with the square of the layers
    for place, (axes, panel) in enumerate(zip(grid, picture.panels, strict=False)):
        bottom = np.zeros(len(edges) - 1)
        for flow, heights in panel.bars.items():  # one patch for each column: thousands would take seconds to draw
            add_steps(axes, bottom + heights, edges, colour(flow), bottom)
            bottom = bottom + heights
        axes.set_title(panel.heading, size=printed(LETTERS * SMALLER), pad=2)
        axes.set(xlim=(edges[0], edges[-1]), ylim=(0, panel.top), xticks=[edges[0], (edges[0] + edges[-1]) / 2])
        axes.xaxis.set_major_formatter("{x:.3g}")
        axes.tick_params(labelbottom=place + columns >= number, labelleft=place % columns == 0)
        axes.yaxis.set_major_locator(MaxNLocator(2))
        axes.grid(visible=False, axis="x")
    _remove(grid[number:])
    figure.supxlabel("Attention value (mass)", size=printed(LETTERS), y=TEXT_GAP / size_of(figure)[1])
    words = "Density of values" if picture.density else "Share of values"
    figure.supylabel(words, size=printed(LETTERS), x=TEXT_GAP / size_of(figure)[0])
    put_legend(grid[0], [Patch(color=colour(flow)) for flow in flows], names, "", above=lines_height(1, LETTERS))
    return figure


def _layer_bars(picture: LayerBars) -> Figure:
    """All layers, some side by side in each row, all on one scale."""
    layers = len(picture.means)
    natural = max(8.0, 1.5 * min(GRID_COLUMNS, layers) + 1)
    columns = panels_across(min(GRID_COLUMNS, layers), natural, NARROWEST_LAYER, 1.2, 0)
    rows = math.ceil(layers / columns)
    width, height = across(natural), max(3.4, 1.3 * rows + 1.4)
    figure = new_figure((width, height), picture.title, picture.of)
    grid = place_panels(figure, rows, left=1.0, above=lines_height(1, LETTERS), between=(0, 0.3))
    for row, axes in enumerate(grid):
        first = row * columns
        some = picture.means[first : first + columns]
        of = picture.layers[first : first + columns]
        draw_layer_row(axes, some, picture.flow, of=of, panels=columns, top=picture.top)
        axes.tick_params(labelbottom=first + columns >= layers)
        short_tick_labels(axes).yaxis.set_major_locator(MaxNLocator(3, steps=_STEPS))
    figure.supxlabel("Head", size=printed(LETTERS), y=TEXT_GAP / height)
    figure.supylabel(f"Mean {picture.flow.upper()}", size=printed(LETTERS), x=TEXT_GAP / width)
    return figure


def _remove(unused: Sequence[Axes]) -> None:
    for axes in unused:
        axes.remove()


def _head_map(picture: HeadMap) -> Figure:
    layers, heads = picture.means.shape
    figure = new_figure(map_size(layers, heads), picture.title, picture.of)
    (axes,) = place_panels(figure, right=BAR)
    draw_head_map(axes, picture.means, picture.flow, top=picture.top, of=picture.layers)
    return figure


def draw_stacked_histogram(
    axes: Axes, heights: Mapping[str, Array], edges: Array, *, top: float
) -> dict[str, PolyCollection]:
    """Draw stacked bars, and return them by column, those of a column as one artist.

    Args:
        heights: by column, float64 [bins]; the first is at the bottom.
        edges: of the bins, float64 [bins + 1].
        top: end of the y axis; the same in pictures that are compared.

    Notes:
        Bins are a choice. With the default width of 0.05, all heads below 0.05 fall into one bar: a model whose heads
        look at the image with masses of 0.01 and one with 0.04 look the same. Bins of width 0.01 over the range 0 to
        0.2 show the difference. The bars of several columns are stacked, so the heights of a panel with two columns add
        up to 2, not to 1. A bar of twice the width catches twice as much, so bins of unequal width need densities.
    """
    bottom = np.zeros(len(edges) - 1)
    left, right = edges[:-1], edges[1:]
    bars = {}
    for flow, height in heights.items():
        above = bottom + height
        corners = np.array([[left, bottom], [right, bottom], [right, above], [left, above]]).transpose(2, 0, 1)
        bars[flow] = PolyCollection(list(corners), facecolor=colour(flow), edgecolor="white", linewidth=0.5)
        axes.add_collection(bars[flow], autolim=False)
        bottom = above
    axes.set(xlim=(edges[0], edges[-1]), ylim=(0, top))
    axes.grid(visible=False, axis="x")
    return bars
