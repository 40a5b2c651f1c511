"""The 95% intervals of scores and of F1, by category and of totals. The unit is the image.

Where questions have several images, or groups of them span several, as the question pairs of HallusionBench do, the
unit is all images that they join, such as the figures of a set: see `Clusters`.

Of a category, the score is a share of the points that it can have, and F1 is a share too, 2 TP / (2 TP + FP + FN): see
`share_intervals`. So is the score of all questions of several categories. The interval of another total follows from
those of its categories: MOVER, the method of variance estimates recovery (Zou and Donner, 2008), with the correlations
(Zou, 2007) of those that have images in common, such as POPE's, over resampled images.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from analyze.scores.accuracy import scored_questions, shares, totals
from analyze.statistics.bootstrap import RESAMPLES, SEED, Bootstrap
from analyze.statistics.clusters import Array, Clusters, Codes, places_of_each
from analyze.statistics.intervals import share_interval
from schemas.tasks import MME, POOLED, Task


def score_intervals(
    scores: pd.DataFrame,
    samples: pd.DataFrame,
    task: Task = MME,
    *,
    seed: int = SEED,
    resamples: int = RESAMPLES,
    drawn: Bootstrap | None = None,
) -> pd.DataFrame:
    """The scores with `low` and `high`; NaN where nothing counts.

    So have F1, `f1_low` and `f1_high`, and accuracies of groups that are no part of the score. What is resampled is the
    image, or images together that a group of questions joins.

    Args:
        scores: of `category_scores`, with or without the rows of `total_scores`.
        samples: the table `samples` that they are of.
        task, seed, resamples: as for `category_scores` and `Bootstrap`.
        drawn: taken in place of `seed` and `resamples`; if it is of the same images, nothing is drawn again.
    """
    wanted = {"score": ("low", "high"), **{name: (f"{name}_low", f"{name}_high") for name in task.further}}
    table = scored_questions(samples, task)
    table = table[table["counts"]]
    found: dict[str, dict[str, tuple[float, float]]] = {name: {} for name in wanted if name in scores}
    if len(table):
        clusters = Clusters.by_name(table["unit"], table["category"])
        once = len(found) == 1 and clusters.picture is None and task.together != POOLED  # as totals draw nothing
        bootstrap = (drawn or Bootstrap(clusters, resamples, seed, 0 if once else None)).of(clusters)
        sums = {name: _Share(*map(bootstrap.clusters.sums, each)) for name, each in shares(table, task).items()}
        parts = {value: [sums[part] for part in (task.parts if value == "score" else (value,))] for value in found}
        # All that needs the resamples of a category at once, and categories in the order in which they are drawn
        for name, images in zip(clusters.categories, places_of_each(clusters.category), strict=True):
            for value, added in parts.items():
                found[value][name] = _interval(bootstrap, added, images)
        for value, added in parts.items():
            found[value] |= _of_totals(scores, value, added, bootstrap, task, found[value])
    columns = dict[str, Array]()
    for value, bounds in found.items():
        own = [bounds.get(str(name), (np.nan, np.nan)) for name in scores["category"]]
        columns |= dict(zip(wanted[value], np.array(own).reshape(-1, 2).T, strict=True))
    return scores.assign(**columns)


class _Share(NamedTuple):
    """What the questions on each image add above and below, [images] both."""

    above: Array
    below: Array

    def only(self, images: Codes) -> "_Share":
        """That of some images, by their numbers."""
        return _Share(self.above[images], self.below[images])


def _of_totals(
    scores: pd.DataFrame,
    value: str,
    parts: Sequence[_Share],
    bootstrap: Bootstrap,
    task: Task,
    each: Mapping[str, tuple[float, float]],
) -> dict[str, tuple[float, float]]:
    """The interval of a measure of each total, in points.

    Args:
        each: the interval of each category.
    """
    clusters, found = bootstrap.clusters, dict[str, tuple[float, float]]()
    place = {name: number for number, name in enumerate(clusters.categories)}
    known, of_each = scores.drop_duplicates("category").set_index("category"), places_of_each(clusters.category)
    for _, total, names in totals([name for name in scores["category"] if name in place], task):
        if task.together == POOLED:
            images = np.flatnonzero(np.isin(clusters.category, [place[name] for name in names]))
            found[total] = _interval(bootstrap, parts, images)
            continue
        if (estimates := known.loc[names, value]).isna().any():
            continue
        weights = np.array(task.weights(known.loc[names, "questions"].tolist()))
        off = np.array([[own - each[name][0], each[name][1] - own] for name, own in zip(names, estimates, strict=True)])
        off *= weights[:, None]
        if clusters.picture is None:
            spread = (off**2).sum(axis=0)
        else:
            alike = _correlations(bootstrap, parts, [of_each[place[name]] for name in names])
            spread = np.einsum("is,ij,js->s", off, alike, off)
        below, above = np.sqrt(np.maximum(spread, 0))
        whole = float(weights @ estimates.to_numpy())
        found[total] = whole - float(below), whole + float(above)
    return found


def _correlations(bootstrap: Bootstrap, parts: Sequence[_Share], images: Sequence[Codes]) -> Array:
    """Correlations of categories over resampled images; 0 where no image is in two of them.

    Args:
        bootstrap: of clusters with images in several categories.
        images: those of each category, by their numbers.
    """
    assert bootstrap.clusters.picture is not None
    some = [(bootstrap.only(own), [each.only(own) for each in parts]) for own in images]
    draws = np.stack([np.sum([drawn.ratios(*each) for each in own], axis=0) for drawn, own in some])
    with np.errstate(invalid="ignore"):
        found: Array = np.nan_to_num(np.corrcoef(draws)).reshape(len(images), len(images))
    pictures = [set(bootstrap.clusters.picture[own].tolist()) for own in images]
    apart = np.array([[one.isdisjoint(other) for other in pictures] for one in pictures])
    found = np.where(apart, 0.0, found)
    np.fill_diagonal(found, 1.0)
    return found


def _interval(bootstrap: Bootstrap, parts: Sequence[_Share], images: Codes) -> tuple[float, float]:
    """The interval of a measure on some images, in points: the sum of some shares, each with 100."""
    parts = [each.only(images) for each in parts]
    most, asked = 100.0 * len(parts), parts[0].below.sum()
    if not all(each.below.sum() for each in parts):
        return 0.0, most  # nothing is told, such as F1 where the option is neither right nor given
    above, below = (
        sum(sums * asked / whole.sum() / len(parts) for sums, (_, whole) in zip(each, parts, strict=True))
        for each in zip(*parts, strict=True)
    )
    found = share_interval(bootstrap.only(images), above, below)
    if found.low is None or found.high is None:
        return 0.0, most  # one image tells nothing
    return most * found.low, most * found.high
