"""Sums over images, which intervals of means need: they add up over parts and categories.

An image's own sum is known once all of its samples were read. Where some of them are in the parts of another task, the
sum of those that were read goes into `OpenImages`.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analyze.tables.text_scope import Array


@dataclass(frozen=True)
class ImageSums:
    """Sums over images, each float64 of one shape, such as [categories, layers, flows].

    Attributes:
        images: how many.
        total: of S, the sum of an image's values.
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
        """Of some images, from their sums and numbers of values, [images, ...] both."""
        return cls(*(each.sum(axis=0) for each in _terms(sums, counts)))

    @classmethod
    def none(cls, shape: tuple[int, ...]) -> "ImageSums":
        """Of no image."""
        return cls(*(np.zeros(shape) for _ in cls.__dataclass_fields__))

    def add(self, other: "ImageSums", place: npt.NDArray[np.int64]) -> None:
        """Add the sums over other images to the entries at some places of the first axis, such as categories."""
        for name in self.__dataclass_fields__:
            getattr(self, name)[place] += getattr(other, name)

    def __add__(self, other: "ImageSums") -> "ImageSums":
        """The sums over the images of both."""
        return ImageSums(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))

    def sum(self, axis: int) -> "ImageSums":
        """The sums over the images of all entries of an axis, such as categories; it stays, with one entry."""
        return ImageSums(*(getattr(self, name).sum(axis=axis, keepdims=True) for name in self.__dataclass_fields__))

    def at(self, *place: int | slice) -> "ImageSums":
        """The entries at a place."""
        return ImageSums(*(getattr(self, name)[place] for name in self.__dataclass_fields__))


def _terms(sums: Array, counts: Array) -> tuple[Array, ...]:
    """What is summed over images, in the order of the fields of `ImageSums`."""
    return (counts > 0).astype(np.float64), sums, sums**2, sums * counts, counts, counts**2


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
        """Images of which no sample was read."""
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
        Float64 [categories, layers and behind them all layers, flows].
    """
    flows, _, layers = sums.shape
    whole = np.concatenate([sums, sums.sum(axis=2, keepdims=True)], axis=2)
    number = samples[:, None] * heads * np.append(np.ones(layers), layers)
    found = ImageSums.none((categories, layers + 1, flows))
    for name, term in zip(
        ImageSums.__dataclass_fields__, _terms(whole, np.broadcast_to(number, whole.shape)), strict=True
    ):
        np.add.at(getattr(found, name), category, term.transpose(1, 2, 0))
    return found
