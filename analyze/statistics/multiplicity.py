"""Many heads at once: a sign-flip test by the maximum, and the false discovery rate."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from analyze.statistics.clusters import Array, Codes

FLIPS, _SEED, _LEVEL = 10_000, 0, 0.05
_ROWS = 250  # sign flips computed at once: what memory they take is used again; an even number, see `_sign_bits`
_COLUMNS = 128  # tests, at least, whose squares are held at once
_ROUNDING = 16 * float(np.finfo(np.float32).eps)  # far more than products of signs in float32 are off by
FLOOR = 1e-5  # of float32: smaller differences are those of rounding, however regular
_Float = TypeVar("_Float", bound=np.floating)


@dataclass(frozen=True)
class Tested:
    """Paired differences and whether they are significant, each [tests].

    Attributes:
        mean: over images.
        p: corrected for all tests together.
        significant: p is at most 0.05, and the mean is larger than the numerical floor.
    """

    mean: Array
    p: Array
    significant: npt.NDArray[np.bool_]


def sign_flip_maximum(
    differences: Array,
    *,
    flips: int = FLIPS,
    seed: int = _SEED,
    floor: float = FLOOR,
    level: float = _LEVEL,
    tests: int = 1,
) -> Tested:
    """Test many paired differences at once by flipping the signs of whole images.

    The statistic is t, so that heads of different spread compete; the p value of a head is the share of flips whose
    largest |t| of all heads reaches its own (Westfall and Young 1993, single step; Nichols and Holmes 2002). It bounds
    the chance of a single false finding among all heads.

    Args:
        differences: [images, tests], one for each image: the mean over its questions, or their sum where what is
            told is a share of questions, so that an image counts in both as much.
        floor: means that do not exceed it are never significant: the noise of the computation.

        tests: how many such families of tests are made, for which p is corrected by Bonferroni: the chance of a single
            false finding among all of them stays within the level.

    Raises:
        ValueError: there is no image.
    """
    if not len(differences):
        raise ValueError("sign flips need an image")
    number = len(differences)
    mean = differences.mean(axis=0)
    blocks = np.array_split(differences, max(1, differences.shape[1] // _COLUMNS), axis=1)
    squares = np.concatenate([(each**2).sum(axis=0) for each in blocks])
    reached = _reached(differences, mean, squares, _sign_bits(number, flips, seed))
    p = np.minimum(tests * (1 + reached) / (flips + 1), 1)
    return Tested(mean, p, (p <= level) & (np.abs(mean) > floor))


def _reached(differences: Array, mean: Array, squares: Array, bits: npt.NDArray[np.uint8]) -> Codes:
    """How many flips have a largest |t| that reaches that of each test, [tests].

    |t| grows with |sum| / root of n times the sum of squares, which is 0 to 1. Products in float32 tell it within
    `_ROUNDING`, in half of the time; where a flip is as near as that to a test, it is computed again in float64.

    Args:
        mean, squares: of the differences, over images; squares are summed, [tests].
        bits: see `_sign_bits`.
    """
    number, length = len(differences), np.sqrt(len(differences) * squares)
    told = length > 0
    shares = np.divide(differences, length, np.zeros(differences.shape, np.float32), where=told, casting="same_kind")
    own = np.divide(number * np.abs(mean), length, np.zeros(len(length)), where=told)
    largest = np.concatenate([np.abs(signs @ shares).max(axis=1) for signs in _signs(bits, number, np.float32)])
    order = np.sort(own)
    near = np.searchsorted(order, largest - _ROUNDING) < np.searchsorted(order, largest + _ROUNDING, side="right")
    again = [
        np.abs(_t(signs @ differences / number, squares, number)).max(axis=1)
        for signs in _signs(bits[near], number, np.float64)
    ]
    least = np.abs(_t(mean, squares, number)) * (1 - 1e-9)
    return _at_least(largest[~near], own) + _at_least(np.concatenate([np.empty(0), *again]), least)


def _at_least(values: npt.NDArray[np.floating], least: Array) -> Codes:
    """How many values reach each of some bounds."""
    return len(values) - np.searchsorted(np.sort(values), least)


def sign_flips_of_groups(
    groups: Sequence[tuple[Codes, Array]], told: npt.NDArray[np.bool_], *, flips: int = FLIPS, seed: int = _SEED
) -> Array:
    """The p values of several groups of images, such as categories, with the maximum over all of their tests.

    As `sign_flip_maximum`, for groups that need not have images in common.

    Args:
        groups: of each, which images it has, from 0, and their differences [images of the group, tests].
        told: bool [groups, tests], which tests count.

    Returns:
        [groups, tests]; NaN where `told` is False.
    """
    found = np.full(told.shape, np.nan)
    if not told.any():
        return found
    squares = [(values**2).sum(axis=0) for _, values in groups]
    observed = np.abs(
        [_t(values.mean(axis=0), own, len(values)) for (_, values), own in zip(groups, squares, strict=True)]
    )
    number = 1 + max(int(images.max()) for images, _ in groups)
    reached = np.zeros(told.shape, np.int64)
    for signs in _signs(_sign_bits(number, flips, seed), number, np.float64):
        largest = np.zeros(len(signs))
        for (images, values), own, counts in zip(groups, squares, told, strict=True):
            t = np.abs(_t(signs[:, images] @ values / len(values), own, len(values)))
            largest = np.maximum(largest, np.where(counts, t, 0).max(axis=1))
        reached += (largest[:, None, None] >= observed * (1 - 1e-9)).sum(axis=0)
    found[told] = ((1 + reached) / (flips + 1))[told]
    return found


def _signs(bits: npt.NDArray[np.uint8], number: int, kind: type[_Float]) -> Iterator[npt.NDArray[_Float]]:
    """The sign of each image in each flip, -1 or 1, `_ROWS` flips at once: [flips, images].

    Args:
        bits, number: of flips, see `_sign_bits`, and of how many images.
        kind: the type of the signs.
    """
    for first in range(0, len(bits), _ROWS):
        signs = np.unpackbits(bits[first : first + _ROWS], axis=1, count=number).astype(kind)
        signs *= 2
        signs -= 1
        yield signs


@lru_cache(1)  # all flows of a comparison are flipped alike
def _sign_bits(number: int, flips: int, seed: int) -> npt.NDArray[np.uint8]:
    """Random bits of each flip and image, eight in a byte: [flips, bytes].

    They are those of `Generator.integers(0, 2)`, which takes the highest bit of each half of a generator's word.
    """
    words, found = np.random.default_rng(seed).bit_generator, list[npt.NDArray[np.uint8]]()
    for first in range(0, flips, _ROWS):
        size = min(_ROWS, flips - first)
        halves = words.random_raw((size * number + 1) // 2).astype("<u8", copy=False).view("<u4")
        found.append(np.packbits(halves[: size * number].reshape(size, number) >= 2**31, axis=1))
    return np.concatenate(found)


def fewest_images(tests: int = 1) -> int:
    """How many images it takes for sign flips to give a p of 0.05: the smallest p is 2 of all 2^images ways to flip.

    Args:
        tests: as in `sign_flip_maximum`.
    """
    return 1 + math.ceil(math.log2(tests / _LEVEL))


def direction(mean: float, low: float, high: float) -> int:
    """1: a mean is above 0, -1: below, 0: cannot be told by its interval, or it is no larger than rounding."""
    if np.isnan(low) or abs(mean) <= FLOOR or low <= 0 <= high:
        return 0
    return 1 if mean > 0 else -1


def _t(mean: Array, squares: Array, number: int) -> Array:
    """The t statistic of differences with these means and sums of squares; 0 where all are 0."""
    variance = np.maximum(squares - number * mean**2, 1e-12 * squares) / max(1, number - 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.nan_to_num(mean / np.sqrt(variance / number), nan=0.0)


def false_discovery_rate(p: Array) -> Array:
    """Benjamini and Hochberg's adjusted p values, of the shape of `p`; NaN, which is no test, stays NaN."""
    adjusted, tested = np.full(p.shape, np.nan), ~np.isnan(p)
    order = np.argsort(p[tested])
    steps = p[tested][order] * (len(order) / np.arange(1, len(order) + 1))
    found = np.empty(len(order))
    found[order] = np.minimum.accumulate(steps[::-1])[::-1].clip(0, 1)
    adjusted[tested] = found
    return adjusted
