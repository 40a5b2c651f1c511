"""The rows of `heads`, grouped: all that pictures and summaries need of a run, in tables that do not grow with it.

    heads, _ = open_heads(Path("runs/demo"))
    run = tally(heads, ("t2v", "q2v"), heads.scope(None))
    run.means_by_category().loc["OCR"]              # mean of each layer and head, in one category
    run.bins.groupby(["layer", "bin"]).sum()        # a histogram of each layer

Some parts of the run are one task. The sums of a task are arrays; those of all tasks are added up, and become tables.
Tallies of one grid are added by `+`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from analyze.statistics.clusters import Array, Clusters, Codes, ImageSums
from analyze.tables.bins import EDGES
from analyze.tables.frames import Heads
from analyze.tables.grid import TallyGrid
from analyze.tables.open_images import Images, OpenImages, closed
from analyze.tables.parts.sums import Found, SpreadSums, Sums, TallyTask, add_up
from analyze.tables.text_scope import TextScope
from schemas.workers.work import HERE, Workers, divided


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

    def merged(self, grid: TallyGrid) -> "Spread":
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
        images: sums over images, by (category, layer and after them all layers, flow); `None` if not asked for.
    """

    grid: TallyGrid
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
        return self.rows.xs((self.grid.layers[0], 0), level=("layer", "head"))

    @property
    def counted(self) -> pd.DataFrame:
        """How many rows count, by (category, layer, head): none in layers where a flow is fixed, see `TallyGrid`."""
        layer = self.rows.index.get_level_values("layer")
        return pd.DataFrame({
            flow: self.rows.where(layer.isin(self.grid.open_layers(flow)), 0) if self.grid.fixed else self.rows
            for flow in self.flows
        })  # fmt: skip

    def means(self) -> pd.DataFrame:
        """Means over samples, by (layer, head); NaN where a flow is fixed."""
        keys = ["layer", "head"]
        return self.sums.groupby(keys).sum() / self.counted.groupby(keys).sum()

    def means_by_category(self) -> pd.DataFrame:
        """Means over samples, by (category, layer, head); NaN where a flow is fixed."""
        return self.sums / self.counted

    def shares(self, by: str | None = None) -> pd.DataFrame:
        """Share of all values in each bin, by `bin`; or of those of each `category` or `layer`, by (`by`, `bin`).

        A share is count / rows. Values outside the edges are among the rows, and in no bin. Where a flow is fixed, no
        value counts: shares of such a layer are 0.
        """
        counts = self.bins[~self._outside].groupby(["bin"] if by is None else [by, "bin"]).sum()
        if by is None:
            return counts / self.counted.sum()
        return counts.div(self.counted.groupby(by).sum(), axis=0, level=by).fillna(0.0)

    def outside(self) -> pd.Series:
        """Share of all values outside the edges, by flow."""
        return self.bins[self._outside].sum() / self.counted.sum()

    @property
    def _outside(self) -> npt.NDArray[np.bool_]:
        """Which rows of `bins` are of values outside the edges."""
        outside: npt.NDArray[np.bool_] = self.bins.index.get_level_values("bin") == len(self.grid.edges) - 1
        return outside


def tally(
    heads: Heads,
    flows: Sequence[str],
    scope: TextScope,
    edges: Array = EDGES,
    *,
    spread: bool = True,
    workers: Workers = HERE,
) -> Tally:
    """Tally all rows of a run, or those of some categories, in one pass.

    Args:
        flows: columns of `heads`.
        edges: of the bins of histograms, float64 [bins + 1].
        spread: whether `Tally.spread` and `Tally.images` are wanted; they take a third of the time.

    Raises:
        HeadflowError: see `ValuesTask.values` and `Workers.map`.
    """
    total = Total(heads, flows, scope, edges, spread=spread)
    for found in workers.map(add_up, total.tasks()):
        total.add(found)
    return total.tally()


