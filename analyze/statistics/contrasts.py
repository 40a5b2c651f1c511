"""What differs between right and wrong answers: AUROC, and a contrast that is free of the question's polarity.

The p values of the contrast are exact, over all permutations, so that false discovery rates over a thousand heads can
be told. Those of AUROC are of thousands of permutations as one product of matrices; beyond what these can resolve, of
the normal distribution with the permutation's own mean and variance.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from analyze.statistics.clusters import Array, Codes
from analyze.statistics.reliability import spearman_brown, split_half
from schemas.text import counted

PERMUTATIONS, SEED = 10_000, 0
ROWS = 1_000  # permutations computed at once
RESOLVED = 10  # permutations that reach the statistic, from which their share is taken for p
LEAST = 5  # images of the rarer kind
BOTH_RIGHT, YES_BIASED, NO_BIASED, BOTH_WRONG = "both right", "yes-biased", "no-biased", "both wrong"
NEITHER = "neither"
STATES = (BOTH_RIGHT, YES_BIASED, NO_BIASED, BOTH_WRONG, NEITHER)


@dataclass(frozen=True)
class Contrast:
    """A contrast of each quantity, such as a head; all arrays are [quantities].

    Attributes:
        statistic: 0 to 1, about 1/2 where there is no difference.
        expected: the mean of the statistic under permutation: what it is where there is no difference.
        p: two-sided, of each quantity alone; see `multiplicity` for many of them.
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


def pair_states(to_yes: npt.NDArray[np.object_], to_no: npt.NDArray[np.object_]) -> npt.NDArray[np.str_]:
    """How each pair of questions was answered, of `STATES`.

    Yes-biased: both were answered Yes; no-biased: both No; neither: at least one answer is neither Yes nor No.

    Args:
        to_yes, to_no: [images], the answer to the question whose right answer is Yes, and No: `yes`, `no`, or another
            value for an answer that is neither.
    """
    yes, no = ([answers == word for answers in (to_yes, to_no)] for word in ("yes", "no"))
    both = [yes[0] & no[1], yes[0] & yes[1], no[0] & no[1], no[0] & yes[1]]
    return np.select(both, [BOTH_RIGHT, YES_BIASED, NO_BIASED, BOTH_WRONG], default=NEITHER)


