"""Stacked histograms: how much attention crosses between text and image, over many heads.

Notes
-----
Bins are a choice. With the default width of 0.05, all heads below 0.05 fall into one bar: a model whose heads look at
the image with masses of 0.01 and one with 0.04 look the same. Bins of width 0.01 over the range 0 to 0.2 show the
difference. The bars of several columns are stacked, so the heights of a panel with two columns add up to 2, not to 1.
A bar of twice the width catches twice as much, so that bins of unequal width need densities: then areas add up.
"""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection

from analyze.pictures.labels import colour
from analyze.statistics.clusters import Array


def draw_stacked_histogram(
    axes: Axes, heights: Mapping[str, Array], edges: Array, *, top: float
) -> dict[str, PolyCollection]:
    """Draw stacked bars, and return them by column, those of a column as one artist.

    Args:
        heights: by column, float64 [bins]; the first is at the bottom.
        edges: of the bins, float64 [bins + 1].
        top: end of the y axis; the same in pictures that are compared.
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
