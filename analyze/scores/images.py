"""The MME score as a sum over images, of many models at once: what paired differences and resampling need."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from analyze.scores.accuracy import ALL_TOGETHER, category_order, scored_questions, total_name
from analyze.statistics.clusters import Array, Clusters
from schemas.tasks import MME, Task


def image_groups(clusters: Clusters) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
    """The images of each category, as `category_images`, and last all of them, as `all`."""
    yield from category_images(clusters)
    yield total_name(ALL_TOGETHER, clusters.categories), np.ones(clusters.images, np.bool_)


def category_images(clusters: Clusters) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
    """The images of each category, bool [images], by its name, MME's categories first; one category at a time."""
    place = {name: number for number, name in enumerate(clusters.categories)}
    for name in category_order(clusters.categories):
        yield name, clusters.category == place[name]


@dataclass(frozen=True)
class ImagePoints:
    """What each image brings to the score: the score of a category is the mean of its images' points.

    Attributes:
        clusters: of the questions that are scored, those of complete pairs.
        rows: their positions in the samples.
        pairs: which pair each of them is of, from 0.
        most: points of an image, at most.
    """

    clusters: Clusters
    rows: npt.NDArray[np.int64]
    pairs: npt.NDArray[np.int64]
    most: float = MME.most

    @classmethod
    def of(cls, samples: pd.DataFrame, task: Task = MME) -> "ImagePoints | None":
        """From observed rows of `samples`; None if no image has a complete pair of questions."""
        table = scored_questions(samples.reset_index(drop=True), task)
        paired = table[table["paired"]]
        if paired.empty:
            return None
        pairs = paired.groupby(["category", "pair"], sort=False).ngroup().to_numpy().astype(np.int64)
        return cls(Clusters.by_name(paired["image"], paired["category"]), paired.index.to_numpy(), pairs, task.most)

    def points(self, right: npt.NDArray[np.bool_]) -> Array:
        """The points of each image, float64 [images, models]: 0 to 200 where all images have as many questions.

        Args:
            right: bool [samples, models].
        """
        chosen, clusters = right[self.rows].astype(np.float64), self.clusters
        order = np.argsort(self.pairs, kind="stable")
        starts = np.searchsorted(self.pairs[order], np.arange(self.pairs.max() + 1))
        image = clusters.image[order][starts]  # of each pair
        both = np.zeros((clusters.images, right.shape[1]))
        np.add.at(both, image, np.minimum.reduceat(chosen[order], starts, axis=0))
        pairs = np.bincount(image, minlength=clusters.images).astype(np.float64)
        accuracy, whole = (
            sums * self._scale(counts)[:, None]
            for sums, counts in ((clusters.sums(chosen), clusters.counts), (both, pairs))
        )
        return 100 * (accuracy + whole)

    def _scale(self, counts: Array) -> Array:
        """Images of the category over its questions, or pairs, by image."""
        category = self.clusters.category
        return (np.bincount(category) / np.bincount(category, counts))[category]

    def total(self, points: Array) -> Array:
        """The score, the sum over categories, [models], from the points of images."""
        scores: Array = self.weights @ points
        return scores

    @property
    def weights(self) -> Array:
        """What a point of each image adds to the score, [images]."""
        return (1 / np.bincount(self.clusters.category))[self.clusters.category]
