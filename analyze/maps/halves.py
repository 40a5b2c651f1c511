"""What is chosen on one half of the images, and tested on the other half: the chosen one against the rest.

What is best of many is good by chance on the images that chose it, so its lead is measured on others.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from analyze.prune.halves import divide
from analyze.statistics.bootstrap import LEVEL
from analyze.statistics.clusters import Array, Clusters
from analyze.statistics.distributions import student_quantile
from schemas.errors import HeadflowError

FEWEST = 10  # images that test; below, nothing is told


@dataclass(frozen=True)
class Lead:
    """A mean difference with its interval by image; the bounds are NaN on fewer than `FEWEST` images."""

    mean: float
    low: float
    high: float
    images: int

    @property
    def told(self) -> bool:
        """Whether the interval excludes 0."""
        return bool(self.low > 0 or self.high < 0)


def tests_of(samples: pd.DataFrame, seed: int) -> npt.NDArray[np.bool_] | None:
    """Which samples test, bool [samples]; the others choose. None where no category has two images."""
    try:
        return divide(samples, seed)
    except HeadflowError:
        return None


def lead(samples: pd.DataFrame, differences: Array, *, level: float = LEVEL) -> Lead:
    """The mean of paired differences within [-1, 1], such as of hits and of shares, and its t interval by image.

    Two images are added: differences of 1, of -1 and of 0, with weights of 1/2, 1/2 and 1. Without, the interval of a
    few rare differences is too short, and that of none has no length (Agresti and Min, Statistics in Medicine 2005).

    Args:
        samples: rows of `samples`.
        differences: [samples]; NaN are left out.
    """
    known = np.isfinite(differences)
    if not known.any():
        return Lead(np.nan, np.nan, np.nan, 0)
    clusters = Clusters.of(samples[known]).once()
    sums, number = clusters.sums(differences[known]), clusters.images
    mean = float(sums.sum() / clusters.counts.sum())
    if number < FEWEST:
        return Lead(mean, np.nan, np.nan, number)
    by_image = sums / clusters.counts.mean()
    middle = by_image.sum() / (number + 2)
    spread = ((by_image**2).sum() + 1) / (number + 2) - middle**2
    half = student_quantile(number - 1, (1 + level) / 2) * np.sqrt(spread / (number + 2))
    return Lead(mean, max(-1.0, float(middle - half)), min(1.0, float(middle + half)), clusters.different())


def gap(samples: pd.DataFrame, differences: Array, *, level: float = LEVEL) -> Lead:
    """As `lead`, of differences without a bound, which vary from image to image: the plain t interval.

    Args:
        differences: [samples]; NaN are left out.
    """
    known = np.isfinite(differences)
    if not known.any():
        return Lead(np.nan, np.nan, np.nan, 0)
    by_image = Clusters.of(samples[known]).once().means(differences[known])
    mean, number = float(by_image.mean()), len(by_image)
    if number < FEWEST:
        return Lead(mean, np.nan, np.nan, number)
    half = float(student_quantile(number - 1, (1 + level) / 2) * by_image.std(ddof=1) / np.sqrt(number))
    return Lead(mean, mean - half, mean + half, number)
