"""What differs between right and wrong answers: a contrast that is free of the question's polarity.

Its p values are exact, over all permutations, so that false discovery rates over a thousand heads can be told.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from analyze.statistics.clusters import Array, Codes, sums_of_each
from analyze.statistics.distributions import log_choose
from analyze.statistics.reliability import Halves, spearman_brown, split_half
from schemas.text import counted

_SEED = 0
_LEAST = 5  # images of the rarer kind
BOTH_RIGHT, YES_BIASED, NO_BIASED, BOTH_WRONG = "both right", "yes-biased", "no-biased", "both wrong"
NEITHER = "neither"
STATES = (BOTH_RIGHT, YES_BIASED, NO_BIASED, BOTH_WRONG, NEITHER)


@dataclass(frozen=True)
class Contrast:
    """A contrast of each quantity, such as a head; all arrays are [quantities].

    Attributes:
        statistic: 0 to 1, about 1/2 where there is no difference.
        expected: the mean of the statistic under permutation: what it is where there is no difference.
        p: two-sided, of single quantities; see `multiplicity` for many of them.
        why: why there is no contrast; the arrays are then empty.
    """

    statistic: Array
    expected: Array
    p: Array
    why: str = ""

    @classmethod
    def none(cls, why: str) -> "Contrast":
        """A contrast that cannot be told."""
        empty = np.empty(0)
        return cls(empty, empty, empty, why)


def pair_states(to_first: Array, to_second: Array) -> npt.NDArray[np.str_]:
    """How each pair of questions with two options was answered, of `STATES`.

    Yes-biased: both were answered by the first option; no-biased: both by the second; neither: at least one answer is
    no option.

    Args:
        to_first, to_second: [images], the answer to the question whose first option is right, and whose second is: the
            place of the option, 0 or 1, or NaN for an answer that is neither.
    """
    first, second = ([answers == option for answers in (to_first, to_second)] for option in (0, 1))
    both = [first[0] & second[1], first[0] & first[1], second[0] & second[1], second[0] & first[1]]
    return np.select(both, [BOTH_RIGHT, YES_BIASED, NO_BIASED, BOTH_WRONG], default=NEITHER)


def polarity_free_contrast(differences: Array, state: npt.NDArray[np.str_], category: Codes) -> Contrast:
    """Whether a quantity tells which of a pair's two questions was answered wrong.

    With D the quantity at the question whose first option is right less that at the other, the statistic is
    1/2 [P(D > 0 | yes-biased) + P(D < 0 | no-biased)]; ties count half. In a yes-biased pair the wrong answer is to the
    second question, in a no-biased one to the first, so what the word of the right answer does to the quantity
    cancels. It needs both states: with only one, polarity would not cancel. Yes-biased and no-biased are permuted among
    the biased images of a category: with images in other states among them, the test would also find what tells biased
    images from others. Where categories differ in both, the statistic is not 1/2 if nothing is told: `expected` is what
    it is then. p is exact.

    Args:
        differences: float64 [images, quantities].
        state: [images], of `STATES`.
        category: [images].
    """
    yes_biased, no_biased = state == YES_BIASED, state == NO_BIASED
    numbers = int(yes_biased.sum()), int(no_biased.sum())
    if min(numbers) < _LEAST:
        return Contrast.none(
            f"{counted(numbers[0], 'image is', 'images are')} yes-biased and {numbers[1]} no-biased; at least {_LEAST} "
            "of each are needed"
        )
    biased = yes_biased | no_biased
    halves = 2 * (differences[biased] > 0).astype(np.int8) + (differences[biased] == 0)
    first, strata = yes_biased[biased], np.unique(category[biased], return_inverse=True)[1]
    # How many of each stratum have a value, [strata, quantities], and are drawn, [strata, 1]
    sizes, ones, twos = (sums_of_each(strata, halves == value) for value in (halves, 1, 2))
    number = sums_of_each(strata, first[:, None])
    drawn, total = halves[first].sum(axis=0, dtype=np.int64), (ones + 2 * twos).sum(axis=0)
    middle = (number * ((ones + 2 * twos) / sizes)).sum(axis=0)
    one, other = 0.25 / numbers[0], 0.25 / numbers[1]  # what half a point adds to the statistic in either state
    statistic, expected = (0.5 + one * sums - other * (total - sums) for sums in (drawn, middle))
    counts = np.stack(np.broadcast_arrays(number, sizes - ones - twos, ones, twos), axis=-1).astype(np.int64)
    return Contrast(statistic, expected, _exact(counts, np.abs(drawn - middle)))


def _exact(counts: Codes, off: Array) -> Array:
    """How often, over all permutations within strata, the sum over what is drawn is as far from its mean, [quantities].

    n0, n1 and n2 of a stratum's images have the values 0, 1 and 2. The sum over k of them, taken at random, is that of
    a multivariate hypergeometric distribution; strata are independent, so that their distributions are convolved.

    Args:
        counts: k, n0, n1 and n2 of each stratum and quantity, [strata, quantities, 4].
        off: how far the sum is from its mean.
    """
    found = np.ones(len(off))
    varies = (counts[..., 0] > 0) & (counts[..., 0] < counts[..., 1:].sum(axis=-1))
    for place in range(len(off)):
        alike, times = np.unique(counts[varies[:, place], place], axis=0, return_counts=True)
        step = 1 if alike[:, 2].any() else 2  # without the value 1, no sum is odd
        mass = np.ones(1)
        for each, number in zip(alike.tolist(), times.tolist(), strict=True):
            mass = np.convolve(mass, _sum_of_alike(number, step, *each))
        sums = step * np.arange(len(mass))
        found[place] = mass[np.abs(sums - mass @ sums) >= off[place] - 1e-6].sum()
    return np.clip(found, np.finfo(float).tiny, 1)


@lru_cache(maxsize=4096)
def _sum_of_alike(strata: int, step: int, *counts: int) -> Array:
    """The chance of each sum over so many strata with the same counts, from 0, `step` apart."""
    if strata == 1:
        return _sum_of_drawn(*counts)[::step]
    half = _sum_of_alike(strata // 2, step, *counts)
    whole = np.convolve(half, half)
    return np.convolve(whole, _sum_of_alike(1, step, *counts)) if strata % 2 else whole


@lru_cache(maxsize=4096)
def _sum_of_drawn(number: int, zeros: int, ones: int, twos: int) -> Array:
    """The chance of each sum, from 0 to 2 `number`, of so many drawn of values 0, 1 and 2 without replacement."""
    one, two = np.mgrid[: number + 1, : number + 1] if ones else np.mgrid[:1, : number + 1]
    zero = number - one - two
    possible = (one <= ones) & (two <= twos) & (zero >= 0) & (zero <= zeros)
    one, two, zero = one[possible], two[possible], zero[possible]
    ways = log_choose(zeros, zero) + log_choose(ones, one) + log_choose(twos, two)
    chance = np.exp(ways - log_choose(zeros + ones + twos, np.array(number)))
    found = np.zeros(2 * number + 1)
    np.add.at(found, one + 2 * two, chance)
    return found


def contrast_reliability(
    differences: Array, state: npt.NDArray[np.object_], category: Codes, *, seed: int = _SEED
) -> float | None:
    """How far the contrasts less what is expected would be the same on other images: a correlation over quantities.

    Spearman's, between random halves of the biased images, divided within category and state, stepped up by Spearman
    and Brown. Near 0 where nothing is told. Arguments as for `polarity_free_contrast`; None where it cannot be told.
    """
    biased = (state == YES_BIASED) | (state == NO_BIASED)
    first, strata = (state == YES_BIASED)[biased], np.unique(category[biased], return_inverse=True)[1]
    above = (differences[biased] > 0) + 0.5 * (differences[biased] == 0)

    def contrasts(values: Array, halves: Halves) -> Array:
        states = [halves & first, halves & ~first]
        numbers = [each.sum(axis=1, keepdims=True) for each in states]
        told = (numbers[0] > 0) & (numbers[1] > 0)
        one, other = (each / np.maximum(1, number) for each, number in zip(states, numbers, strict=True))
        weights = np.where(halves & told, 0.5 * (one - other), 0.0)
        # Less the mean under permutation within the category
        sums, sizes = (sums_of_each(strata, each.T).T for each in (weights, halves))
        weights -= (sums / np.maximum(1, sizes))[:, strata] * halves
        found: Array = weights @ values
        return found

    half = split_half(above, 2 * strata + first, reduce=contrasts, seed=seed)
    return None if half is None else spearman_brown(half)
