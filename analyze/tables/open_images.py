"""The images of a tally, whose samples may be in the parts of several tasks.

An image's own sum is known once all of its samples were read. Where some of them are in the parts of another task, the
sum of those that were read goes into `OpenImages`.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analyze.statistics.clusters import Array, ImageSums


@dataclass(frozen=True)
class Images:
    """The images of some samples.

    Attributes:
        image: int64 [samples], the image of each sample, from 0.
        category: int64 [images], the place of each image's category in the grid of the tally; -1: it is not read.
        place: int64 [images], the image's place among those with samples in several tasks; -1: all are in one.
    """

    image: npt.NDArray[np.int64]
    category: npt.NDArray[np.int64]
    place: npt.NDArray[np.int64]

    def of_samples(self, chosen: npt.NDArray[np.integer]) -> "Images":
        """The images of some of the samples, by their positions; the others are left out."""
        found, image = np.unique(self.image[chosen], return_inverse=True)
        return Images(image, self.category[found], self.place[found])


@dataclass(frozen=True)
class OpenImages:
    """Images with samples in several tasks: what is known of them so far.

    Attributes:
        place: int64 [images], see `Images`.
        sums: float64 [flows, images, layers], of the values of all heads.
        samples: float64 [images], how many were read.
    """

    place: npt.NDArray[np.int64]
    sums: Array
    samples: Array

    @classmethod
    def none(cls, images: int, flows: int, layers: int) -> "OpenImages":
        """Images without a sample that was read."""
        return cls(np.arange(images), np.zeros((flows, images, layers)), np.zeros(images))

    def add(self, other: "OpenImages") -> None:
        """Add some of the images to those of `none`."""
        self.sums[:, other.place] += other.sums
        self.samples[other.place] += other.samples


def closed(sums: Array, samples: Array, category: npt.NDArray[np.int64], categories: int, heads: int) -> ImageSums:
    """The sums over images whose samples were all read.

    Args:
        sums: of the values of each image, float64 [flows, images, layers].
        samples: of each image, [images].
        category: of each image, [images].

    Returns:
        Float64 [categories, layers + 1, flows]; the last of layers is for all layers together.
    """
    layers = sums.shape[2]
    whole = np.concatenate([sums, sums.sum(axis=2, keepdims=True)], axis=2).transpose(1, 2, 0)
    number = samples[:, None] * heads * np.append(np.ones(layers), layers)
    return ImageSums.by_group(whole, np.broadcast_to(number[:, :, None], whole.shape), category, categories)
