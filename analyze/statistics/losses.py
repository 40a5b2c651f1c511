"""How much a score can have lost, at most: bounds that hold with few images, and where few of them changed.

A change costs points on a few images and leaves the others as they were. Resampling finds no spread at all where no
image changed, and too little where a few did. So what is lost is taken for a sum of rare events, each with the weight
of its image: bounds of weighted Poisson sums by the gamma distribution (Fay and Feuer, 1997), which allow for one more
event of the largest weight. They are rather too wide; where many images change, resampling is better.
"""

import numpy as np
from scipy import stats

from analyze.statistics.clusters import Array, Codes


def change_bounds(values: Array, largest: Array, category: Codes, level: float) -> tuple[Array, Array]:
    """One-sided bounds of the sum over categories of the mean over their images, of values that are mostly 0.

    Gains and losses have bounds of their own, which are joined as those of a difference (MOVER, Zou and Donner, 2008).

    Args:
        values: [images, statistics], positive and negative.
        largest: [images], what a value can be at most, either way.
        category: [images].
        level: of each bound alone, such as 0.975 for an interval of 95%.

    Returns:
        The lower and the upper bound, each [statistics].
    """
    weights = 1 / np.bincount(category)[category]
    above, below = ((np.maximum(sign * values, 0) * weights[:, None]) for sign in (1, -1))
    most = float((largest * weights).max())
    estimate = above.sum(axis=0) - below.sum(axis=0)
    (up_low, up_high), (down_low, down_high) = (_weighted_poisson(each, most, level) for each in (above, below))
    up, down = above.sum(axis=0), below.sum(axis=0)
    low = estimate - np.sqrt((up - up_low) ** 2 + (down_high - down) ** 2)
    return low, estimate + np.sqrt((up_high - up) ** 2 + (down - down_low) ** 2)


def _weighted_poisson(events: Array, largest: float, level: float) -> tuple[Array, Array]:
    """Bounds of the mean of a weighted sum of Poisson counts, from the weights of its events, [images, statistics]."""
    total, variance = events.sum(axis=0), (events**2).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        low = np.where(total > 0, stats.gamma.ppf(1 - level, total**2 / variance, scale=variance / total), 0.0)
    more, spread = total + largest, variance + largest**2
    if not largest:
        return low, total
    return low, stats.gamma.ppf(level, more**2 / spread, scale=spread / more)
