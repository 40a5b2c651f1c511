"""The image of each sample, and the category of each image; sums over images.

Questions on one image share what the model saw, so the image is what is resampled, within its category. With questions
as units, intervals are too short: for V2T, which is the same for all questions on one image, by the root of 2 in MME.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:  # workers do without pandas
    import pandas as pd

Array = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]


def image_names(samples: "pd.DataFrame") -> "pd.Series":
    """What tells the image of each row of `samples`: its hash, or else its name, its `question_id` or the sample."""
    name = samples["image_sha256"]
    for other in ("image", "question_id", "sample_id"):
        if name.notna().all():
            break
        name = name.fillna(samples[other].astype(str) if other == "sample_id" else samples[other])
    return name


def joined_images(image: "pd.Series", groups: Sequence[Codes]) -> "pd.Series":
    """A number for each image, the same for images that groups of questions join.

    Args:
        image: of each question.
        groups: of each kind, int64 [questions], the group of each question, from 0.
    """
    import pandas as pd
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    codes, different = pd.factorize(image)
    joined, nodes = list[Codes](), len(different)
    for group in groups:
        joined.append(group + nodes)
        nodes += int(group.max(initial=-1)) + 1
    edges = np.tile(codes, len(joined)), np.concatenate(joined)
    _, found = connected_components(coo_array((np.ones(len(edges[0]), bool), edges), (nodes, nodes)), directed=False)
    return pd.Series(found[codes], image.index)


@dataclass(frozen=True)
class Clusters:
    """Samples in images, images in categories.

    Attributes:
        image: int64 [samples], the image of each sample, from 0.
        category: int64 [images], the category of each image, from 0.
        categories: their names.
        picture: int64 [images], the same for one image that is in several categories, from 0; None: none is.
    """

    image: Codes
    category: Codes
    categories: list[str]
    picture: Codes | None = None

    @classmethod
    def of(cls, samples: "pd.DataFrame") -> "Clusters":
        """From rows of the table `samples`. The same image in two categories counts as two, which `picture` tells.

        Images are told apart as in `image_names`.
        """
        return cls.by_name(image_names(samples), samples["category"].astype(str))

    @classmethod
    def by_name(cls, image: "pd.Series", category: "pd.Series") -> "Clusters":
        """From the name of each sample's image, and of its category."""
        import pandas as pd

        (in_category, names), (in_image, own) = (
            pd.factorize(each.array, use_na_sentinel=False) for each in (category, image)
        )
        codes, pairs = pd.factorize(in_category * max(1, len(own)) + in_image)
        pictures, different = pd.factorize(pairs % max(1, len(own)))
        shared = pictures if len(different) < len(pairs) else None
        return cls(codes, pairs // max(1, len(own)), [str(each) for each in names], shared)

    @property
    def images(self) -> int:
        """How many images there are."""
        return len(self.category)

    def different(self, images: npt.NDArray[np.bool_] | None = None) -> int:
        """How many different images there are, among all or some, bool [images]."""
        if self.picture is None:
            return self.images if images is None else int(images.sum())
        return len(np.unique(self.picture if images is None else self.picture[images]))

    @cached_property
    def strata(self) -> Codes:
        """What each image is drawn within, int64 [pictures]: its category, or the set of those that it is in."""
        if self.picture is None:
            return self.category
        inside: dict[int, list[int]] = {}
        for picture, each in zip(self.picture.tolist(), self.category.tolist(), strict=True):
            inside.setdefault(picture, []).append(each)
        sets = [tuple(sorted(inside[picture])) for picture in range(len(inside))]
        several = {each: len(self.categories) + 1 + place for place, each in enumerate(sorted({*sets}))}
        return np.array([each[0] if len(each) == 1 else several[each] for each in sets], np.int64)

    def once(self) -> "Clusters":
        """The same samples with each image once, in what it is drawn within: for means over all categories."""
        if self.picture is None:
            return self
        different, category = np.unique(self.strata, return_inverse=True)
        return Clusters(self.picture[self.image], category.astype(np.int64), [str(each) for each in different])

    @cached_property
    def counts(self) -> Array:
        """Samples of each image, float64 [images]."""
        return np.bincount(self.image, minlength=self.images).astype(np.float64)

    @cached_property
    def _order(self) -> tuple[Codes, Codes]:
        order = np.argsort(self.image, kind="stable")
        return order, np.searchsorted(self.image[order], np.arange(self.images))

    def sums(self, values: npt.NDArray[np.number]) -> Array:
        """Sums over the samples of each image.

        Args:
            values: [samples, ...] of any numbers.

        Returns:
            float64 [images, ...].
        """
        order, starts = self._order
        return np.add.reduceat(np.asarray(values)[order], starts, axis=0, dtype=np.float64)

    def joined(self, values: npt.NDArray[np.number] | npt.NDArray[np.bool_]) -> Array:
        """Sums over the categories that an image is in.

        Args:
            values: [images, ...] of any numbers.

        Returns:
            Float64 [pictures, ...]; the values themselves where no image is in several categories.
        """
        if self.picture is None:
            return values.astype(np.float64)
        found = np.zeros((int(self.picture.max()) + 1, *values.shape[1:]))
        np.add.at(found, self.picture, values)
        return found

    def known_sums(self, values: npt.NDArray[np.floating]) -> tuple[Array, Array]:
        """Sums over the samples of each image of the values that are no NaN, and how many these are, [images, ...]."""
        known = np.isfinite(values)
        return self.sums(np.where(known, values, 0)), self.sums(known)

    def means(self, values: npt.NDArray[np.number]) -> Array:
        """Means over the samples of each image; arguments and result as for `sums`."""
        sums = self.sums(values)
        return sums / self.counts.reshape(-1, *[1] * (sums.ndim - 1))


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
    def by_group(cls, sums: Array, counts: Array, group: Codes, groups: int) -> "ImageSums":
        """Of the images of each group, such as a category: [groups, ...].

        Args:
            sums, counts: [images, ...] both.
            group: of each image, [images].
        """
        found = cls.none((groups, *sums.shape[1:]))
        for name, term in zip(cls.__dataclass_fields__, _terms(sums, counts), strict=True):
            np.add.at(getattr(found, name), group, term)
        return found

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
