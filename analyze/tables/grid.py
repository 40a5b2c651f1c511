"""The groups that rows of `heads` can belong to, as the indices of DataFrames: the same for all tallies of a run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pandas as pd

from analyze.statistics.clusters import Array
from analyze.tables.bins import FINE


@dataclass(frozen=True)
class TallyGrid:
    """All groups that a row can belong to.

    Attributes:
        layers: those that attend, in order.
        edges: of the bins of histograms, float64 [bins + 1], increasing.
        fixed: by flow whether it is 0 in each layer for lack of such keys, see `Manifest.fixed`: this does not count.
    """

    categories: list[str]
    layers: Sequence[int]
    heads: int
    edges: Array
    fixed: Mapping[str, Sequence[bool]] = field(default_factory=dict)

    def open_layers(self, flow: str) -> list[int]:
        """The layers in which a flow is not fixed."""
        fixed = self.fixed.get(flow) or [False] * len(self.layers)
        return [layer for layer, closed in zip(self.layers, fixed, strict=True) if not closed]

    @cached_property
    def cells(self) -> pd.MultiIndex:
        """Each category, layer and head."""
        return self._product(category=self._names, layer=self.layers, head=range(self.heads))

    @cached_property
    def bins(self) -> pd.MultiIndex:
        """Each category, layer and bin; the last bin is for values outside the edges."""
        return self._product(category=self._names, layer=self.layers, bin=range(len(self.edges)))

    @cached_property
    def fine_by_layer(self) -> pd.MultiIndex:
        """Each layer and fine bin."""
        return self._product(layer=self.layers, bin=range(FINE + 1))

    @cached_property
    def fine_by_category(self) -> pd.MultiIndex:
        """Each category and fine bin."""
        return self._product(category=self._names, bin=range(FINE + 1))

    @property
    def _names(self) -> pd.CategoricalIndex:
        """The categories, in their order, which is not that of the alphabet."""
        return pd.CategoricalIndex(self.categories, categories=self.categories)

    @staticmethod
    def _product(**levels: Any) -> pd.MultiIndex:
        return pd.MultiIndex.from_product(list(levels.values()), names=list(levels))
