"""Bins of attention values: those of histograms, chosen by the user, and fine ones, for quantiles."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from analyze.statistics.clusters import Array
from schemas.errors import HeadflowError

Index = npt.NDArray[np.int32]
MOST_BINS = 1000
EDGES = np.arange(21) / 20  # the default: 20 bins of 0..1
FINE = 10_000  # fine bins of 0..1; quantiles are off by less than one of them
FINE_EDGES = np.minimum(np.arange(FINE + 2) / FINE, 1.0)  # the value 1 has a bin of its own
QUANTILES = {"q05": 0.05, "q25": 0.25, "median": 0.5, "q75": 0.75, "q95": 0.95}
_ROUNDING = 1e-9  # more than a fine bin's edges are off by
UNDECIDED = -1


def bin_edges(bins: Sequence[float], limits: tuple[float, float] | None) -> Array:
    """Edges of bins, float64 [bins + 1].

    Args:
        bins: one number is a width, several are the edges.
        limits: the first and the last edge, for a width; `None` is (0, 1).

    Raises:
        HeadflowError: a width that does not divide the range, edges that do not increase.
    """
    if len(bins) > 1:
        if limits is not None:
            raise HeadflowError("edges of bins were given, so a range cannot be given as well", setting="range")
        edges = np.array(bins, np.float64)
        if not (np.diff(edges) > 0).all():
            raise HeadflowError(f"the edges {' '.join(map(str, bins))} do not increase", setting="bins")
        return edges
    low, high = limits or (0.0, 1.0)
    if not low < high:
        raise HeadflowError(f"the range {low} {high}: the first number must be the smaller one", setting="range")
    width = bins[0]
    share = (high - low) / width if width > 0 else 0
    number = round(share) if math.isfinite(share) else 0
    if number < 1 or abs(number * width - (high - low)) > 1e-9:
        raise HeadflowError(
            f"the width {width} does not divide the range {low} to {high}; choose another width, or give edges",
            setting="bins",
        )
    if number > MOST_BINS:
        raise HeadflowError(
            f"the width {width} makes {number} bins; no more than {MOST_BINS} can be drawn", setting="bins"
        )
    return low + (high - low) * (np.arange(number + 1) / number)


def bin_index(values: Array, edges: Array) -> Index:
    """The bin of each value, as in `numpy.histogram`: half-open, the last one closed.

    Returns:
        int32 [values], 0 to bins - 1, or `bins` for a value outside the edges (or NaN).
    """
    bins = len(edges) - 1
    index = (np.searchsorted(edges, values, side="right") - 1).astype(np.int32)
    index[values == edges[-1]] = bins - 1
    index[~((values >= edges[0]) & (values <= edges[-1]))] = bins
    return index


def fine_index(values: Array) -> Index:
    """The fine bin of each value, int32 [values], 0 to `FINE`; values outside of 0..1 count as 0 or 1."""
    index: Index = (values.clip(0, 1) * FINE).astype(np.int32)
    return index


def bin_of_fine(edges: Array) -> Index:
    """The bin of all values in each fine bin, int32 [FINE + 1]; `UNDECIDED` if an edge lies in it or next to it.

    A table of this size is read faster than `numpy.searchsorted` searches the edges.
    """
    low = np.append(-np.inf, FINE_EDGES[1:-1] - _ROUNDING)
    high = np.append(FINE_EDGES[1:-1] + _ROUNDING, np.inf)
    first, last = (np.searchsorted(edges, values, side="right") - 1 for values in (low, high))
    bins = len(edges) - 1
    return np.where(first != last, UNDECIDED, np.where((first < 0) | (first >= bins), bins, first)).astype(np.int32)


def quantiles(counts: npt.NDArray[np.int64], shares: Sequence[float]) -> Array:
    """Quantiles of the values of each group, from how many of them are in each fine bin.

    The convention is the default of pandas and numpy: the quantile lies between the two values whose ranks, from 0, are
    next to `share * (n - 1)`. Each of them is known to within its bin, so that the result is off by less than 1 / FINE.

    Args:
        counts: int64 [groups, FINE + 1], with a value in each group.

    Returns:
        float64 [shares, groups].
    """
    ends = counts.cumsum().reshape(counts.shape)  # of all groups, one after the other, so that they are searched once
    number = counts.sum(axis=1)
    place = np.multiply.outer(shares, number - 1)
    low = np.floor(place).astype(np.int64)
    lower, upper = (_value_at(rank, counts, ends) for rank in (low, np.minimum(low + 1, number - 1)))
    return lower + (place - low) * (upper - lower)


def _value_at(rank: npt.NDArray[np.int64], counts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]) -> Array:
    """The values of some ranks in each group, [shares, groups] both, as if the values of a bin lay evenly in it.

    Args:
        ends: how many values there are up to each bin, those of the groups before included, [groups, FINE + 1].
    """
    groups, first = np.arange(len(ends)), ends[:, 0] - counts[:, 0]
    bins = np.searchsorted(ends.ravel(), first + rank, side="right") - groups * ends.shape[1]
    of_bin = counts[groups, bins]
    inside = (rank - (ends[groups, bins] - first - of_bin) + 0.5) / of_bin
    value: Array = FINE_EDGES[bins] + inside * (FINE_EDGES[bins + 1] - FINE_EDGES[bins])
    return value
