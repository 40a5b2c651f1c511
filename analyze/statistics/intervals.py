"""Intervals without resampling: of means, from sums over images that add up; of shares near 0 and 1."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from analyze.statistics.bootstrap import LEVEL, Bootstrap, Interval
from analyze.statistics.clusters import Array

FEW_IMAGES = 20  # below, percentile intervals are too short
LEAST = 5  # images on the rarer side of a share, likewise


@dataclass(frozen=True)
class ImageSums:
    """Sums over images, which add up over parts of a run if no part divides an image.

    Attributes:
        images: how many, as float64 like all others, of any one shape.
        total: sum over images of S, the sum of an image's values.
        squares: of S².
        products: of S n, where n is the number of the image's values.
        number: of n.
        number_squares: of n².
    """

    images: Array
    total: Array
    squares: Array
    products: Array
    number: Array
    number_squares: Array

    @classmethod
    def of(cls, sums: Array, counts: Array) -> "ImageSums":
        """From an image's sums and numbers of values, [images, ...] both."""
        return cls(
            np.count_nonzero(counts, axis=0).astype(np.float64),
            sums.sum(axis=0),
            (sums**2).sum(axis=0),
            (sums * counts).sum(axis=0),
            counts.sum(axis=0),
            (counts**2).sum(axis=0),
        )

    def __add__(self, other: "ImageSums") -> "ImageSums":
        """The sums over the images of both."""
        return ImageSums(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))

    def interval(self, level: float = LEVEL) -> tuple[Array, Array]:
        """The interval of the mean of all values, low and high; NaN below two images.

        The variance of a ratio of sums over clusters (Cochran, Sampling Techniques, 3rd ed., 1977, section 6.3; the
        cluster-robust variance of an intercept), with G / (G - 1) and the t quantile of G - 1 degrees of freedom.
        """
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = self.total / self.number
            spread = self.squares - 2 * mean * self.products + mean**2 * self.number_squares
            freedom = np.where(self.images >= 2, self.images - 1, np.nan)
            error = np.sqrt(np.maximum(spread, 0) * self.images / freedom) / self.number
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


def wilson(share: float, number: int, level: float = LEVEL) -> tuple[float, float]:
    """Wilson's score interval of a share of some units."""
    z = stats.norm.ppf((1 + level) / 2)
    middle = (share + z**2 / (2 * number)) / (1 + z**2 / number)
    half = z / (1 + z**2 / number) * np.sqrt(share * (1 - share) / number + z**2 / (4 * number**2))
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))
