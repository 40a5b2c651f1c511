"""Intervals of means from sums over images, whose values may be skewed, and of shares, such as accuracy and score."""

import numpy as np

from analyze.statistics.bootstrap import LEVEL, Bootstrap, Interval
from analyze.statistics.clusters import Array, Clusters, Codes, ImageSums
from analyze.statistics.distributions import student_quantile

FEW_IMAGES = 20  # below, the variance over images is not known well
FEWEST_IMAGES = 5  # images on the rarer side of a share; below, it is not either


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
    half = student_quantile(freedom, (1 + level) / 2) * error
    return mean - half, mean + half


def skewed_mean_intervals(sums: Array, counts: Array, category: Codes, level: float = LEVEL) -> tuple[Array, Array]:
    """The intervals of means of values that may be skewed or have heavy tails: low and high, [statistics].

    Student's interval holds where tails are heavy, and is too short on one side where values are skewed; Hall's (The
    removal of skewness by transformation, J. R. Statist. Soc. B 1992) is the other way round. So each bound is the
    further one of both. Of n images of a category, variance and skewness are those of a ratio of sums, with n / (n - 1)
    and n^2 / ((n - 1) (n - 2)). Images that are the only one of their category are taken together.

    Args:
        sums, counts: [images, statistics]: sums over the samples of an image, and how many these are.
        category: [images].

    Returns:
        NaN where no category has two images with a value.
    """
    known = (counts > 0).astype(np.float64)
    strata = np.where(np.bincount(category)[category] > 1, category, category.max() + 1)
    number = _by_stratum(known, strata)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = sums.sum(axis=0) / counts.sum(axis=0)
        off = sums - mean * counts
        off = (off - (_by_stratum(off, strata) / number)[strata]) * known
        off = np.where(known > 0, off, 0.0)
        squares = np.where(number > 1, number / (number - 1), 0.0) * _by_stratum(off**2, strata)
        cubes = np.where(number > 2, number**2 / ((number - 1) * (number - 2)), 0.0) * _by_stratum(off**3, strata)
        spread = squares.sum(axis=0)
        error = np.sqrt(spread) / counts.sum(axis=0)
        skew = np.nan_to_num(cubes.sum(axis=0) / spread**1.5)
    freedom = known.sum(axis=0) - (number > 0).sum(axis=0)
    t = student_quantile(np.where(freedom > 0, freedom, np.nan), (1 + level) / 2)
    return mean - error * np.maximum(t, unskewed(t, skew)), mean - error * np.minimum(-t, unskewed(-t, skew))


def jackknife_error(without: Array) -> float:
    """The standard error of a statistic, from its values [units] with each unit left out in turn (Tukey, 1958)."""
    number = len(without)
    return float(np.sqrt((number - 1) / number * ((without - without.mean()) ** 2).sum()))


def unskewed(t: Array, skew: Array) -> Array:
    """Where the t statistic of a mean with some skewness has the quantile t: the inverse of Hall's transformation."""
    skewed = np.abs(skew) > 1e-4
    own = np.where(skewed, skew, 1.0)
    return np.where(skewed, 3 / own * (np.cbrt(1 + own * (t - own / 6)) - 1), t)


def _by_stratum(values: Array, strata: Codes) -> Array:
    """Sums over the images of each stratum, [strata, statistics]."""
    found = np.zeros((int(strata.max()) + 1, values.shape[1]))
    np.add.at(found, strata, values)
    return found


def share_interval(bootstrap: Bootstrap, sums: Array, counts: Array, draws: Array | None = None) -> Interval:
    """The interval of a share, such as accuracy; see `share_intervals`.

    Args:
        sums, counts: [images]: of an image's samples, those that count, and all; a sum of none is 0.
        draws: of the share, [resamples], where they were made before.

    Raises:
        ValueError: no image has a value.
    """
    if np.count_nonzero(counts) < 2:
        return bootstrap.mean(sums, counts)
    drawn = None if draws is None else draws[:, None]
    low, high = share_intervals(bootstrap, sums[:, None], counts[:, None], drawn)
    return Interval(float(sums.sum() / counts.sum()), float(low[0]), float(high[0]))


