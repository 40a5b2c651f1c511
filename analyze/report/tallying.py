"""Values of heads added up: all that the page needs of one measure, in tables that do not grow with the run.

A measure has a value for each (sample, layer, head): a column of `heads`, a contribution, the effect of a knock-out.
Images are dealt into groups of like size, by category. Sums of groups give intervals and reliability as sums of single
images would, a little less sharply, at a cost that is the same for any number of images.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from analyze.statistics.clusters import Array, Clusters, Codes
from analyze.statistics.heads.means import Groups, GroupSums, HeadMeans, add_rows
from analyze.statistics.reliability import RELIABLE, rank_correlation, samples_needed, spearman_brown, split_half
from analyze.tables.bins import bin_index

HIGHEST = 5  # samples that are kept for each head
_OCTAVES, _STEPS = (-40, 40), 8  # sizes of values that are told apart, in powers of 2, and steps of each


@dataclass(frozen=True)
class Dealt:
    """The samples that may be added, with the groups that their images are in.

    Attributes:
        category: int64 [samples], its place in `categories`.
    """

    categories: list[str]
    category: Codes
    groups: Groups

    @classmethod
    def of(cls, samples: pd.DataFrame, categories: list[str]) -> "Dealt":
        """Deal the images of some rows of `samples` into groups, at random with a fixed seed."""
        places = {name: place for place, name in enumerate(categories)}
        category: Codes = np.asarray(samples["category"].astype(str).map(places), np.int64)
        return cls(categories, category, Groups.of(Clusters.of(samples)))


class Tallied:
    """One measure of all heads; `cells` are heads, layer by layer.

    Attributes:
        sums, counts: float64 [categories, cells], of values that are not NaN.
        middle: size of a value that is neither near 0 nor far from it, of signed values; None: they are not signed.
        bins: int64 [cells, bins]; values outside the edges count in the first and the last bin.
        top: int64 [HIGHEST, cells], the samples with the highest values; -1 where there are no more.
        values: float64 [HIGHEST, cells], their values, the highest first.
    """

    def __init__(self, dealt: Dealt, cells: int, edges: Array, middle: float | None = None) -> None:
        self.dealt, self.edges, self.cells, self.middle = dealt, edges, cells, middle
        self.sums, self.counts = np.zeros((2, len(dealt.categories), cells))
        self.groups = GroupSums(dealt.groups, cells)
        self.bins = np.zeros((cells, len(edges) - 1), np.int64)
        self.top, self.values = np.full((HIGHEST, cells), -1), np.full((HIGHEST, cells), -np.inf)

    def add(self, samples: Codes, values: Array) -> None:
        """Add values.

        Args:
            samples: [samples], places in `dealt`.
            values: float64 [samples, cells]; NaN is left out.
        """
        if not len(samples):
            return
        known = np.isfinite(values)
        category = self.dealt.category[samples]
        add_rows(self.sums, category, np.where(known, values, 0.0))
        add_rows(self.counts, category, known.astype(np.float64))
        self.groups.add(samples, values)
        self._add_bins(values, known)
        self._add_highest(samples, np.where(known, values, -np.inf))

    def _add_bins(self, values: Array, known: npt.NDArray[np.bool_]) -> None:
        number = self.bins.shape[1]
        cell = np.broadcast_to(np.arange(self.cells), values.shape)[known]
        index = bin_index(np.clip(values[known], self.edges[0], self.edges[-1]), self.edges)
        self.bins += np.bincount(cell * number + index, minlength=self.bins.size).reshape(self.bins.shape)

    def _add_highest(self, samples: Codes, values: Array) -> None:
        """Merge the highest so far with those of new values; of equal ones, the earlier stays."""
        own = np.broadcast_to(samples[:, None], values.shape)
        if len(values) > HIGHEST:
            chosen = np.argpartition(-values, HIGHEST - 1, axis=0)[:HIGHEST]
            values, own = np.take_along_axis(values, chosen, axis=0), np.take_along_axis(own, chosen, axis=0)
        values, own = np.concatenate([self.values, values]), np.concatenate([self.top, own])
        order = np.argsort(-values, axis=0, kind="stable")[:HIGHEST]
        self.values = np.take_along_axis(values, order, axis=0)
        self.top = np.where(np.isfinite(self.values), np.take_along_axis(own, order, axis=0), -1)

    def means(self) -> Array:
        """Means over samples, float64 [1 + categories, cells], those of all samples first; NaN where there is none."""
        with np.errstate(invalid="ignore"):
            return np.vstack([self.sums.sum(axis=0) / self.counts.sum(axis=0), self.sums / self.counts])

    @cached_property
    def of_heads(self) -> HeadMeans:
        """The mean of each head over all samples, and how sure it is."""
        return self.groups.means()

    def halves(self) -> npt.NDArray[np.int64]:
        """The rank of each head, from 1 for the highest, in either half of the images, int64 [2, cells]."""
        return np.stack([ranks(self.half_means(half)) for half in (0, 1)])

    def half_means(self, half: int) -> Array:
        """The mean of each head over the first or the second half of the images, 0 or 1, [cells]."""
        with np.errstate(invalid="ignore"):
            found: Array = self.groups.sums[half::2].sum(axis=0) / self.groups.counts[half::2].sum(axis=0)
        return found

    @cached_property
    def order(self) -> "Order":
        """How far the order of heads would be the same on other images: split halves, stepped up."""
        by_group = self.groups.by_group()
        known = by_group[:, np.isfinite(by_group).all(axis=0)]
        half = split_half(known, np.zeros(len(known), np.int64)) if known.shape[1] > 2 else None
        if half is None:
            return Order(None, None)
        return Order(spearman_brown(half), samples_needed(half, self.groups.images // 2, RELIABLE))


@dataclass(frozen=True)
class Order:
    """How far the order of heads would be the same on other images; both None if unknown.

    Attributes:
        reliability: see `spearman_brown`.
        images: how many would give a reliability of `RELIABLE`; infinite if no number would.
    """

    reliability: float | None
    images: float | None

    @property
    def noise(self) -> bool:
        """Whether it may be no more than noise: the reliability is under `RELIABLE`, or unknown."""
        return self.reliability is None or self.reliability < RELIABLE


def ranks(values: Array) -> npt.NDArray[np.int64]:
    """The rank of each value, from 1 for the highest; 0 for NaN."""
    order = np.argsort(-values, kind="stable")
    found = np.empty(len(values), np.int64)
    found[order] = np.arange(1, len(values) + 1)
    return np.where(np.isnan(values), 0, found)


def agreement(one: Array, other: Array) -> float | None:
    """The rank correlation of two measures over the heads that have both; None if it cannot be told."""
    both = np.isfinite(one) & np.isfinite(other)
    return rank_correlation(one[both], other[both]) if both.sum() > 2 else None


class Sizes:
    """How large the values of a signed measure are, whatever their sign: as many bins as fit their range."""

    def __init__(self) -> None:
        self._edges = np.exp2(np.arange(_OCTAVES[0] * _STEPS, _OCTAVES[1] * _STEPS + 1) / _STEPS)
        self._counts = np.zeros(len(self._edges) - 1, np.int64)
        self.largest = 0.0

    def add(self, values: Array) -> None:
        """Add values; NaN and 0 are left out."""
        sizes = np.abs(values[np.isfinite(values) & (values != 0)])
        if len(sizes):
            self.largest = max(self.largest, float(sizes.max()))
            self._counts += np.histogram(np.clip(sizes, self._edges[0], self._edges[-1]), self._edges)[0]

    @property
    def middle(self) -> float:
        """The median size, within one step of 2^(1/8); 1 if there is no value."""
        if not self._counts.any():
            return 1.0
        place = int(np.searchsorted(np.cumsum(self._counts), self._counts.sum() / 2))
        return float(np.sqrt(self._edges[place] * self._edges[place + 1]))