def polarity_free_contrast(differences: Array, state: npt.NDArray[np.str_], category: Codes) -> Contrast:
    """Whether a quantity tells which of a pair's two questions was answered wrong.

    With D the quantity at the question answered Yes less that at the other one, the statistic is
    1/2 [P(D > 0 | yes-biased) + P(D < 0 | no-biased)]; ties count half. In a yes-biased pair the wrong answer is to the
    No question, in a no-biased one to the Yes question, so what the word of the right answer does to the quantity
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
    if min(numbers) < LEAST:
        return Contrast.none(
            f"{counted(numbers[0], 'image is', 'images are')} yes-biased and {numbers[1]} no-biased; at least {LEAST} "
            "of each are needed"
        )
    biased = yes_biased | no_biased
    halves = (2 * (differences[biased] > 0) + (differences[biased] == 0)).astype(np.int64)
    yes, strata = yes_biased[biased], category[biased]
    drawn, total = halves[yes].sum(axis=0), halves.sum(axis=0)
    middle = sum(yes[own].sum() * halves[own].mean(axis=0) for own in (strata == each for each in np.unique(strata)))
    one, other = 0.25 / numbers[0], 0.25 / numbers[1]  # what half a point adds to the statistic in either state
    statistic, expected = (0.5 + one * sums - other * (total - sums) for sums in (drawn, middle))
    return Contrast(statistic, expected, _exact(halves, yes, strata, np.abs(drawn - middle)))


def _exact(halves: Codes, yes: npt.NDArray[np.bool_], strata: Codes, off: Array) -> Array:
    """How often, over all permutations within strata, the sum over `yes` is as far from its mean, [quantities].

    The sum over k of a stratum's images, taken at random, of which n0, n1 and n2 have the values 0, 1 and 2, is that of
    a multivariate hypergeometric distribution; strata are independent, so that their distributions are convolved.

    Args:
        halves: [images, quantities], 0, 1 or 2.
        yes: bool [images].
        off: how far the sum is from its mean.
    """
    groups = [(int(yes[own].sum()), halves[own]) for own in (strata == each for each in np.unique(strata))]
    groups = [(number, values) for number, values in groups if 0 < number < len(values)]
    counts = np.array([[(values == value).sum(axis=0) for value in range(3)] for _, values in groups])
    found = np.ones(len(off))
    for place in range(len(off)):
        mass = np.ones(1)
        for (number, _), each in zip(groups, counts[:, :, place].tolist() if len(groups) else [], strict=True):
            mass = np.convolve(mass, _sum_of_drawn(number, *each))
        sums = np.arange(len(mass))
        found[place] = mass[np.abs(sums - mass @ sums) >= off[place] - 1e-6].sum()
    return np.clip(found, np.finfo(float).tiny, 1)


@lru_cache(maxsize=4096)
def _sum_of_drawn(number: int, zeros: int, ones: int, twos: int) -> Array:
    """The chance of each sum, from 0 to 2 `number`, of so many drawn of values 0, 1 and 2 without replacement."""
    one, two = np.mgrid[: number + 1, : number + 1] if ones else np.mgrid[:1, : number + 1]
    zero = number - one - two
    possible = (one <= ones) & (two <= twos) & (zero >= 0) & (zero <= zeros)
    one, two, zero = one[possible], two[possible], zero[possible]
    ways = _log_choose(zeros, zero) + _log_choose(ones, one) + _log_choose(twos, two)
    chance = np.exp(ways - _log_choose(zeros + ones + twos, np.array(number)))
    found = np.zeros(2 * number + 1)
    np.add.at(found, one + 2 * two, chance)
    return found


def _log_choose(number: int, taken: Codes) -> Array:
    found: Array = special.gammaln(number + 1) - special.gammaln(taken + 1) - special.gammaln(number - taken + 1)
    return found


def contrast_reliability(
    differences: Array, state: npt.NDArray[np.object_], category: Codes, *, seed: int = SEED
) -> float | None:
    """How far the contrasts less what is expected would be the same on other images: a correlation over quantities.

    Spearman's, between random halves of the biased images, divided within category and state, stepped up by Spearman
    and Brown. Near 0 where nothing is told. Arguments as for `polarity_free_contrast`; None where it cannot be told.
    """
    biased = (state == YES_BIASED) | (state == NO_BIASED)
    yes, strata = (state == YES_BIASED)[biased], category[biased]
    above = (differences[biased] > 0) + 0.5 * (differences[biased] == 0)

    def contrast(rows: Array) -> Array:
        own, of, values = rows[:, 0] == 1, rows[:, 1], rows[:, 2:]
        if own.all() or not own.any():
            return np.zeros(values.shape[1])
        weights = 0.5 * (own / own.sum() - ~own / (~own).sum())
        for each in np.unique(of):  # less the mean under permutation within the category
            members = of == each
            weights[members] -= weights[members].mean()
        found: Array = weights @ values
        return found

    half = split_half(np.column_stack([yes, strata, above]), 2 * strata + yes, reduce=contrast, seed=seed)
    return None if half is None else spearman_brown(half)


def stratified_auroc(
    values: Array,
    right: npt.NDArray[np.bool_],
    image: Codes,
    category: Codes,
    answer: npt.NDArray[np.bool_],
    *,
    seed: int = SEED,
    resamples: int = PERMUTATIONS,
) -> Contrast:
    """The chance that a quantity is higher where the answer is right than where it is wrong, ties counting half.

    Samples are compared within a category and a right answer (else differences between categories, or between Yes and
    No questions, would pass for it: Simpson's paradox); strata are weighted by their pairs of right and wrong samples.
    Cliff's delta is 2 AUROC - 1. The outcomes of whole images are permuted within their category.

    Args:
        values: float64 [samples, quantities].
        right: bool [samples].
        image: int64 [samples], from 0.
        category: int64 [images].
        answer: bool [samples], whether Yes is right; an image has at most one question with either answer, and counts
            if it has both.

    Raises:
        ValueError: an image has two questions with one answer.
    """
    images = len(category)
    if len(np.unique(2 * image + answer)) < len(image):
        raise ValueError("an image has two questions with one answer; take pairs of questions for images")
    place = np.full((images, 2), -1)
    place[image, answer.astype(int)] = np.arange(len(image))
    whole = (place >= 0).all(axis=1)
    place, strata = place[whole], category[whole]
    outcomes = right[place]  # [images, 2]
    ranks, pairs = np.zeros((*place.shape, values.shape[1])), 0.0
    offset = 0.0
    for each in np.unique(strata):
        for side in (0, 1):
            members = np.flatnonzero(strata == each)
            n_right = int(outcomes[members, side].sum())
            n_wrong = len(members) - n_right
            if n_right and n_wrong:
                ranks[members, side] = stats.rankdata(values[place[members, side]], axis=0)
                pairs += n_right * n_wrong
                offset += n_right * (n_right + 1) / 2
    if pairs < LEAST:
        return Contrast.none(
            f"{counted(round(pairs), 'pair')} of a right and a wrong answer; at least {LEAST} are needed"
        )
    statistic = (np.einsum("is,isq->q", outcomes, ranks) - offset) / pairs
    return _permuted(statistic, outcomes / pairs, ranks, strata, seed=seed, resamples=resamples)


def _permuted(
    statistic: Array, weights: Array, values: Array, category: Codes, *, seed: int, resamples: int
) -> Contrast:
    """Compare a statistic, `weights` times `values` and a constant, with those of permuted images.

    Args:
        weights: [images] or [images, sides], permuted among the images of a category.
        values: [images, quantities] or [images, sides, quantities].
    """
    images = len(category)
    flat = values.reshape(-1, values.shape[-1]).astype(np.float32)
    middle, variance = _moments(weights.reshape(images, -1), values.reshape(images, -1, values.shape[-1]), category)
    constant = statistic - np.einsum("is,isq->q", weights.reshape(images, -1), values.reshape(images, -1, len(middle)))
    off = np.abs(statistic - constant - middle)
    rng = np.random.default_rng(seed)
    reached = np.zeros(len(statistic), np.int64)
    groups = [np.flatnonzero(category == each) for each in np.unique(category)]
    for first in range(0, resamples, ROWS):
        number = min(ROWS, resamples - first)
        drawn = np.empty((number, images), np.int64)
        for members in groups:
            drawn[:, members] = members[rng.random((number, len(members))).argsort(axis=1)]
        permuted = weights[drawn].reshape(number, -1).astype(np.float32) @ flat
        reached += (np.abs(permuted - middle) >= off - 1e-6).sum(axis=0)
    p = (1 + reached) / (resamples + 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        tail = 2 * stats.norm.sf(np.where(variance > 0, off / np.sqrt(variance), 0.0))
    p = np.where(reached < RESOLVED, np.minimum(p, np.maximum(tail, np.finfo(float).tiny)), p)
    return Contrast(statistic, constant + middle, p)


def _moments(weights: Array, values: Array, category: Codes) -> tuple[Array, Array]:
    """Mean and variance of the sum of weights times values under permutation of images within categories, [quantities].

    Hoeffding's combinatorial variance: with c[i, j] what image j's weights give with image i's values, centred in rows
    and columns, the variance is sum(c²) / (n - 1).
    """
    middle, variance = (np.zeros(values.shape[-1]) for _ in range(2))
    for each in np.unique(category):
        members = np.flatnonzero(category == each)
        own, given = values[members], weights[members]
        number = len(members)
        middle += np.einsum("s,sq->q", given.sum(axis=0), own.sum(axis=0)) / number
        if number > 1:
            centred, shares = own - own.mean(axis=0), given - given.mean(axis=0)
            covariance = shares.T @ shares
            variance += np.einsum("isq,itq,st->q", centred, centred, covariance) / (number - 1)
    return middle, variance