class Total:
    """The sums of the tasks of a run, added in their order, so that they are the same wherever the tasks are done."""

    def __init__(
        self, heads: Heads, flows: Sequence[str], scope: TextScope, edges: Array = EDGES, *, spread: bool
    ) -> None:
        """Of no values yet; arguments as for `tally`."""
        self._heads, self._flows, self._scope = heads, tuple(flows), scope
        model = heads.run.manifest
        fixed = {flow: model.fixed(flow) for flow in flows} if model.crossing else {}
        self._grid = TallyGrid(heads.categories, model.attending, heads.heads, edges, fixed)
        self._sums = Sums.none(np.arange(len(heads.categories)), len(flows), *heads.shape, edges, spread=spread)
        self._images = _images(heads) if spread else None
        self._complete = ImageSums.none((len(heads.categories), heads.shape[0] + 1, len(flows)))
        divided_images = 0 if self._images is None else int(self._images.place.max(initial=-1)) + 1
        self._open = OpenImages.none(divided_images, len(flows), heads.shape[0])

    def tasks(self) -> Iterator[TallyTask]:
        """The tasks of the run."""
        for read in self._heads.tasks(self._flows, self._scope):
            categories, category = np.unique(self._heads.category_codes[read.samples], return_inverse=True)
            images = None if self._images is None else self._images.of_samples(read.samples)
            yield TallyTask(read, categories, category, self._grid.edges, images)

    def add(self, found: Found) -> None:
        """Add what `add_up` found in the next task."""
        self._sums.add(found.sums)
        if found.complete is not None:
            self._complete.add(found.complete, found.sums.categories)
        self._open.add(found.open)

    def tally(self) -> Tally:
        """The tally of all tasks."""
        grid, sums = self._grid, self._sums
        rows = np.repeat(sums.samples, len(grid.layers) * grid.heads)
        return Tally(
            grid=grid,
            rows=pd.Series(rows, grid.cells),
            sums=self._table(sums.sums, grid.cells),
            bins=self._without_fixed(self._table(sums.bins, grid.bins), 0),
            spread=None if sums.spread is None else self._spread(sums.spread, rows),
            images=None if self._images is None else self._all_images(self._images),
        )

    def _spread(self, sums: SpreadSums, rows: Codes) -> Spread:
        grid, there = self._grid, pd.Series(rows > 0, self._grid.cells)
        return Spread(
            squares=self._table(sums.squares, grid.cells),
            minima=self._without_fixed(self._table(sums.minima, grid.cells).where(there, axis=0), np.nan),
            maxima=self._without_fixed(self._table(sums.maxima, grid.cells).where(there, axis=0), np.nan),
            fine_by_layer=self._without_fixed(self._table(sums.fine_by_layer, grid.fine_by_layer), 0),
            fine_by_category=self._fine_by_category(sums, rows),
        )

    def _fine_by_category(self, sums: SpreadSums, rows: Codes) -> pd.DataFrame:
        """Fine histograms of categories; where a flow is fixed, its zeros are taken out of the first bin."""
        found = self._table(sums.fine_by_category, self._grid.fine_by_category)
        per_layer = rows.reshape(len(self._grid.categories), len(self._grid.layers), -1).sum(axis=2)
        first = found.index.get_level_values("bin") == 0
        for flow, fixed in self._grid.fixed.items():
            found.loc[first, flow] -= per_layer[:, np.array(fixed)].sum(axis=1)
        return found

    def _without_fixed(self, table: pd.DataFrame, nothing: float) -> pd.DataFrame:
        """A table with a level of layers, with `nothing` where a flow is fixed."""
        layer = table.index.get_level_values("layer")
        for flow in self._grid.fixed:
            table.loc[~layer.isin(self._grid.open_layers(flow)), flow] = nothing
        return table

    def _table(self, values: npt.NDArray, index: pd.MultiIndex) -> pd.DataFrame:
        """A column for each flow, of [flows, ...]."""
        return pd.DataFrame(dict(zip(self._flows, values.reshape(len(values), -1), strict=True)), index, copy=False)

    def _all_images(self, images: Images) -> ImageSums:
        category, number = images.category[images.place >= 0], len(self._grid.categories)
        return self._complete + closed(self._open.sums, self._open.samples, category, number, self._grid.heads)


def _images(heads: Heads) -> Images:
    """The images of all rows of `samples`."""
    clusters = Clusters.of(heads.samples)
    read = np.flatnonzero(heads.observed.to_numpy() & (heads.category_codes >= 0))
    image = clusters.image[read]
    category = np.full(clusters.images, -1)
    category[image] = heads.category_codes[read]
    ends = [group[-1][1] for group in divided(heads.parts)]
    task = np.searchsorted(ends, read, side="right")
    first, last = np.full(clusters.images, len(ends)), np.full(clusters.images, -1)
    np.minimum.at(first, image, task)
    np.maximum.at(last, image, task)
    several = last > first
    return Images(clusters.image, category, np.where(several, several.cumsum() - 1, -1))


def _combine(function: np.ufunc, one: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """A function of two values, for each cell of two tables of one shape."""
    return pd.DataFrame(function(one.to_numpy(), other.to_numpy()), index=one.index, columns=one.columns)
