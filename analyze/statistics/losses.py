"""How much a score can have lost, at most: bounds that hold with few images, and where few of them changed.

A change costs points on a few images and leaves the others as they were. Resampling finds no spread at all where no
image changed, and too little where a few did. So what is lost is taken for a sum of rare events, each with the weight
of its image: bounds of weighted Poisson sums by the gamma distribution (Fay and Feuer, 1997), which allow for one more
event of the largest weight. They are rather too wide; where many images of a category change, their mean has the
interval of any other mean, and `loss_intervals` joins both.
"""

import numpy as np

from analyze.statistics.clusters import Array, Clusters
from analyze.statistics.distributions import gamma_quantile
from analyze.statistics.intervals import skewed_mean_intervals

MANY = 20  # images of a category that changed, from which their mean has the interval of any other


def change_bounds(values: Array, largest: Array, clusters: Clusters, level: float) -> tuple[Array, Array]:
    """One-sided bounds of the sum over categories of the mean over their images, of values that are mostly 0.

    Gains and losses have bounds of their own, which are joined as those of a difference (MOVER, Zou and Donner, 2008).
    What changes on an image that is in several categories is one event.

    Args:
        values: [images, statistics], positive and negative.
        largest: [images, statistics], what a value can be at most, either way; 0 where an image does not count. One
            statistic stands for all.
        level: of each of the two bounds, such as 0.975 for an interval of 95%.

    Returns:
        The lower and the upper bound, each [statistics].
    """
    return _bounds_of_sum(_weighted(values, clusters), _weighted(largest, clusters), level)


def _bounds_of_sum(values: Array, largest: Array, level: float) -> tuple[Array, Array]:
    """As `change_bounds`, of the sum of values [pictures, statistics]."""
    above, below = (np.maximum(sign * values, 0) for sign in (1, -1))
    most = largest.max(axis=0)
    estimate = above.sum(axis=0) - below.sum(axis=0)
    (up_low, up_high), (down_low, down_high) = (_weighted_poisson(each, most, level) for each in (above, below))
    up, down = above.sum(axis=0), below.sum(axis=0)
    low = estimate - np.sqrt((up - up_low) ** 2 + (down_high - down) ** 2)
    return low, estimate + np.sqrt((up_high - up) ** 2 + (down - down_low) ** 2)


def _weighted(values: Array, clusters: Clusters) -> Array:
    """What each image adds to the sum over categories of the mean over their images, [pictures, statistics]."""
    weights = 1 / np.bincount(clusters.category)[clusters.category]
    return clusters.joined(values * weights[:, None])


def loss_intervals(values: Array, largest: Array, clusters: Clusters, level: float) -> tuple[Array, Array]:
    """Intervals of the same sums, of this level, whether few images of a category change or many.

    Categories in which at least `MANY` images changed have the intervals of means, the others the bounds of rare
    changes, all together; both are joined by MOVER. So they hold at least as often as they say. Images that are in
    several categories, the same for all, count as a category of their own.

    Args:
        values, largest, clusters: see `change_bounds`.

    Returns:
        The lower and the upper bound, each [statistics].
    """
    points, most, strata = _weighted(values, clusters), _weighted(largest, clusters), clusters.strata
    changed = np.zeros((int(strata.max()) + 1, points.shape[1]))
    np.add.at(changed, strata, points != 0)
    many = (changed >= MANY)[strata]
    often = skewed_mean_intervals(np.where(many, points, 0), many.astype(np.float64), strata, level)
    frequent = [np.nan_to_num(many.sum(axis=0) * each) for each in often]
    rare = _bounds_of_sum(np.where(many, 0, points), np.where(many, 0, most), (1 + level) / 2)
    parts = [np.where(each, points, 0).sum(axis=0) for each in (many, ~many)]
    below, above = (
        np.sqrt(sum((bound - part) ** 2 for bound, part in zip(each, parts, strict=True)))
        for each in zip(frequent, rare, strict=True)
    )
    return sum(parts) - below, sum(parts) + above


def _weighted_poisson(events: Array, largest: Array, level: float) -> tuple[Array, Array]:
    """Bounds of the mean of a weighted sum of Poisson counts, from the weights of its events, [images, statistics]."""
    total, variance = events.sum(axis=0), (events**2).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        low = np.where(total > 0, gamma_quantile(total**2 / variance, variance / total, 1 - level), 0.0)
        more, spread = total + largest, variance + largest**2
        high = np.where(more > 0, gamma_quantile(more**2 / spread, spread / more, level), 0.0)
    return low, high
