"""The values of some parts, added up: by category, layer and head, in bins, and by image."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analyze.statistics.clusters import Array, ImageSums
from analyze.tables.bins import FINE, UNDECIDED, Index, bin_index, bin_of_fine, fine_index
from analyze.tables.open_images import Images, OpenImages, closed
from analyze.tables.parts.reading import ValuesTask

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class TallyTask:
    """What is added up of some parts.

    Attributes:
        read: the values.
        categories: int64 [categories], those that its samples have: their places in the grid of the tally.
        category: int64 [samples], the place of each sample's category in `categories`.
        edges: of the bins of histograms, float64 [bins + 1].
        images: of the samples; None: neither `SpreadSums` nor sums over images are wanted.
    """

    read: ValuesTask
    categories: npt.NDArray[np.int64]
    category: npt.NDArray[np.int64]
    edges: Array
    images: Images | None


@dataclass(frozen=True)
class SpreadSums:
    """What `tallies.Spread` holds, as arrays; `minima` and `maxima` are infinite where there is no value.

    Attributes:
        squares: float64 [flows, categories, layers, heads]; `minima` and `maxima` too.
        fine_by_layer: int64 [flows, layers, FINE + 1].
        fine_by_category: int64 [flows, categories, FINE + 1].
    """

    squares: Array
    minima: Array
    maxima: Array
    fine_by_layer: Counts
    fine_by_category: Counts

    @classmethod
    def none(cls, flows: int, categories: int, layers: int, heads: int) -> "SpreadSums":
        """Of no values."""
        cells = (flows, categories, layers, heads)
        return cls(
            np.zeros(cells),
            np.full(cells, np.inf),
            np.full(cells, -np.inf),
            np.zeros((flows, layers, FINE + 1), np.int64),
            np.zeros((flows, categories, FINE + 1), np.int64),
        )

    def add(self, other: "SpreadSums", categories: npt.NDArray[np.int64]) -> None:
        """Add values of some of the categories."""
        self.squares[:, categories] += other.squares
        self.minima[:, categories] = np.minimum(self.minima[:, categories], other.minima)
        self.maxima[:, categories] = np.maximum(self.maxima[:, categories], other.maxima)
        self.fine_by_layer[...] += other.fine_by_layer
        self.fine_by_category[:, categories] += other.fine_by_category


@dataclass(frozen=True)
class Sums:
    """Values added up, as arrays; see `tallies.Tally`.

    Attributes:
        categories: int64 [categories], their places in the grid of the tally.
        samples: int64 [categories].
        sums: float64 [flows, categories, layers, heads].
        bins: int64 [flows, categories, layers, bins + 1], the last one for values outside the edges.
        spread: None where it is not wanted.
    """

    categories: Counts
    samples: Counts
    sums: Array
    bins: Counts
    spread: SpreadSums | None

    @classmethod
    def none(cls, categories: Counts, flows: int, layers: int, heads: int, edges: Array, *, spread: bool) -> "Sums":
        """Of no values."""
        number = len(categories)
        return cls(
            categories,
            np.zeros(number, np.int64),
            np.zeros((flows, number, layers, heads)),
            np.zeros((flows, number, layers, len(edges)), np.int64),
            SpreadSums.none(flows, number, layers, heads) if spread else None,
        )

    def add(self, other: "Sums") -> None:
        """Add values of some categories to those of all categories of the grid."""
        self.samples[other.categories] += other.samples
        self.sums[:, other.categories] += other.sums
        self.bins[:, other.categories] += other.bins
        if self.spread is not None and other.spread is not None:
            self.spread.add(other.spread, other.categories)


@dataclass(frozen=True)
class Found:
    """What is found in the parts of a task.

    Attributes:
        complete: sums over the images that have all of their samples there; None where they are not wanted.
        open: the others.
    """

    sums: Sums
    complete: ImageSums | None
    open: OpenImages


class Adding:
    """Adds up the values of a task as they are read."""

    def __init__(self, task: TallyTask) -> None:
        manifest, flows = task.read.run.manifest, len(task.read.flows)
        self._task, (self._layers, self._heads) = task, manifest.shape
        self._found = Sums.none(
            task.categories, flows, self._layers, self._heads, task.edges, spread=task.images is not None
        )
        self._bin_of_fine = bin_of_fine(task.edges)
        images = 0 if task.images is None else len(task.images.category)
        self._images = OpenImages.none(images, flows, self._layers)

    def add(self, own: slice, values: Mapping[str, Array]) -> None:
        """Add values as `ValuesTask.values` yields them."""
        category = self._task.category[own]
        for number in np.unique(category):
            self._found.samples[number] += np.count_nonzero(category == number)
        if self._task.images is not None:
            np.add.at(self._images.samples, self._task.images.image[own], 1)
        for flow, array in enumerate(values.values()):
            self._add(flow, array, category)
            if self._task.images is not None:
                np.add.at(self._images.sums[flow], self._task.images.image[own], array.sum(axis=2))

    def _add(self, flow: int, values: Array, category: Counts) -> None:
        """Add the values of one flow."""
        found, fine = self._found, fine_index(values)
        bins = self._bin(values, fine)
        if found.spread is not None:
            found.spread.fine_by_layer[flow] += self._by_layer(fine, FINE + 1)
        for number in np.unique(category):
            chosen = slice(None) if (category == number).all() else category == number
            some = values[chosen]
            found.sums[flow, number] += some.sum(axis=0)
            found.bins[flow, number] += self._by_layer(bins[chosen], len(self._task.edges))
            if (spread := found.spread) is not None:
                spread.squares[flow, number] += np.square(some).sum(axis=0)
                spread.minima[flow, number] = np.minimum(spread.minima[flow, number], some.min(axis=0))
                spread.maxima[flow, number] = np.maximum(spread.maxima[flow, number], some.max(axis=0))
                spread.fine_by_category[flow, number] += np.bincount(fine[chosen].ravel(), minlength=FINE + 1)

    def _bin(self, values: Array, fine: Index) -> Index:
        """The bin of each value, looked up by its fine bin and searched for only if that does not decide it.

        A mass is 0 to 1; what rounding left beyond, as far as readers let it pass, counts as 0 or 1.
        """
        index = self._bin_of_fine[fine]
        undecided = index == UNDECIDED
        index[undecided] = bin_index(values[undecided].clip(0, 1), self._task.edges)
        return index

    def _by_layer(self, index: Index, bins: int) -> Counts:
        """How many values of each layer are in each bin, int64 [layers, bins], of the bins [samples, layers, heads]."""
        code = index + (np.arange(self._layers, dtype=np.int32) * bins)[:, None]
        return np.bincount(code.ravel(), minlength=self._layers * bins).reshape(self._layers, bins)

    def result(self) -> Found:
        """What was added up."""
        if (images := self._task.images) is None:
            return Found(self._found, None, self._images)
        whole, sums, samples = images.place < 0, self._images.sums, self._images.samples
        category = np.searchsorted(self._task.categories, images.category[whole])
        complete = closed(sums[:, whole], samples[whole], category, len(self._task.categories), self._heads)
        return Found(self._found, complete, OpenImages(images.place[~whole], sums[:, ~whole], samples[~whole]))


def add_up(task: TallyTask) -> Found:
    """Read the values of a task and add them up: what a worker does. Raises as `ValuesTask.values`."""
    adding = Adding(task)
    for own, values in task.read.values():
        adding.add(own, values)
    return adding.result()
