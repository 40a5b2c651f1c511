"""Sums over images, which intervals of means need: they add up over frames, parts and categories.

An image's own sum is known once all of its samples were read, so the sums of images that are not complete are kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from analyze.statistics.clusters import Clusters
from analyze.tables.frames import Heads
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


class ImageSumsReader:
    """Gathers the sums over images from frames of rows in the order of the run.

    The result has an entry for each category, for each layer and, behind them, for all layers together, and each flow.
    """

    def __init__(self, heads: Heads, flows: Sequence[str]) -> None:
        samples = heads.samples.reset_index(drop=True)
        clusters = Clusters.of(samples)
        self._flows, self._layers = list(flows), heads.layers
        self._image, self._starts = clusters.image, np.array([first for first, _ in heads.parts])
        # The last sample of each image, in the order of the run
        self._last = np.zeros(clusters.images, np.int64)
        np.maximum.at(self._last, clusters.image, np.arange(len(samples)))
        places = {name: place for place, name in enumerate(heads.categories)}
        self._category = np.array([places.get(name, -1) for name in clusters.categories])[clusters.category]
        shape = len(heads.categories), heads.layers + 1, len(flows)
        self._found = ImageSums(*(np.zeros(shape) for _ in ImageSums.__dataclass_fields__))
        self._open = np.empty(0, np.int64)  # images whose samples are not all read
        self._sums, self._counts = np.empty((0, heads.layers, len(flows))), np.empty((0, heads.layers))

    def add(self, frame: pd.DataFrame) -> None:
        """Add rows as `Heads.frames` yields them."""
        sample = frame["sample"].to_numpy()
        images, place = np.unique(np.concatenate([self._open, self._image[sample]]), return_inverse=True)
        cell = place[len(self._open) :] * self._layers + frame["layer"].to_numpy()
        size = len(images) * self._layers
        sums = np.stack([np.bincount(cell, frame[flow].to_numpy(), size) for flow in self._flows], axis=-1)
        sums, counts = sums.reshape(len(images), self._layers, -1), np.bincount(cell, minlength=size)
        counts = counts.reshape(len(images), self._layers).astype(np.float64)
        before = place[: len(self._open)]
        np.add.at(sums, before, self._sums)
        np.add.at(counts, before, self._counts)
        # Rows of the newest part may still come, those of parts before it not
        complete = self._last[images] < self._starts[self._starts <= sample.max()].max()
        self._close(images[complete], sums[complete], counts[complete])
        self._open, self._sums, self._counts = images[~complete], sums[~complete], counts[~complete]

    def _close(self, images: npt.NDArray[np.int64], sums: Array, counts: Array) -> None:
        whole = np.concatenate([sums, sums.sum(axis=1, keepdims=True)], axis=1)
        number = np.concatenate([counts, counts.sum(axis=1, keepdims=True)], axis=1)[..., None]
        for name, term in zip(
            ImageSums.__dataclass_fields__, _terms(whole, np.broadcast_to(number, whole.shape)), strict=True
        ):
            np.add.at(getattr(self._found, name), self._category[images], term)

    def result(self) -> ImageSums:
        """The sums, once all rows were added."""
        self._close(self._open, self._sums, self._counts)
        self._open = self._open[:0]
        self._sums, self._counts = self._sums[:0], self._counts[:0]
        return self._found
