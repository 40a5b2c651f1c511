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

from analyze.scores.accuracy import CategoryTotal, scored_questions, shares, totals
from analyze.statistics.bootstrap import RESAMPLES, SEED, Bootstrap, divided
from analyze.statistics.clusters import Array, Clusters, Codes, places_of_each
from analyze.statistics.intervals import share_interval
from schemas.tasks import MME, POOLED, Task

_AT_ONCE = 256  # categories whose correlations with all others are held


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
        bootstrap = (drawn or Bootstrap(clusters, resamples, seed)).of(clusters)
        sums = {name: _Share(*map(bootstrap.clusters.sums, each)) for name, each in shares(table, task).items()}
        parts = {value: [sums[part] for part in (task.parts if value == "score" else (value,))] for value in found}
        found = _intervals(scores, parts, bootstrap, task, again=drawn is not None)
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

    @classmethod
    def mean(cls, parts: Sequence["_Share"]) -> "_Share":
        """The mean of some shares of the same images; 0 of 0 where one is, such as F1 of an option never given."""
        if not all(each.below.sum() for each in parts):
            return cls(*np.zeros((2, len(parts[0].below))))
        asked = parts[0].below.sum()
        above, below = (
            sum(sums * asked / whole.sum() / len(parts) for sums, (_, whole) in zip(each, parts, strict=True))
            for each in zip(*parts, strict=True)
        )
        return cls(above, below)


def _intervals(
    scores: pd.DataFrame, parts: Mapping[str, Sequence[_Share]], bootstrap: Bootstrap, task: Task, *, again: bool
) -> dict[str, dict[str, tuple[float, float]]]:
    """The intervals of measures of categories and of totals, in points; each image is drawn once for all of them.

    Args:
        parts: of each measure, the shares that it is the sum of.
        again: whether the same resamples are asked for later.
    """
    clusters, pooled = bootstrap.clusters, task.together == POOLED
    images = dict(zip(clusters.categories, places_of_each(clusters.category), strict=True))
    added = totals([name for name in scores["category"] if name in images], task)
    if pooled:
        images |= {total: np.sort(np.concatenate([images[name] for name in names])) for _, total, names in added}
    alike = set[str]()  # categories of totals, which need how these correlate
    if not pooled and clusters.picture is not None:
        alike.update(*(names for _, _, names in added))
    groups = list[tuple[Codes, list[list[_Share]], Array]]()
    for name, own in images.items():
        of_group = [[each.only(own) for each in some] for some in parts.values()]
        asked = [[_Share.mean(some), *(some if name in alike else ())] for some in of_group]
        groups.append((own, asked, np.stack([sums for some in asked for each in some for sums in each], axis=1)))
    drawn = bootstrap.totals_of_groups([(own, sums) for own, _, sums in groups], again=again)
    found: dict[str, dict[str, tuple[float, float]]] = {value: {} for value in parts}
    draws: dict[str, dict[str, Array]] = {value: {} for value in parts}
    for name, (own, asked, _), sums in zip(images, groups, drawn, strict=True):
        of_images, ratios = bootstrap.only(own), iter(divided(sums[:, ::2], sums[:, 1::2]).T)
        for value, (mean, *each) in zip(parts, asked, strict=True):
            found[value][name] = _interval(of_images, mean, next(ratios), 100.0 * len(parts[value]))
            if each:
                draws[value][name] = np.sum([next(ratios) for _ in each], axis=0)
    if not pooled:
        pictures = {} if clusters.picture is None else {name: clusters.picture[images[name]] for name in alike}
        for value in parts:
            found[value] |= _of_totals(scores, value, added, task, found[value], draws[value], pictures)
    return found


def _of_totals(
    scores: pd.DataFrame,
    value: str,
    added: Sequence[CategoryTotal],
    task: Task,
    each: Mapping[str, tuple[float, float]],
    draws: Mapping[str, Array],
    pictures: Mapping[str, Codes],
) -> dict[str, tuple[float, float]]:
    """The interval of a measure of totals, in points, from those of their categories.

    Args:
        each: the intervals of categories.
        draws, pictures: of categories that have images in common, as for `_spread`; else empty.
    """
    found, known = dict[str, tuple[float, float]](), scores.drop_duplicates("category").set_index("category")
    for _, total, names in added:
        estimates = known.loc[names, value]
        if estimates.isna().any():
            continue
        weights = np.array(task.weights(known.loc[names, "questions"].tolist()))
        off = np.array([[own - each[name][0], each[name][1] - own] for name, own in zip(names, estimates, strict=True)])
        off *= weights[:, None]
        spread = (off**2).sum(axis=0)
        if pictures:
            spread = _spread(off, np.stack([draws[name] for name in names]), [pictures[name] for name in names])
        below, above = np.sqrt(np.maximum(spread, 0))
        whole = float(weights @ estimates.to_numpy())
        found[total] = whole - float(below), whole + float(above)
    return found


def _spread(off: Array, draws: Array, pictures: Sequence[Codes]) -> Array:
    """The variance of a sum of categories that are off so much: [sides].

    That is off' C off, where C are their correlations over resamples, 0 where no image is in both.

    Args:
        off: [categories, sides].
        draws: [categories, resamples].
        pictures: the images of each category, by the numbers that they have in all of them.
    """
    from scipy.sparse import csr_array

    draws = draws - draws.mean(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        draws = np.nan_to_num(draws / np.sqrt((draws**2).sum(axis=1, keepdims=True)))
    of = np.repeat(np.arange(len(pictures)), list(map(len, pictures)))
    inside = csr_array((np.ones(len(of)), (of, np.concatenate(pictures))))
    found = np.zeros(off.shape[1])
    for first in range(0, len(off), _AT_ONCE):  # not all pairs at once
        some = np.arange(first, min(first + _AT_ONCE, len(off)))
        alike = np.where((inside[some] @ inside.T).toarray() > 0, draws[some] @ draws.T, 0.0)
        alike[some - first, some] = 1.0
        found += np.einsum("is,ij,js->s", off[some], alike, off)
    return found


def _interval(bootstrap: Bootstrap, share: _Share, draws: Array, most: float) -> tuple[float, float]:
    """The interval of a measure, in points: of a share of so many at most.

    Args:
        draws: of the share, [resamples].
    """
    if not share.below.any():
        return 0.0, most  # nothing is told
    found = share_interval(bootstrap, share.above, share.below, draws=draws)
    if found.low is None or found.high is None:
        return 0.0, most  # one image tells nothing
    return most * found.low, most * found.high
