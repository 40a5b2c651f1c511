"""The groups that rows of `heads` can belong to, and grouping by them.

Rows are grouped by one integer that combines category, layer and head, or layer and bin. As a categorical over all
integers of the grid it needs no hash table, and the results of all DataFrames have the same index.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from analyze.tables.bins import FINE, Index, bin_of_fine
from analyze.tables.text_scope import Array


@dataclass(frozen=True)
class Grid:
    """All groups that a row can belong to.

    Attributes:
        edges: of the bins of histograms, float64 [bins + 1], increasing.
    """

    categories: list[str]
    layers: int
    heads: int
    edges: Array

    @cached_property
    def cells(self) -> pd.MultiIndex:
        """Each category, layer and head."""
        return self._product(category=self._names, layer=range(self.layers), head=range(self.heads))

    @cached_property
    def bins(self) -> pd.MultiIndex:
        """Each category, layer and bin; the last bin is for values outside the edges."""
        return self._product(category=self._names, layer=range(self.layers), bin=range(len(self.edges)))

    @cached_property
    def fine_by_layer(self) -> pd.MultiIndex:
        """Each layer and fine bin."""
        return self._product(layer=range(self.layers), bin=range(FINE + 1))

    @cached_property
    def fine_by_category(self) -> pd.MultiIndex:
        """Each category and fine bin."""
        return self._product(category=self._names, bin=range(FINE + 1))

    @cached_property
    def bin_of_fine(self) -> Index:
        """See `bins.bin_of_fine`."""
        return bin_of_fine(self.edges)

    @property
    def _names(self) -> pd.CategoricalIndex:
        """The categories, in their order, which is not that of the alphabet."""
        return pd.CategoricalIndex(self.categories, categories=self.categories)

    @staticmethod
    def _product(**levels: Any) -> pd.MultiIndex:
        return pd.MultiIndex.from_product(list(levels.values()), names=list(levels))


def group(rows: Any, code: Index, index: pd.MultiIndex) -> Any:
    """The rows of a DataFrame or Series, grouped by an integer, the position in `index`.

    Positions without a row are groups as well.
    """
    dtype = pd.CategoricalDtype(pd.RangeIndex(len(index)))
    return rows.groupby(pd.Categorical.from_codes(code, dtype=dtype), observed=False)


def count(code: Index, index: pd.MultiIndex) -> pd.Series:
    """How many rows have each position in `index`, int64."""
    counts: pd.Series = group(pd.Series(code), code, index).size().set_axis(index)
    return counts
