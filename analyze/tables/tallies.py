"""The rows of `heads`, grouped: all that pictures and summaries need of a run, in tables that do not grow with it.

    heads, _ = open_heads(Path("runs/demo"))
    run = tally(heads, ("t2v", "q2v"), heads.scope(None))
    run.means_by_category().loc["OCR"]              # mean of each layer and head, in one category
    run.bins.groupby(["layer", "bin"]).sum()        # a histogram of each layer

Each DataFrame of rows is grouped to small tables; those of all DataFrames have the same index and are added by `+`, in
any order.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from analyze.tables.bins import EDGES, FINE, UNDECIDED, Index, bin_index, fine_index
from analyze.tables.frames import Heads
from analyze.tables.grid import Grid, count, group
from analyze.tables.image_sums import ImageSums, ImageSumsReader
from analyze.tables.text_scope import Array, TextScope


@dataclass(frozen=True)
class Spread:
    """What summaries need beside sums and histograms. Each DataFrame has a column for each flow.

    Attributes:
        squares: sum of the squared values, float64, by (category, layer, head).
        minima: the lowest value, in the same form; NaN if there is none.
        maxima: the highest value, in the same form.
        fine_by_layer: how many values, int64, by (layer, bin), in fine bins; see `tables.bins`.
        fine_by_category: how many values, int64, by (category, bin), in fine bins.
    """

    squares: pd.DataFrame
    minima: pd.DataFrame
    maxima: pd.DataFrame
    fine_by_layer: pd.DataFrame
    fine_by_category: pd.DataFrame

    def __add__(self, other: "Spread") -> "Spread":
        """The tables of the rows of both."""
        return Spread(
            squares=self.squares + other.squares,
            minima=_combine(np.fmin, self.minima, other.minima),
            maxima=_combine(np.fmax, self.maxima, other.maxima),
            fine_by_layer=self.fine_by_layer + other.fine_by_layer,
            fine_by_category=self.fine_by_category + other.fine_by_category,
        )

    def merged(self, grid: Grid) -> "Spread":
        """All categories as the one of `grid`."""
        cells = [table.groupby(["layer", "head"]) for table in (self.squares, self.minima, self.maxima)]
        return Spread(
            squares=cells[0].sum().set_axis(grid.cells),
            minima=cells[1].min().set_axis(grid.cells),
            maxima=cells[2].max().set_axis(grid.cells),
            fine_by_layer=self.fine_by_layer,
            fine_by_category=self.fine_by_category.groupby("bin").sum().set_axis(grid.fine_by_category),
        )


@dataclass(frozen=True)
class Tally:
    """Tables of a run, or of some of its rows. Each DataFrame has a column for each flow.

    Attributes:
        grid: the groups; a table has a row for each of them, also for those without a value.
        rows: how many rows, int64, by (category, layer, head).
        sums: sum of the values, float64, by (category, layer, head).
        bins: how many values, int64, by (category, layer, bin). Bins are those of `numpy.histogram`: half-open, the
            last one closed; one more bin, `len(edges) - 1`, has the values outside the edges.
        spread: `None` if it was not asked for.
        images: sums over images, by (category, layer and behind them all layers, flow); likewise.
    """

    grid: Grid
    rows: pd.Series
    sums: pd.DataFrame
    bins: pd.DataFrame
    spread: Spread | None
    images: ImageSums | None = None

    def __add__(self, other: "Tally") -> "Tally":
        """The tally of the rows of both; their grids must be the same."""
        return Tally(
            grid=self.grid,
            rows=self.rows + other.rows,
            sums=self.sums + other.sums,
            bins=self.bins + other.bins,
            spread=self.spread + other.spread if self.spread and other.spread else None,
            images=self.images + other.images if self.images and other.images else None,
        )

    def merged(self) -> "Tally":
        """All categories as one, named `all`, so that tallies of different categories can be added."""
        grid = replace(self.grid, categories=["all"])
        cells = ["layer", "head"]
        return Tally(
            grid=grid,
            rows=self.rows.groupby(cells).sum().set_axis(grid.cells),
            sums=self.sums.groupby(cells).sum().set_axis(grid.cells),
            bins=self.bins.groupby(["layer", "bin"]).sum().set_axis(grid.bins),
            spread=self.spread.merged(grid) if self.spread else None,
            images=self.images.sum(axis=0) if self.images else None,
        )

    @property
    def flows(self) -> tuple[str, ...]:
        """The columns of `heads` that were tallied."""
        return tuple(self.sums.columns)

    def samples(self) -> pd.Series:
        """Number of samples observed, by category."""
        return self.rows.xs((0, 0), level=("layer", "head"))

    def means(self) -> pd.DataFrame:
        """Means over samples, by (layer, head)."""
        keys = ["layer", "head"]
        return self.sums.groupby(keys).sum().div(self.rows.groupby(keys).sum(), axis=0)

    def means_by_category(self) -> pd.DataFrame:
        """Means over samples, by (category, layer, head)."""
        return self.sums.div(self.rows, axis=0)

    def shares(self, by: str | None = None) -> pd.DataFrame:
        """Share of all values in each bin, by `bin`; or of those of each `category` or `layer`, by (`by`, `bin`).

        A share is count / rows. Values outside the edges are among the rows, and in no bin.
        """
        counts = self.bins[~self._outside].groupby(["bin"] if by is None else [by, "bin"]).sum()
        return counts / self.rows.sum() if by is None else counts.div(self.rows.groupby(by).sum(), axis=0, level=by)

    def outside(self) -> pd.Series:
        """Share of all values outside the edges, by flow."""
        return self.bins[self._outside].sum() / self.rows.sum()

    @property
    def _outside(self) -> npt.NDArray[np.bool_]:
        """Which rows of `bins` are of values outside the edges."""
        outside: npt.NDArray[np.bool_] = self.bins.index.get_level_values("bin") == len(self.grid.edges) - 1
        return outside


def tally(heads: Heads, flows: Sequence[str], scope: TextScope, edges: Array = EDGES, *, spread: bool = True) -> Tally:
    """Tally all rows of a run, or those of some categories, in one pass.

    Args:
        flows: columns of `heads`.
        edges: of the bins of histograms, float64 [bins + 1].
        spread: whether `Tally.spread` and `Tally.images` are wanted; they take half of the time.

    Raises:
        HeadflowError: see `Heads.frames`.
    """
    grid = Grid(heads.categories, heads.layers, heads.heads, edges)
    images = ImageSumsReader(heads, flows) if spread else None

    def tallies() -> Iterator[Tally]:
        for frame in heads.frames(flows, scope):
            if images is not None:
                images.add(frame)
            yield tally_frame(frame, flows, grid, spread=spread)

    found = reduce(add, tallies())
    return replace(found, images=images.result() if images is not None else None)


def tally_frame(frame: pd.DataFrame, flows: Sequence[str], grid: Grid, *, spread: bool = True) -> Tally:
    """Tally some rows, as `Heads.frames` yields them; arguments as for `tally`."""
    category = frame["category"].cat.codes.to_numpy().astype(np.int32)
    category_layer = category * grid.layers + frame["layer"].to_numpy()
    cell = category_layer * grid.heads + frame["head"].to_numpy()
    values = {flow: frame[flow].to_numpy() for flow in flows}
    fine = {flow: fine_index(value) for flow, value in values.items()}
    bins = {flow: category_layer * len(grid.edges) + _bin(value, fine[flow], grid) for flow, value in values.items()}
    groups = group(frame[list(flows)], cell, grid.cells)
    return Tally(
        grid=grid,
        rows=groups.size().set_axis(grid.cells),
        sums=groups.sum().set_axis(grid.cells),
        bins=_counts(bins, grid.bins),
        spread=_spread(frame, groups, fine, cell, grid) if spread else None,
    )


def _spread(frame: pd.DataFrame, groups: Any, fine: Mapping[str, Index], cell: Index, grid: Grid) -> Spread:
    """Some rows: grouped by their cells, and their fine bins by flow."""
    squares = pd.DataFrame({flow: np.square(frame[flow].to_numpy()) for flow in fine}, copy=False)
    layer, category = frame["layer"].to_numpy().astype(np.int32), frame["category"].cat.codes.to_numpy(np.int32)
    return Spread(
        squares=group(squares, cell, grid.cells).sum().set_axis(grid.cells),
        minima=groups.min().set_axis(grid.cells),
        maxima=groups.max().set_axis(grid.cells),
        fine_by_layer=_counts({flow: layer * (FINE + 1) + index for flow, index in fine.items()}, grid.fine_by_layer),
        fine_by_category=_counts(
            {flow: category * (FINE + 1) + index for flow, index in fine.items()}, grid.fine_by_category
        ),
    )


def _bin(values: Array, fine: Index, grid: Grid) -> Index:
    """The bin of each value, looked up by its fine bin and searched for only if that does not decide it."""
    index = grid.bin_of_fine[fine]
    undecided = np.flatnonzero(index == UNDECIDED)
    index[undecided] = bin_index(values[undecided], grid.edges)
    return index


def _counts(codes: Mapping[str, Index], index: pd.MultiIndex) -> pd.DataFrame:
    """How many rows have each position in `index`, int64, by flow."""
    return pd.DataFrame({flow: count(code, index) for flow, code in codes.items()})


def _combine(function: np.ufunc, one: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """A function of two values, for each cell of two tables of one shape."""
    return pd.DataFrame(function(one.to_numpy(), other.to_numpy()), index=one.index, columns=one.columns)
