"""The score as a sum over images, of many models at once: what paired differences and resampling need."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from analyze.scores.accuracy import ALL_TOGETHER, category_order, group_codes, scored_questions, total_name
from analyze.statistics.clusters import Array, Clusters, Codes, places_of_each
from schemas.tasks import MME, Task


def image_groups(clusters: Clusters) -> Iterator[tuple[str, Codes]]:
    """The images of each category, as `category_images`, and last all of them, as `all`."""
    yield from category_images(clusters)
    yield total_name(ALL_TOGETHER, clusters.categories), np.arange(clusters.images)


def category_images(clusters: Clusters) -> Iterator[tuple[str, Codes]]:
    """The numbers of the images of each category, in order, by its name, MME's categories first."""
    images = dict(zip(clusters.categories, places_of_each(clusters.category), strict=True))
    for name in category_order(clusters.categories):
        yield name, images[name]


@dataclass(frozen=True)
class ImagePoints:
    """What each image brings to the score of all categories: the sum of the means of their images' points.

    Attributes:
        clusters: of the questions that count in the score. Images that a group of questions joins are one.
        rows: their positions in the samples.
        groups: for each part of the score, which group each of them is of, from 0; None: the part counts questions.
        task: what a score is.
    """

    clusters: Clusters
    rows: npt.NDArray[np.int64]
    groups: Sequence[Codes | None]
    task: Task = MME

    @classmethod
    def of(cls, samples: pd.DataFrame, task: Task = MME) -> "ImagePoints | None":
        """From observed rows of `samples`; None if none counts, as no group of questions is whole."""
        table = scored_questions(samples.reset_index(drop=True), task)
        table = table[table["counts"]]
        if table.empty:
            return None
        clusters = Clusters.by_name(table["unit"], table["category"])
        of = {group.measure: group for group in task.groups}
        groups = [group_codes(table, of[part]) if part in of else None for part in task.parts]
        return cls(clusters, table.index.to_numpy(), groups, task)

    def points(self, right: npt.NDArray[np.bool_]) -> Array:
        """The points of each image, float64 [images, models]: up to `most`.

        Args:
            right: bool [samples, models].
        """
        chosen = right[self.rows].astype(np.float64)
        parts = [
            self._scaled(self.clusters.sums(chosen), self.clusters.counts)
            if groups is None
            else self._of_groups(chosen, groups)
            for groups in self.groups
        ]
        total: Array = np.sum(parts, axis=0)
        return total

    def _of_groups(self, chosen: Array, groups: Codes) -> Array:
        order = np.argsort(groups, kind="stable")
        starts = np.searchsorted(groups[order], np.arange(groups.max() + 1))
        image = self.clusters.image[order][starts]  # of each group
        whole = np.zeros((self.clusters.images, chosen.shape[1]))
        np.add.at(whole, image, np.minimum.reduceat(chosen[order], starts, axis=0))
        return self._scaled(whole, np.bincount(image, minlength=self.clusters.images).astype(np.float64))

    def _scaled(self, sums: Array, counts: Array) -> Array:
        """Sums over questions, or groups, times 100 images of the category over those it has, and its weight."""
        category = self.clusters.category
        weights = np.array(self.task.weights(np.bincount(category, counts).tolist()))
        scale: Array = (100 * weights * np.bincount(category) / np.bincount(category, counts))[category]
        return sums * scale[:, None]

    @property
    def most(self) -> Array:
        """The points of each image if all is right, [images]: 200 in MME, where all images have two questions."""
        return self.points(np.ones((int(self.rows.max()) + 1, 1), np.bool_))[:, 0]

    def total(self, points: Array) -> Array:
        """The score of all categories together, as the task says, [models], from the points of images."""
        scores: Array = self.weights @ points
        return scores

    @property
    def weights(self) -> Array:
        """What a point of each image adds to the score, [images]."""
        return (1 / np.bincount(self.clusters.category))[self.clusters.category]
