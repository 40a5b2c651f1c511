"""Pictures of single heads: bars of the means of each layer, and the layer x head heatmap."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import StepPatch
from matplotlib.ticker import LogLocator

from analyze.drawing.figures import short_tick_labels
from analyze.drawing.page import LETTERS, SMALLER, across, printed, size_of
from analyze.drawing.texts import lines_height, width_of, wrap
from analyze.pictures.labels import colour
from analyze.statistics.clusters import Array

TICKS = 16  # labels on an axis of layers or heads, at most about
CLEARER = 1.5  # how many times the colours of a linear scale a logarithmic one must give the middle half of heads
_LOWEST = 1e-3  # lower end of a logarithmic scale, at least, as a share of the highest mean
GREY = "0.82"  # of heads that are left out
DIVERGING = "RdBu_r"  # of all signed values: blue below the middle, white there, red above
ROUNDING = 1e-6  # between means that are equal in float32
AROUND = 2.0  # inches around a map
LOWEST_MAP = 1.5  # inches of its height, at least
BAR = 1.65  # inches on the right of a map, for its colour bar
COLOUR_MAP = "viridis"  # perceptually uniform, and safe for colour-blind readers


def draw_layer_row(axes: Axes, means: Array, flow: str, *, of: Sequence[int], panels: int, top: float) -> Axes:
    """Draw the bars of several layers side by side, as panels of one Axes.

    Args:
        means: [layers, heads], of the layers `of`.
        panels: how many layers a full row has, so that rows align.
        top: end of the y axis.
    """
    layers, heads = means.shape
    start = np.arange(layers, dtype=np.float64) * panel_width(heads)
    positions = (start[:, None] + np.arange(heads)).ravel()
    edges = np.stack([positions - 0.4, positions + 0.4], axis=1).ravel()
    heights = np.stack([means.ravel(), np.zeros(means.size)], axis=1).ravel()[:-1]
    add_steps(axes, heights, edges, colour(flow))  # one patch: a thousand would take a second to draw
    ticks = list(range(0, heads, max(1, math.ceil(heads / 4))))
    axes.set(xlim=(-1, (panels - 1) * panel_width(heads) + heads), ylim=(0, top))
    axes.set_xticks((start[:, None] + ticks).ravel(), ticks * layers)
    axes.grid(visible=False, axis="x")
    for layer in range(layers):
        axes.annotate(
            f"Layer {of[layer]}",
            (start[layer] + (heads - 1) / 2, 1),
            (0, 3),
            xycoords=axes.get_xaxis_transform(),
            textcoords="offset points",
            horizontalalignment="center",
            size=printed(LETTERS * SMALLER),
        )
    return axes


def add_steps(axes: Axes, heights: Array, edges: Array, color: str, baseline: Array | float = 0.0) -> None:
    """Draw filled bars as one patch, as `Axes.stairs` does, on an Axes whose ends are set: measuring it takes long."""
    look: dict[str, Any] = {"fill": True, "color": color, "linewidth": 0, "baseline": baseline}
    axes.add_artist(StepPatch(heights, edges, **look))


def panel_width(heads: int) -> int:
    """From head 0 of one layer to head 0 of the next, in a row of layers."""
    return heads + max(1, heads // 12) + 1


def colour_scale(means: Array) -> Normalize:
    """A scale of colours from the lowest mean to the highest, on which most heads can be distinguished.

    It is logarithmic if the middle half of the heads then covers at least `CLEARER` times as much of the colours as on
    a linear scale, as in T2V of LLaVA-1.5, whose first layers look at the image ten times as much as the others.

    Args:
        means: finite and not negative.
    """
    lowest, highest = float(means.min()), float(means.max())
    if highest - lowest <= ROUNDING:
        return Normalize(0, highest or 1.0)
    linear = Normalize(lowest, highest)
    logarithmic = LogNorm(max(lowest, _LOWEST * highest), highest, clip=True)
    return logarithmic if middle_share(means, logarithmic) >= CLEARER * middle_share(means, linear) else linear


def middle_share(means: Array, scale: Normalize) -> float:
    """Which share of the colours of a scale the middle half of the means covers."""
    low, high = scale(np.quantile(means, [0.25, 0.75]))
    return float(high - low)


def map_size(layers: int, heads: int) -> tuple[float, float]:
    """Width and height of a figure of one layer x head map, in inches; cells keep their shape on a narrow page."""
    width, height = max(7.5, 3.2 + min(heads, 64) * 0.2), max(4.5, 2.0 + min(layers, 64) * 0.2)
    narrower = min(1.0, (across(width) - AROUND) / (width - AROUND))
    return across(width), AROUND + max(LOWEST_MAP, (height - AROUND) * narrower)


def colour_bar(figure: Figure, image: ScalarMappable, label: str, beside: Sequence[Axes], **options: Any) -> Colorbar:
    """A colour bar on the right of some panels, as high as they are; the margin on the right has `BAR` inches."""
    width, _ = size_of(figure)
    places = [axes.get_position() for axes in beside]
    low, high = min(place.y0 for place in places), max(place.y1 for place in places)
    axes = figure.add_axes((max(place.x1 for place in places) + 0.2 / width, low, 0.17 / width, high - low))
    lines = wrap(label, LETTERS, (high - low) * size_of(figure)[1], 2)
    bar = figure.colorbar(image, cax=axes, label="\n".join(lines), **options)
    if "format" not in options:
        short_tick_labels(bar.ax)
    return bar


def draw_diverging_map(
    axes: Axes,
    values: Array,
    *,
    middle: float = 0.0,
    furthest: float,
    shown: npt.NDArray[np.bool_] | None = None,
    of: Sequence[int] | None = None,
) -> AxesImage:
    """Draw values [layers, heads] on both sides of a middle, layer 0 on top; returns what a colour bar is made of.

    Args:
        of: see `draw_head_map`.
        middle: value of the colour in the middle; `furthest` from it lie both ends.
        shown: bool [layers, heads]; heads that are not are grey.
    """
    image = axes.imshow(
        values if shown is None else np.ma.masked_array(values, ~shown),
        cmap=DIVERGING, vmin=middle - furthest, vmax=middle + furthest, aspect="auto", interpolation="nearest",
    )  # fmt: skip
    axes.set_facecolor(GREY)
    axes.grid(visible=False)
    _name_cells(axes, of or range(len(values)), values.shape[1], at=0.0)
    return image


def _name_cells(axes: Axes, layers: Sequence[int], heads: int, *, at: float) -> None:
    """Numbers of layers and heads on both axes, as many as there is room for; the first one at x = `at`."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    width, height = size_of(figure)
    place = axes.get_position()
    room = lines_height(1, LETTERS * SMALLER)
    for axis, numbers, length, each in (
        (axes.xaxis, range(heads), place.width * width, max(room, 1.4 * width_of(str(heads - 1), LETTERS * SMALLER))),
        (axes.yaxis, layers, place.height * height, room),
    ):
        step = max(1, math.ceil(len(numbers) / min(TICKS, max(1, int(length / each)))))
        ticks = range(0, len(numbers), step)
        axis.set_ticks([at + tick for tick in ticks], [str(numbers[tick]) for tick in ticks])
    axes.set(xlabel="Head", ylabel="Layer")
    axes.tick_params(rotation=0)


