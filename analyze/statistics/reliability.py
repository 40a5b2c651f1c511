"""How far a quantity of heads would be the same on other images of the same kind."""

from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd

from analyze.statistics.clusters import Array, Codes

HALVES, _SEED = 200, 0
FEWEST = 4  # images that can be halved
RELIABLE = 0.5  # from which an order of heads is said to be more than noise, and a correlation is divided by it
Halves = npt.NDArray[np.bool_]  # [repeats, images], which images are in a half
Reduce = Callable[[Array, Halves], Array]  # values [images, heads] -> of each half, [repeats, heads]


def _means(values: Array, halves: Halves) -> Array:
    """The means over each half, as one product of matrices: [repeats, heads]."""
    means: Array = halves.astype(np.float64) @ values / halves.sum(axis=1, keepdims=True)
    return means


def spearman_brown(correlation: float, times: float = 2.0) -> float:
    """The reliability of a measurement made `times` as long (Spearman 1910, Brown 1910): n r / (1 + (n - 1) r).

    A correlation that is not positive has no such meaning and is returned as it is.
    """
    if correlation <= 0:
        return correlation
    return times * correlation / (1 + (times - 1) * correlation)


def samples_needed(correlation: float, number: int, wanted: float) -> float:
    """How many images give a wanted reliability, if `number` of them correlate so with as many others.

    Args:
        correlation: between means over `number` images and over `number` others.

    Returns:
        m rho (1 - r) / (r (1 - rho)); infinite if the correlation is not positive, or nothing less than 1 is wanted.
    """
    if correlation <= 0 or wanted >= 1:
        return float("inf")
    return number * wanted * (1 - correlation) / (correlation * (1 - wanted))


def halves(category: Codes, rng: np.random.Generator) -> Codes:
    """0 or 1 for each image, half of each category either way; of odd numbers, either half may have one more."""
    order, counts = np.argsort(category, kind="stable"), np.unique(category, return_counts=True)[1]
    ends, first = np.cumsum(counts), np.empty(len(counts), np.int64)
    for number, (begin, end) in enumerate(pairwise([0, *ends.tolist()])):
        rng.shuffle(order[begin:end])
        first[number] = rng.integers(2)
    half = np.empty(len(category), np.int64)
    half[order] = (np.arange(len(order)) + np.repeat(first - (ends - counts), counts)) % 2
    return half


def split_half(
    values: Array, category: Codes, *, reduce: Reduce = _means, repeats: int = HALVES, seed: int = _SEED
) -> float | None:
    """The mean correlation (Spearman's, over heads) between two halves of the images, over random halves.

    It is that of half of the images; `spearman_brown` gives that of all. None below `FEWEST` images, or where all heads
    are equal.

    Args:
        values: [images, heads].
        category: [images].
        reduce: what is made of each half, such as the mean over images.
    """
    return between_halves(values, values, category, reduce=reduce, repeats=repeats, seed=seed)


def between_halves(
    a: Array, b: Array, category: Codes, *, reduce: Reduce = _means, repeats: int = HALVES, seed: int = _SEED
) -> float | None:
    """As `split_half`, one half of the images in `a` and the other half in `b`, both [images, heads]."""
    if len(category) < FEWEST:
        return None
    first = _first_halves(category.tobytes(), category.dtype.str, repeats, seed)
    return _mean_correlation(reduce(a, first), reduce(b, ~first))


def _mean_correlation(one: Array, other: Array) -> float | None:
    """The mean of the rank correlations of rows, [repeats, heads] both; None where none can be told."""
    found = rank_correlations(one, other)
    known = found[np.isfinite(found)]
    return float(np.mean(known)) if len(known) else None


@lru_cache(4)  # all quantities of a run are halved alike
def _first_halves(category: bytes, kind: str, repeats: int, seed: int) -> Halves:
    """Which images are in the first of two halves, bool [repeats, images].

    Args:
        category: the bytes of the codes, of the type `kind`.
    """
    rng, codes = np.random.default_rng(seed), np.frombuffer(category, kind)
    return np.stack([halves(codes, rng) == 0 for _ in range(repeats)])


def rank_correlations(one: Array, other: Array) -> Array:
    """Spearman's correlation of each row of two arrays, both [rows, heads], as [rows]; NaN where one is constant."""
    ranks = [pd.DataFrame(each).rank(axis=1).to_numpy() for each in (one, other)]
    apart = [each - each.mean(axis=1, keepdims=True) for each in ranks]
    squares = [(each**2).sum(axis=1) for each in apart]
    with np.errstate(invalid="ignore"):
        found: Array = (apart[0] * apart[1]).sum(axis=1) / np.sqrt(squares[0] * squares[1])
    return found


def rank_correlation(one: Array, other: Array) -> float | None:
    """Spearman's correlation over heads; None where one is constant."""
    found = float(rank_correlations(one[None], other[None])[0])
    return found if np.isfinite(found) else None


def disattenuated(a: Array, b: Array, category: Codes, *, repeats: int = HALVES, seed: int = _SEED) -> float | None:
    """The correlation of two runs' heads without the noise of a finite number of images: r_ab / sqrt(r_aa r_bb).

    Each correlation is between halves of the images, so that noise that both runs share does not count as agreement
    (Spearman, 1904). It may exceed 1. None where one cannot be told, or a reliability is not positive.

    Args:
        a, b: [images, heads], on the same images.
        category: [images].
    """
    if len(category) < FEWEST:
        return None
    return _without_noise(*(_of_halves(each, category, repeats, seed) for each in (a, b)))


def paired_reliability(
    a: Array, b: Array, category: Codes, *, repeats: int = HALVES, seed: int = _SEED
) -> tuple[float | None, float | None]:
    """The `disattenuated` correlation of two runs, and `split_half` of b - a, from the same means of halves."""
    if len(category) < FEWEST:
        return None, None
    one, other = (_of_halves(each, category, repeats, seed) for each in (a, b))
    return _without_noise(one, other), _mean_correlation(other[0] - one[0], other[1] - one[1])


def _of_halves(values: Array, category: Codes, repeats: int, seed: int) -> tuple[Array, Array]:
    """The means over both halves of the images, [repeats, heads] each."""
    first = _first_halves(category.tobytes(), category.dtype.str, repeats, seed)
    return _means(values, first), _means(values, ~first)


def _without_noise(a: tuple[Array, Array], b: tuple[Array, Array]) -> float | None:
    """The `disattenuated` correlation, from `_of_halves` of both runs."""
    across, *own = _mean_correlation(a[0], b[1]), _mean_correlation(*a), _mean_correlation(*b)
    if across is None or own[0] is None or own[1] is None or min(own[0], own[1]) <= 0:
        return None
    return across / float(np.sqrt(own[0] * own[1]))