def mean_of_images(clusters: Clusters, sums: Array) -> Interval:
    """The mean of the values of all samples, with `skewed_mean_intervals`.

    An image that is in several categories is one unit.

    Args:
        sums: [images], over the samples of each image.
    """
    sums, counts = (clusters.joined(each)[:, None] for each in (sums, clusters.counts))
    estimate = float(sums.sum() / counts.sum())
    low, high = (float(each[0]) for each in skewed_mean_intervals(sums, counts, clusters.strata))
    if np.isnan(low):
        return Interval(estimate, None, None, "1 image" if len(sums) == 1 else "too few images")
    return Interval(estimate, low, high)


def ratio_intervals(clusters: Clusters, sums: Array, counts: Array, *, least: float = -np.inf) -> tuple[Array, Array]:
    """The intervals of many ratios of sums, such as means of heads: low and high, [statistics].

    An image that is in several categories is one unit. NaN where fewer than `FEW_IMAGES` images have a value.

    Args:
        sums, counts: [images, statistics].
        least: the least that a ratio can be.
    """
    sums, counts = clusters.joined(sums), clusters.joined(counts)
    low, high = skewed_mean_intervals(sums, counts, clusters.strata)
    few = (counts > 0).sum(axis=0) < FEW_IMAGES
    return np.where(few, np.nan, np.maximum(low, least)), np.where(few, np.nan, high)


def share_intervals(
    bootstrap: Bootstrap, sums: Array, counts: Array, draws: Array | None = None
) -> tuple[Array, Array]:
    """The intervals of many shares: low and high, [statistics]; NaN below two images with a value.

    Wilson's score interval (1927) with Student's quantile and as many units as would give the share the variance that
    it has over resampled images (Kott and Carr, 1997; Dean and Pagano, Evaluating Confidence Interval Methods for
    Binomial Proportions in Clustered Surveys, J. Surv. Stat. Methodol. 2015). Below `FEW_IMAGES` images, and where
    fewer than `FEWEST_IMAGES` of them have a value, or a gap, at all, that variance may be far too small: units
    are then at most the samples, and the images where the share is 0 or 1.

    Args:
        sums, counts: [images, statistics]: of an image's samples, those that count, and all; a sum of none is 0.
        draws: of the shares, [resamples, statistics], where they were made before.
    """
    there = counts > 0
    found = np.full((2, there.shape[1]), np.nan)
    if not (told := there.sum(axis=0) >= 2).any():
        return found[0], found[1]
    there = there[:, told]
    own, asked = sums[:, told], counts[:, told]
    samples = asked.sum(axis=0)
    share = own.sum(axis=0) / samples
    drawn = bootstrap.ratios(own, asked) if draws is None else draws[:, told]
    with np.errstate(divide="ignore", invalid="ignore"):
        units = share * (1 - share) / np.nanvar(drawn, axis=0)
    own, asked = (bootstrap.clusters.joined(each) for each in (own, asked))
    number = (asked > 0).sum(axis=0)
    rarer = np.minimum((own > 0).sum(axis=0), (own < asked).sum(axis=0))
    few = (number < FEW_IMAGES) | (rarer < FEWEST_IMAGES)
    units = np.where(few, np.fmin(units, samples), units)
    units = np.where((share <= 0) | (share >= 1), number, units)
    found[:, told] = wilson(share, units, bootstrap.quantiles(there))
    return found[0], found[1]


def wilson(share: Array, units: Array, quantile: Array) -> tuple[Array, Array]:
    """Wilson's score intervals of shares of some units, where an error has this quantile: low and high."""
    wide = quantile**2 / units
    middle = (share + wide / 2) / (1 + wide)
    half = np.sqrt(wide * share * (1 - share) + wide**2 / 4) / (1 + wide)
    return np.clip(middle - half, 0, share), np.clip(middle + half, share, 1)
