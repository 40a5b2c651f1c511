"""The image of each sample, and the category of each image; sums over images.

Questions on one image share what the model saw, so the image is what is resampled, within its category. With questions
as units, intervals are too short: for V2T, which is the same for all questions on one image, by the root of 2 in MME.
Questions that share one of several images, or are in one group, as in HallusionBench's sets, are resampled together.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from schemas.columns import GROUPS, PICTURES

if TYPE_CHECKING:  # workers do without pandas
    import pandas as pd

Array = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]


BY_HASH = ("image_sha256", "image", "question_id", "sample_id")
_SHARED = "images that questions share"
_AT_ONCE = 2**20  # values copied at once


def image_names(samples: "pd.DataFrame", by: Sequence[str] = BY_HASH) -> "pd.Series":
    """What tells the images of each row of `samples`: its hash, or else its name, its `question_id` or the sample.

    Args:
        by: the columns that are tried, the first first.
    """
    name = samples[by[0]]
    for other in by[1:]:
        if name.notna().all():
            break
        name = name.fillna(samples[other].astype(str) if other == "sample_id" else samples[other])
    return name


class Shown(NamedTuple):
    """The images that questions are about; one entry for each question and each of its images.

    Attributes:
        row: int64, the position of the question.
        image: int64, the number of the image, from 0.
    """

    row: Codes
    image: Codes

    @classmethod
    def of(cls, samples: "pd.DataFrame", by: Sequence[str] = BY_HASH) -> "Shown":
        """The images of rows of `samples`, of each that is in `pictures` too; arguments as for `image_names`."""
        import pandas as pd

        names = image_names(samples, by)
        row = np.arange(len(samples))
        if PICTURES in samples and (several := samples[PICTURES].notna().to_numpy()).any():
            lists = [[each] for each in names]
            for place in np.flatnonzero(several):
                pictures = [[picture.get(name) for name in by[:2]] for picture in samples[PICTURES].iloc[place]]
                own = [next(filter(None, each), None) for each in pictures]
                if own and None not in own:
                    lists[place] = own
            row = np.repeat(row, [len(each) for each in lists])
            names = pd.Series([each for own in lists for each in own], dtype=object)
        return cls(row, pd.factorize(names.array, use_na_sentinel=False)[0].astype(np.int64))

    @property
    def different(self) -> int:
        """How many different images there are."""
        return len(np.unique(self.image))


def image_lists(samples: "pd.DataFrame") -> "pd.Series":
    """What tells the images of each row of `samples`, all together and in any order: as `image_names` for one image."""
    names, shown = image_names(samples), Shown.of(samples)
    number = np.bincount(shown.row, minlength=len(samples))
    if (number <= 1).all():
        return names
    found, ends = names.astype(object).tolist(), np.cumsum(number)
    for place in np.flatnonzero(number > 1):
        found[place] = str(sorted(shown.image[ends[place] - number[place] : ends[place]].tolist()))
    return type(names)(found, names.index, dtype=object)


def joined_rows(samples: "pd.DataFrame", shown: Shown) -> Codes:
    """What is resampled together, a number for each row of `samples`: questions that share an image, or a group.

    Questions that a chain of such ones joins are together too. A group is one of the column `groups`, in a category.
    """
    several, named = len(shown.row) > len(samples), GROUPS in samples and samples[GROUPS].notna().any()
    if not several and not named:
        return shown.image
    import pandas as pd
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    first, second = [shown.row], [len(samples) + shown.image]
    nodes = len(samples) + int(shown.image.max(initial=-1)) + 1
    if named:
        categories = samples["category"].astype(str)
        groups = [
            (row, (category, place, each))
            for row, (category, ids) in enumerate(zip(categories, samples[GROUPS], strict=True))
            for place, each in enumerate(() if ids is None or isinstance(ids, float) else ids)
            if each is not None
        ]
        codes, different = pd.factorize(pd.Series([name for _, name in groups], dtype=object))
        first.append(np.array([row for row, _ in groups], np.int64))
        second.append(nodes + codes)
        nodes += len(different)
    edges = np.concatenate(first), np.concatenate(second)
    _, found = connected_components(coo_array((np.ones(len(edges[0]), bool), edges), (nodes, nodes)), directed=False)
    return found[: len(samples)].astype(np.int64)


def places_of_each(codes: Codes) -> list[Codes]:
    """The places of each code, in order; all codes are sorted once, however many there are."""
    order = np.argsort(codes, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)


def sums_of_each(codes: Codes, values: npt.NDArray[np.generic]) -> Array:
    """Sums over the rows of each code, in their order: float64 [codes, ...].

    The first rows of all codes are taken at once, then the second ones: a reduction that goes code by code takes ten
    times as long, as a code often has two rows.

    Args:
        codes: int64 [rows], 0 to the number of codes less 1; each has a row.
        values: [rows, ...] of any numbers.
    """
    order, counts = np.argsort(codes, kind="stable"), np.bincount(codes)
    starts, more = np.cumsum(counts) - counts, np.arange(len(counts))
    found: Array = np.empty((len(counts), *values.shape[1:]))
    size = max(1, _AT_ONCE // max(1, found[:1].size))
    for place in range(max(1, int(counts.max(initial=0)))):
        more = more[counts[more] > place]
        for first in range(0, len(more), size):  # some at once, as they are copied
            own = more[first : first + size]
            rows = values[order[starts[own] + place]]
            where = slice(first, first + len(own)) if len(more) == len(counts) else own  # all of them, without a copy
            if place:
                found[where] += rows
            else:
                found[where] = rows
    return found


def _rows_of(order: Codes, ends: Codes, codes: Codes) -> Codes:
    """The rows of some codes, in order, where `order` has the rows code by code, and `ends` where each code ends."""
    counts = ends[codes] - np.where(codes > 0, ends[codes - 1], 0)
    return np.sort(order[np.repeat(ends[codes] - np.cumsum(counts), counts) + np.arange(counts.sum())])


@dataclass(frozen=True)
class Clusters:
    """Samples in images, images in categories.

    Where questions have several images, or belong to groups on several images, "image" stands for all images that they
    join, see `joined_rows`: what is resampled is a set of images. Only `different` counts each of them.

    Attributes:
        image: int64 [samples], the image of each sample, from 0.
        category: int64 [images], the category of each image, from 0.
        categories: their names.
        picture: int64 [images], the same for one image that is in several categories, from 0; None: none is.
        shown: [entries] both, the sets of images and the images in them, from 0; None: all are of one image.
        drawn_in: int64 [pictures], what `strata` are where these are some images of others; None: they are all.
    """

    image: Codes
    category: Codes
    categories: list[str]
    picture: Codes | None = None
    shown: tuple[Codes, Codes] | None = None
    drawn_in: Codes | None = None

    @classmethod
    def of(
        cls, samples: "pd.DataFrame", category: "pd.Series | None" = None, by: Sequence[str] = BY_HASH
    ) -> "Clusters":
        """From rows of the table `samples`. The same image in two categories counts as two, which `picture` tells.

        Args:
            category: of each row, in its order; None: the column of `samples`.
            by: as for `image_names`, which tells images apart.
        """
        import pandas as pd

        category = (samples["category"] if category is None else category).astype(str)
        shown = Shown.of(samples, by)
        found = cls.by_name(pd.Series(joined_rows(samples, shown)), category)
        sets = np.unique(np.stack([found.image[shown.row], shown.image], axis=1), axis=0)
        return found if len(sets) == found.images else replace(found, shown=(sets[:, 0], sets[:, 1]))

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
        """How many different images there are, among all or some, bool [images]; each image of a set counts."""
        if self.shown is None:
            return self.together(images)
        where, image = self.shown
        return len(np.unique(image if images is None else image[images[where]]))

    def together(self, images: npt.NDArray[np.bool_] | None = None) -> int:
        """How many of what is resampled there are, sets of images or images, among all or some, bool [images]."""
        if self.picture is None:
            return self.images if images is None else int(images.sum())
        return len(np.unique(self.picture if images is None else self.picture[images]))

    @property
    def units(self) -> tuple[str, str]:
        """What is resampled, one and several, in words."""
        return ("image", "images") if self.shown is None else (f"set of {_SHARED}", f"sets of {_SHARED}")

    @cached_property
    def strata(self) -> Codes:
        """What each image is drawn within, int64 [pictures]: its category, or the set of those that it is in."""
        if self.drawn_in is not None:
            return self.drawn_in
        if self.picture is None:
            return self.category
        inside: dict[int, list[int]] = {}
        for picture, each in zip(self.picture.tolist(), self.category.tolist(), strict=True):
            inside.setdefault(picture, []).append(each)
        sets = [tuple(sorted(inside[picture])) for picture in range(len(inside))]
        several = {each: len(self.categories) + 1 + place for place, each in enumerate(sorted({*sets}))}
        return np.array([each[0] if len(each) == 1 else several[each] for each in sets], np.int64)

    def same(self, other: "Clusters") -> bool:
        """Whether other samples are in the same images, and these in the same categories."""
        one, two = ((each.image, each.category, np.array(each.picture)) for each in (self, other))
        return self.categories == other.categories and all(map(np.array_equal, one, two))

    def once(self) -> "Clusters":
        """The same samples with each image once, in what it is drawn within: for means over all categories."""
        if self.picture is None:
            return self
        different, category = np.unique(self.strata, return_inverse=True)
        shown = None if self.shown is None else (self.picture[self.shown[0]], self.shown[1])
        names = [str(each) for each in different]
        return Clusters(self.picture[self.image], category.astype(np.int64), names, shown=shown)

    def only(self, images: Codes) -> "Clusters":
        """Some images and their samples, such as those of one category; takes no longer where there are many others.

        Args:
            images: their numbers, in order.
        """
        drawn_as = images if self.picture is None else self.picture[images]
        pictures, picture = np.unique(drawn_as, return_inverse=True)
        present, category = np.unique(self.category[images], return_inverse=True)
        shown = None
        if self.shown is not None:
            places = _rows_of(*self._entries, images)
            shown = np.searchsorted(images, self.shown[0][places]), self.shown[1][places]
        return Clusters(
            image=np.searchsorted(images, self.image[self.rows(images)]),
            category=category,
            categories=[self.categories[place] for place in present],
            picture=None if self.picture is None else picture,
            shown=shown,
            drawn_in=np.unique(self.strata[pictures], return_inverse=True)[1],
        )

    def rows(self, images: Codes) -> Codes:
        """The samples of some images, in order, int64 [samples of these]."""
        return _rows_of(*self._samples, images)

    @cached_property
    def _samples(self) -> tuple[Codes, Codes]:
        """The samples image by image, and where each image ends."""
        return np.argsort(self.image, kind="stable"), np.cumsum(np.bincount(self.image, minlength=self.images))

    @cached_property
    def _entries(self) -> tuple[Codes, Codes]:
        """The entries of `shown` set by set, and where each set ends."""
        assert self.shown is not None
        sets = self.shown[0]
        return np.argsort(sets, kind="stable"), np.cumsum(np.bincount(sets, minlength=self.images))

    @cached_property
    def counts(self) -> Array:
        """Samples of each image, float64 [images]."""
        return np.bincount(self.image, minlength=self.images).astype(np.float64)

    def sums(self, values: npt.NDArray[np.number]) -> Array:
        """Sums over the samples of each image.

        Args:
            values: [samples, ...] of any numbers.

        Returns:
            float64 [images, ...].
        """
        return sums_of_each(self.image, np.asarray(values))

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
        sums /= self.counts.reshape(-1, *[1] * (sums.ndim - 1))
        return sums


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