def draw_head_map(
    axes: Axes, means: Array, flow: str, *, top: float | None = None, of: Sequence[int] | None = None
) -> Axes:
    """Draw the means [layers, heads] as a heatmap, layer 0 on top; the colour bar says which scale it has.

    Args:
        top: end of a linear scale that begins at 0, for maps whose colours are compared; `None` is `colour_scale`.
        of: the layers; None: all from 0.
    """
    layers, heads = means.shape
    scale = colour_scale(means) if top is None else Normalize(0, top, clip=True)
    logarithmic = isinstance(scale, LogNorm)
    mesh = axes.pcolormesh(means, norm=scale, cmap=COLOUR_MAP)
    axes.set(xlim=(0, heads), ylim=(layers, 0))
    axes.grid(visible=False)
    _name_cells(axes, of or range(layers), heads, at=0.5)
    ticks = {"ticks": LogLocator(subs=(1, 2, 5)), "format": "%g"} if logarithmic else {}
    label = f"mean {flow.upper()}, {'logarithmic' if logarithmic else 'linear'} scale"
    extend = "max" if top is not None and means.max() > top else "neither"
    figure = axes.get_figure(root=True)
    assert figure is not None
    colour_bar(figure, mesh, label, [axes], extend=extend, **ticks).minorticks_off()
    return axes
