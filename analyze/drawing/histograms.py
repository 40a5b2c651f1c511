"""Stacked histograms: how much attention crosses between text and image, over many heads.

Notes
-----
Bins are a choice. With the default width of 0.05, all heads below 0.05 fall into one bar: a model whose heads look at
the image with masses of 0.01 and one with 0.04 look the same. Bins of width 0.01 over the range 0 to 0.2 show the
difference. The bars of several flows are stacked, so the heights of a picture with two flows add up to 2, not to 1.
"""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from analyze.drawing.figures import colours
from analyze.drawing.labels import label
from analyze.tables.text_scope import Array


def draw_stacked_histogram(
    axes: Axes,
    shares: Mapping[str, Array],
    edges: Array,
    *,
    top: float,
    means: Mapping[str, float] | None = None,
) -> Axes:
    """Draw stacked bars of shares.

    Args:
        shares: by flow, float64 [bins]; the first is at the bottom.
        edges: of the bins, float64 [bins + 1].
        top: end of the y axis; the same in pictures that are compared.
        means: by flow, for the legend.
    """
    bottom = np.zeros(len(edges) - 1)
    for flow, colour in zip(shares, colours(list(shares)), strict=True):
        text = label(flow) if means is None else f"{label(flow)}, mean {means[flow]:.3f}"
        axes.bar(
            edges[:-1],
            shares[flow],
            np.diff(edges),
            bottom,
            align="edge",
            color=colour,
            edgecolor="white",
            linewidth=0.5,
            label=text,
        )
        bottom = bottom + shares[flow]
    axes.set(
        xlim=(edges[0], edges[-1]), ylim=(0, top), xlabel="Attention value (mass)", ylabel="Share of all head values"
    )
    axes.grid(visible=False, axis="x")
    axes.legend(loc="upper right")
    return axes
