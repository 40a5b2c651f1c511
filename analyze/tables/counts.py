"""One pass over the rows -> histograms and means, by category, layer and head. Drawing never sees a row."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analyze.tables.blocks import Heads
from analyze.tables.flows import Array, TextScope

Counted = npt.NDArray[np.int64]


def bin_index(values: Array, edges: Array) -> npt.NDArray[np.intp]:
    """The bin of each value, as `numpy.histogram` has it: half-open, the last one closed.

    Returns:
        0 .. bins-1, or `bins` for a value outside the edges (or NaN).
    """
    bins = len(edges) - 1
    index = np.searchsorted(edges, values, side="right") - 1
    index[values == edges[-1]] = bins - 1
    index[~((values >= edges[0]) & (values <= edges[-1]))] = bins
    return index


@dataclass(frozen=True)
class Counts:
    """What the pictures need of a run.

    Attributes:
        flows: the flows counted, in order.
        edges: float64 [bins + 1].
        categories: names, in the order of the axes below.
        histograms: int64 [flows, categories, layers, bins + 1]; the last bin counts values outside the edges.
        rows: int64 [categories, layers, heads].
        sums: float64 [flows, categories, layers, heads], of the values.
    """

    flows: tuple[str, ...]
    edges: Array
    categories: list[str]
    histograms: Counted
    rows: Counted
    sums: Array

    def shares(self, category: int | slice = slice(None), layer: int | slice = slice(None)) -> dict[str, Array]:
        """Share of all head values in each bin [bins], by flow: count / rows, those outside the edges included."""
        rows = self.rows[category, layer].sum()
        counts = self.histograms[:, category, layer].reshape(len(self.flows), -1, len(self.edges)).sum(axis=1)
        return {flow: count[:-1] / rows for flow, count in zip(self.flows, counts, strict=True)}

    def outside(self) -> dict[str, float]:
        """Share of all values outside the edges, by flow."""
        counts = self.histograms[..., -1].sum(axis=(1, 2))
        return dict(zip(self.flows, counts / self.rows.sum(), strict=True))

    def samples(self, category: int | slice = slice(None)) -> int:
        """Number of samples observed, in all or in one category."""
        return int(self.rows[category, ..., 0, 0].sum())

    def head_means(self, flow: str, category: int | slice = slice(None)) -> Array:
        """Means over samples [layers, heads]."""
        layers, heads = self.rows.shape[1:]
        sums = self.sums[self.flows.index(flow), category].reshape(-1, layers, heads).sum(axis=0)
        means: Array = sums / self.rows[category].reshape(-1, layers, heads).sum(axis=0)
        return means


def count(heads: Heads, flows: Sequence[str], scope: TextScope, edges: Array) -> Counts:
    """Count all rows of a run, once."""
    bins = len(edges)  # those between the edges, and one for what is outside
    cells = (len(heads.categories), heads.layers, heads.heads)
    rows = np.zeros(cells, np.int64)
    sums = np.zeros((len(flows), *cells))
    histograms = np.zeros((len(flows), *cells[:2], bins), np.int64)
    for block in heads.blocks(flows, scope):
        layer = block.category * cells[1] + block.layer
        cell = layer * cells[2] + block.head
        rows += np.bincount(cell, minlength=rows.size).reshape(rows.shape)
        for position, flow in enumerate(flows):
            values = block.flows[flow]
            sums[position] += np.bincount(cell, values, minlength=rows.size).reshape(rows.shape)
            binned = np.bincount(layer * bins + bin_index(values, edges), minlength=histograms[position].size)
            histograms[position] += binned.reshape(histograms[position].shape)
    return Counts(tuple(flows), edges, heads.categories, histograms, rows, sums)
