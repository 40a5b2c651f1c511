"""Means of many heads, which of them are told from 0, and whether the highest is told from the others.

Images are dealt into groups of like size, so that a run of any size costs the same. An interval that is corrected holds
for all heads together in 95% of runs (Bonferroni). At such small levels Student's quantile is wrong where values are
skewed, and the skewness of few groups is not known well. So a bound is the furthest one of Student's and of Hall's
(1992), with the skewness as it was found and `_SLACK` of its standard errors to either side.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from analyze.statistics.clusters import Array, Clusters, Codes
from analyze.statistics.distributions import student_quantile
from analyze.statistics.intervals import FEW_IMAGES, unskewed
from analyze.statistics.multiplicity import FLOOR

MOST_GROUPS = 120
ABOVE, BELOW, UNCLEAR, UNTOLD = 1, -1, 0, 2  # of a head's mean: told from 0, not significant, cannot be told
_SLACK = 2.0
_LEVEL = 0.95


@dataclass(frozen=True)
class Lead:
    """Whether the highest of some heads, or the lowest, is told from all others.

    Attributes:
        first: the cell of the head.
        second: the cell that comes next.
        rivals: how many other heads may come first instead, as far as can be told.
        images: about how many images it takes to tell the first from all others; None where no number would do.
        told: whether the first is told from all others; None where images are too few to tell anything.
    """

    first: int
    second: int
    rivals: int
    images: float | None
    told: bool | None


@dataclass(frozen=True)
class HeadMeans:
    """The mean of each head, and how far each group of images moves it.

    Attributes:
        mean: [cells]; NaN where a head has no value.
        moves: [groups, cells], the sum over a group less the mean times the number of its values, over the number of
            all values; NaN where a group has no value of a head.
        images: how many there are.
    """

    mean: Array
    moves: Array
    images: int

    @classmethod
    def of(cls, sums: Array, counts: Array, images: int) -> "HeadMeans":
        """From the sums over each group, and how many values these have, [groups, cells] both."""
        with np.errstate(invalid="ignore", divide="ignore"):
            total = counts.sum(axis=0)
            mean = sums.sum(axis=0) / total
            moves = np.where(counts > 0, (sums - mean * counts) / total, np.nan)
        return cls(mean, moves, images)

    @cached_property
    def heads(self) -> int:
        """How many heads have a value: what intervals are corrected for."""
        return int(np.isfinite(self.mean).sum())

    @cached_property
    def error(self) -> Array:
        """The standard error of each mean, [cells]; NaN below two groups."""
        return _spread(self.moves)[0]

    def interval(self) -> tuple[Array, Array]:
        """The 95% interval of each mean, of one head that was chosen before, low and high, [cells]; Student's."""
        freedom = _groups(self.moves) - 1
        half = student_quantile(np.where(freedom > 0, freedom, np.nan), (1 + _LEVEL) / 2) * self.error
        return self.mean - half, self.mean + half

    @cached_property
    def corrected(self) -> tuple[Array, Array]:
        """Intervals that hold for all heads together, low and high, [cells]; NaN below `FEW_IMAGES` images."""
        below, above = self._reach(self.moves)
        return self.mean - below, self.mean + above

    def _reach(self, moves: Array) -> tuple[Array, Array]:
        """How far intervals that hold for all heads reach below and above means that groups move so."""
        if self.images < FEW_IMAGES:
            return (np.full(moves.shape[1:], np.nan),) * 2
        error, skew = _spread(moves)
        groups = _groups(moves)
        t = student_quantile(np.where(groups > 1, groups - 1, np.nan), 1 - (1 - _LEVEL) / (2 * max(1, self.heads)))
        # The skewness of a mean is that of the groups over the root of their number, and so is its standard error
        slack = _SLACK * np.sqrt(6) / np.maximum(1, groups)
        ends = [unskewed(sign * t, skew + each) for sign in (1, -1) for each in (-slack, slack)]
        return error * np.maximum(t, np.maximum(*ends[:2])), -error * np.minimum(-t, np.minimum(*ends[2:]))

    @cached_property
    def told(self) -> npt.NDArray[np.int64]:
        """Of each head `ABOVE`, `BELOW` or `UNCLEAR`, by its corrected interval, or `UNTOLD`, [cells].

        A mean that does not exceed rounding, and a head whose values are all the same, are told from nothing.
        """
        low, high = self.corrected
        found = np.where(low > 0, ABOVE, np.where(high < 0, BELOW, UNCLEAR))
        found = np.where((np.abs(self.mean) <= FLOOR) | (self.error == 0), UNCLEAR, found)
        return np.where(np.isnan(low), UNTOLD, found)

    @cached_property
    def sureness(self) -> Array:
        """How many standard errors each mean is from 0, [cells]; 0 where that is not known."""
        with np.errstate(invalid="ignore", divide="ignore"):
            found = np.abs(self.mean) / self.error
        return np.where(np.isfinite(found), found, 0.0)

    def reliabilities(self) -> Array:
        """Of each head, the share of what sets it apart from other heads that is no noise, 0 to 1, [cells].

        That is v / (v + e²): e its standard error, v the variance of heads' means less the mean of all e².
        """
        known = np.isfinite(self.error)
        if known.sum() < 2:
            return np.full(len(self.mean), np.nan)
        squares = self.error**2
        between = max(0.0, float(np.var(self.mean[known], ddof=1) - squares[known].mean()))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(known, between / (between + squares), np.nan)

    def lead(self, *, lowest: bool = False) -> Lead | None:
        """Whether the highest head, or the lowest, is told from all others; None below two heads.

        Each other head is compared on the same images, with intervals that hold for all of them: so the head that
        really comes first, whichever it is, is put after another one in at most 5% of runs.
        """
        known = np.flatnonzero(np.isfinite(self.mean))
        if len(known) < 2:
            return None
        sign = -1.0 if lowest else 1.0
        order = known[np.argsort(-sign * self.mean[known], kind="stable")]
        first, others = int(order[0]), order[1:]
        gaps = sign * (self.mean[first] - self.mean[others])
        below, _ = self._reach(sign * (self.moves[:, [first]] - self.moves[:, others]))
        if np.isnan(below).all():
            return Lead(first, int(others[0]), len(others), float(FEW_IMAGES), None)
        apart = (gaps - below > 0) & (gaps > FLOOR) & (below > 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            times = float(np.max((below / gaps) ** 2))
        return Lead(
            first, int(others[0]), int((~apart).sum()), self.images * times if np.isfinite(times) else None,
            bool(apart.all()),
        )  # fmt: skip


@dataclass(frozen=True)
class Groups:
    """Images in groups of like size, each category evenly.

    Attributes:
        image: int64 [samples].
        group: int64 [images].
        number: of groups.
    """

    image: Codes
    group: Codes
    number: int

    @classmethod
    def of(cls, clusters: Clusters, seed: int = 0) -> "Groups":
        """Deal images at random; one that is in several categories is one image."""
        once = clusters.once()
        random, order = np.random.default_rng(seed), np.empty(once.images, np.int64)
        dealt = 0
        for number in range(len(once.categories)):
            members = random.permutation(np.flatnonzero(once.category == number))
            order[members] = dealt + np.arange(len(members))
            dealt += len(members)
        groups = min(MOST_GROUPS, once.images)
        return cls(np.asarray(once.image, np.int64), order % max(1, groups), groups)


class GroupSums:
    """Values of heads, added up over the images of each group.

    Attributes:
        sums, counts: float64 [groups, cells], of values that are not NaN.
    """

    def __init__(self, groups: Groups, cells: int) -> None:
        self.groups = groups
        self.sums, self.counts = np.zeros((2, groups.number, cells))
        self._seen = np.zeros(len(groups.group), bool)

    def add(self, samples: Codes, values: Array) -> None:
        """Add values [samples, cells] of some samples; NaN is left out."""
        known, image = np.isfinite(values), self.groups.image[samples]
        self._seen[image[known.any(axis=1)]] = True
        add_rows(self.sums, self.groups.group[image], np.where(known, values, 0.0))
        add_rows(self.counts, self.groups.group[image], known.astype(np.float64))

    @property
    def images(self) -> int:
        """How many images have a value."""
        return int(self._seen.sum())

    def means(self) -> HeadMeans:
        """The mean of each head, and how sure it is."""
        return HeadMeans.of(self.sums, self.counts, self.images)

    def by_group(self) -> Array:
        """The means of each group that has a value, [groups, cells]; NaN where a head has none."""
        with np.errstate(invalid="ignore"):
            found = self.sums / self.counts
        return found[np.isfinite(found).any(axis=1)]


def add_rows(sums: Array, code: Codes, values: Array) -> None:
    """Add rows of values to the rows of sums that their codes name."""
    if len(code):
        order = np.argsort(code, kind="stable")
        first = np.flatnonzero(np.diff(code[order], prepend=-1))
        sums[code[order[first]]] += np.add.reduceat(values[order], first, axis=0)


def _groups(moves: Array) -> Codes:
    """How many groups have a value, [cells]."""
    return np.isfinite(moves).sum(axis=0)


def _spread(moves: Array) -> tuple[Array, Array]:
    """The standard error of means, and their skewness, from what each group moves them by, [cells] both."""
    number, filled = _groups(moves).astype(np.float64), np.nan_to_num(moves)
    with np.errstate(invalid="ignore", divide="ignore"):
        squares = np.where(number > 1, number / (number - 1) * (filled**2).sum(axis=0), np.nan)
        cubes = np.where(number > 2, number**2 / ((number - 1) * (number - 2)) * (filled**3).sum(axis=0), 0.0)
        return np.sqrt(squares), np.nan_to_num(cubes / squares**1.5)
