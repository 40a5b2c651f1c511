"""Stacked histograms: how much attention crosses between text and image, over many heads.

Notes
-----
Bins are a choice. With the default width of 0.05, all heads below 0.05 fall into one bar: a model whose heads look at
the image with masses of 0.01 and one with 0.04 look the same. Use `--bins 0.01 --range 0 0.2` to see them apart. The
bars of several flows are stacked, so the heights of a picture with two flows add up to 2, not to 1.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from analyze.tables.flows import Array, colours, label
from schemas.errors import HeadflowError

MOST_BINS = 1000


def bin_edges(bins: Sequence[float], limits: tuple[float, float] | None) -> Array:
    """Edges of bins.

    Args:
        bins: one number is a width, several are the edges.
        limits: the first and the last edge, for a width; None is (0, 1).

    Raises:
        HeadflowError: a width that does not divide the range, edges that do not increase.
    """
    if len(bins) > 1:
        if limits is not None:
            raise HeadflowError("--bins gives edges, so --range has nothing to say; drop one of them")
        edges = np.array(bins, np.float64)
        if not (np.diff(edges) > 0).all():
            raise HeadflowError(f"--bins {' '.join(map(str, bins))}: edges must increase")
        return edges
    low, high = limits or (0.0, 1.0)
    if not low < high:
        raise HeadflowError(f"--range {low} {high}: the first number must be the smaller one")
    width = bins[0]
    share = (high - low) / width if width > 0 else 0
    number = round(share) if math.isfinite(share) else 0
    if number < 1 or abs(number * width - (high - low)) > 1e-9:
        raise HeadflowError(f"--bins {width} does not divide the range {low} to {high}; choose another width or edges")
    if number > MOST_BINS:
        raise HeadflowError(f"--bins {width} makes {number} bins; no more than {MOST_BINS} can be drawn")
    return low + (high - low) * (np.arange(number + 1) / number)


def tallest(shares: Mapping[str, Array]) -> float:
    """Height of the highest stack."""
    return float(sum(shares.values(), np.zeros(1)).max())


def draw_stacked_histogram(
    axes: Axes, shares: Mapping[str, Array], edges: Array, *, top: float, means: Mapping[str, float] | None = None
) -> Axes:
    """Draw stacked bars of shares.

    Args:
        shares: by flow, [bins]; the first lies at the bottom.
        top: end of the y axis, so that pictures compare.
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
