"""A picture of `analyze.pictures` -> a figure of matplotlib: its size, its panels and its title."""

import math

from matplotlib.figure import Figure

from analyze.drawing.figures import new_figure
from analyze.drawing.heads import draw_head_bars, draw_head_map, draw_layer_row
from analyze.drawing.histograms import draw_stacked_histogram
from analyze.drawing.labels import label
from analyze.pictures import HeadBars, HeadMap, Histogram, LayerBars, Picture

GRID_COLUMNS = 8


def draw(picture: Picture, figsize: tuple[float, float]) -> Figure:
    """Draw a picture.

    Args:
        figsize: width and height of histograms, in inches; other pictures are as large as their layers and heads need.

    Raises:
        TypeError: a picture that is none of the kinds in `analyze.pictures`.
    """
    match picture:
        case Histogram():
            return _histogram(picture, figsize)
        case HeadBars():
            return _head_bars(picture)
        case LayerBars():
            return _layer_bars(picture)
        case HeadMap():
            return _head_map(picture)
    raise TypeError(f"{type(picture).__name__} is no kind of picture that can be drawn")


def _histogram(picture: Histogram, figsize: tuple[float, float]) -> Figure:
    figure = new_figure(figsize)
    axes = draw_stacked_histogram(
        figure.subplots(), picture.shares, picture.edges, top=picture.top, means=picture.means
    )
    axes.set_title(picture.title, parse_math=False)
    return figure


def _head_bars(picture: HeadBars) -> Figure:
    """One panel for each flow, side by side."""
    number = len(picture.means)
    figure = new_figure((4 * number + 1, 4.0), top=1.0)
    panels = figure.subplots(1, number, sharey=True, squeeze=False, gridspec_kw={"wspace": 0.06})[0]
    for axes, (flow, means) in zip(panels, picture.means.items(), strict=True):
        draw_head_bars(axes, means, flow, top=picture.top)
        axes.set(title=label(flow), xlabel="Head")
    panels[0].set_ylabel("Mean attention value")
    figure.suptitle(picture.title, size="medium", parse_math=False)
    return figure


def _layer_bars(picture: LayerBars) -> Figure:
    """All layers, some side by side in each row, all on one scale."""
    means, flow = picture.means, picture.flow
    panels = min(GRID_COLUMNS, len(means))
    rows = math.ceil(len(means) / panels)
    figure = new_figure((max(8.0, 1.5 * panels + 1), max(3.4, 1.3 * rows + 1.4)), top=0.9)
    for row, axes in enumerate(figure.subplots(rows, 1, squeeze=False, gridspec_kw={"hspace": 0.25})[:, 0]):
        first = row * panels
        draw_layer_row(axes, means[first : first + panels], flow, first=first, panels=panels, top=picture.top)
        axes.tick_params(labelbottom=first + panels >= len(means))
    figure.supxlabel("Head", size="medium")
    figure.supylabel("Mean attention value", size="medium")
    figure.suptitle(picture.title, size="medium", parse_math=False)
    return figure


def _head_map(picture: HeadMap) -> Figure:
    layers, heads = picture.means.shape
    size = max(7.5, 3.2 + min(heads, 64) * 0.2), max(4.5, 1.8 + min(layers, 64) * 0.2)
    figure = new_figure(size, right=0.3)
    axes = draw_head_map(figure.subplots(), picture.means, picture.flow)
    axes.set_title(picture.title, parse_math=False)
    return figure
