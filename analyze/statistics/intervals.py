"""Intervals without resampling: of means, from sums over images that add up; of shares near 0 and 1."""

import numpy as np
from scipy import stats

from analyze.statistics.bootstrap import LEVEL, Bootstrap, Interval, percentiles
from analyze.statistics.clusters import Array
from analyze.tables.image_sums import ImageSums

FEW_IMAGES = 20  # below, percentile intervals are too short
LEAST = 5  # images on the rarer side of a share, likewise


def mean_interval(sums: ImageSums, level: float = LEVEL) -> tuple[Array, Array]:
    """The interval of the mean of all values, low and high, each of the shape of the sums; NaN below two images.

    The variance of a ratio of sums over clusters (Cochran, Sampling Techniques, 3rd ed., 1977, section 6.3; the
    cluster-robust variance of an intercept), with G / (G - 1) and the t quantile of G - 1 degrees of freedom.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = sums.total / sums.number
        spread = sums.squares - 2 * mean * sums.products + mean**2 * sums.number_squares
        freedom = np.where(sums.images >= 2, sums.images - 1, np.nan)
        error = np.sqrt(np.maximum(spread, 0) * sums.images / freedom) / sums.number
    half = stats.t.ppf((1 + level) / 2, freedom) * error
    return mean - half, mean + half


def share_interval(bootstrap: Bootstrap, sums: Array, counts: Array, images: np.ndarray | None = None) -> Interval:
    """The interval of a share, such as accuracy: by the bootstrap, or by Wilson's formula where that is too short.

    Wilson's score interval (1927) is taken on images, as if each gave one answer, below `FEW_IMAGES` images and where
    fewer than `LEAST` images have a value, or a gap, at all. It is then too long rather than too short.

    Args:
        sums, counts: [images]: of an image's samples, those that count, and all.
        images: bool [images], those of interest; None: all.
    """
    chosen = (counts > 0) & (True if images is None else images)
    number = int(chosen.sum())
    if number < 2:
        return bootstrap.mean(sums, counts, chosen)
    rarer = min(int((sums[chosen] > 0).sum()), int((sums[chosen] < counts[chosen]).sum()))
    if number >= FEW_IMAGES and rarer >= LEAST:
        return bootstrap.mean(sums, counts, chosen)
    share = float(sums[chosen].sum() / counts[chosen].sum())
    found = wilson(share, number)
    return Interval(share, *found, "Wilson on images: few images, or a share near 0 or 1")


def ratio_intervals(bootstrap: Bootstrap, sums: Array, counts: Array) -> tuple[Array, Array]:
    """The intervals of many ratios of sums, such as means of heads, by the bootstrap: low and high, [statistics].

    NaN where fewer than `FEW_IMAGES` images have a value.

    Args:
        sums, counts: [images, statistics].
    """
    few = (counts > 0).sum(axis=0) < FEW_IMAGES
    low, high = np.full(few.shape, np.nan), np.full(few.shape, np.nan)
    if not few.all():
        low[~few], high[~few] = percentiles(bootstrap.ratios(sums[:, ~few], counts[:, ~few]))
    return low, high


def share_intervals(bootstrap: Bootstrap, sums: Array, counts: Array) -> tuple[Array, Array]:
    """The intervals of many shares, as `share_interval` gives each; low and high, [statistics]; NaN if there is none.

    Args:
        sums, counts: [images, statistics].
    """
    there = counts > 0
    number = there.sum(axis=0)
    rarer = np.minimum(((sums > 0) & there).sum(axis=0), ((sums < counts) & there).sum(axis=0))
    low, high = ratio_intervals(bootstrap, sums, counts)
    for place in np.flatnonzero((number >= 2) & ((number < FEW_IMAGES) | (rarer < LEAST))):
        share = float(sums[:, place].sum() / counts[:, place].sum())
        low[place], high[place] = wilson(share, int(number[place]))
    return low, high


def wilson(share: float, number: int, level: float = LEVEL) -> tuple[float, float]:
    """Wilson's score interval of a share of some units."""
    z = stats.norm.ppf((1 + level) / 2)
    middle = (share + z**2 / (2 * number)) / (1 + z**2 / number)
    half = z / (1 + z**2 / number) * np.sqrt(share * (1 - share) / number + z**2 / (4 * number**2))
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))
