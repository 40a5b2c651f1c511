"""Accuracy and score of two runs on the samples that both have, with paired intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from analyze.compare.pairing import Pairs
from analyze.compare.sentences import Sentence, of_units
from analyze.scores.accuracy import group_codes, scored_questions, totals
from analyze.scores.images import category_images, image_groups
from analyze.statistics.bootstrap import Bootstrap
from analyze.statistics.clusters import Array, Clusters, Codes
from analyze.statistics.intervals import FEW_IMAGES, FEWEST_IMAGES, mean_of_images, share_interval
from analyze.statistics.multiplicity import false_discovery_rate, sign_flip_maximum
from analyze.tables.frames import Heads
from schemas.tasks import Group, Task

_COLUMNS = (
    *("measure", "category", "questions", "images", "a", "a_low", "a_high", "b", "b_low", "b_high"),
    *("difference", "low", "high", "adjusted_p", "note"),
)

_SIDES = {"a": ("a", "a_low", "a_high"), "b": ("b", "b_low", "b_high"), "": ("difference", "low", "high")}
_LEAST = 2  # images of a category that a mean needs for an interval


def compare_answers(a: Heads, b: Heads, pairs: Pairs, *, resamples: int, seed: int) -> pd.DataFrame:
    """Accuracy by category and over all, the score by category and of the task's totals, and leads as accuracy.

    Returns:
        One row per (measure, category), accuracy over all after that of categories; empty if no paired sample has a
        right answer that is an option. `measure` (`accuracy`, in per cent, `score`, in points, or the accuracy of a
        group that is no part of the score, neither where the tasks differ; and last `lead`, the mean in logits, of
        questions with a lead in both runs), `questions`, `images`, each run's value with its own interval, the
        `difference` b - a with its paired interval `low`, `high` (NaN where it cannot be told; `note` is then the
        `Sentence` why, else the empty text), and `adjusted_p`, that of sign flips of images, by Benjamini and Hochberg
        over the categories. What is resampled is as in `Clusters`; `images` counts images.
    """
    scored = [scored_questions(heads.samples, heads.task) for heads in (a, b)]
    both = pairs.table[pairs.table["a"].isin(_rows(a, scored[0])) & pairs.table["b"].isin(_rows(b, scored[1]))]
    both = both[~both["other_answer"]]
    if both.empty:
        return pd.DataFrame(columns=list(_COLUMNS))
    first, second = (each.loc[heads.samples.index[both[side]]] for each, heads, side in zip(
        scored, (a, b), ("a", "b"), strict=True))  # fmt: skip
    clusters = pairs.clusters(a.samples, both)
    bootstrap = Bootstrap(clusters, resamples, seed)
    rights = [clusters.sums(each["right"].to_numpy().astype(float)) for each in (first, second)]
    rows: list[dict[str, Any]] = [
        _accuracy(name, bootstrap.only(images), [right[images] for right in rights])
        for name, images in image_groups(clusters)
    ]
    *tested, whole_p = (row["p"] for row in rows)
    for row, p in zip(rows, [*false_discovery_rate(np.array(tested)), whole_p], strict=True):
        row["adjusted_p"] = p
    if (a.task.parts, a.task.groups) == (b.task.parts, b.task.groups):
        found = {"accuracy": (np.stack(rights, axis=1), clusters.counts)}
        found |= {group.measure: _whole_groups(first, second, clusters, group) for group in a.task.groups}
        parts = [found[name] for name in a.task.parts]
        rows += _scores(bootstrap, parts, rights[1] - rights[0], a.task)
        for group in a.task.apart:
            (right, _) = part = found[group.measure]
            rows += _scores(bootstrap, [part], right[:, 1] - right[:, 0], a.task, group.measure)
    if all("lead" in heads.samples for heads in (a, b)):
        leads = [heads.samples["lead"].to_numpy(np.float64)[both[side]] for heads, side in ((a, "a"), (b, "b"))]
        known = np.isfinite(leads[0]) & np.isfinite(leads[1])
        if known.any():
            rows += _leads(pairs.clusters(a.samples, both[known]), *(each[known] for each in leads))
    return pd.DataFrame(rows)[list(_COLUMNS)]


def _leads(clusters: Clusters, one: Array, other: Array) -> list[dict[str, Any]]:
    """The mean lead of both runs by category and over all, of the questions with a lead in both."""
    rows, values = [], {"a": one, "b": other, "": other - one}
    sums = {side: clusters.sums(each) for side, each in values.items()}
    for name, images in image_groups(clusters):
        some = clusters.only(images)
        row: dict[str, Any] = {"measure": "lead", "category": name, "images": some.different()}
        for side, (value, low, high) in _SIDES.items():
            row |= mean_of_images(some, sums[side][images]).columns(value, low, high)
        few = of_units("few_images", clusters, number=some.together(), least=_LEAST)
        note = few if np.isnan(row["low"]) else ""
        rows.append(row | {"questions": int(some.counts.sum()), "adjusted_p": np.nan, "note": note})
    return rows


def _rows(heads: Heads, scored: pd.DataFrame) -> list[int]:
    """The positions in `samples` of the questions that are scored."""
    return heads.samples.index.get_indexer(scored.index[scored["observed"]]).tolist()


def _accuracy(name: str, bootstrap: Bootstrap, rights: list[Array]) -> dict[str, Any]:
    clusters, counts = bootstrap.clusters, bootstrap.clusters.counts
    drawn = bootstrap.ratios(np.stack(rights, axis=1), counts)
    own = [share_interval(bootstrap, right, counts, draws=of) for right, of in zip(rights, drawn.T, strict=True)]
    difference, draws = rights[1] - rights[0], 100 * (drawn[:, 1] - drawn[:, 0])
    changed = clusters.joined(difference)
    return {
        "measure": "accuracy",
        "category": name,
        "questions": int(counts.sum()),
        "images": clusters.different(),
        "p": float(sign_flip_maximum(changed[:, None], seed=bootstrap.seed).p[0]),
    } | _columns(own, [100 * each.estimate for each in own], difference, bootstrap, draws)


def _columns(
    own: Sequence[object], values: list[float], difference: Array, bootstrap: Bootstrap, draws: Array
) -> dict[str, Any]:
    """The columns of values, intervals and differences, in per cent."""
    found: dict[str, Any] = {}
    for side, interval, value in zip(("a", "b"), own, values, strict=True):
        found[side] = value
        found[f"{side}_low"], found[f"{side}_high"] = (
            np.nan if bound is None else 100 * bound
            for bound in (getattr(interval, "low", None), getattr(interval, "high", None))
        )
    clusters = bootstrap.clusters
    note = cannot_tell(clusters.joined(difference), clusters)
    by, every = np.array([values[1] - values[0]]), np.ones(clusters.images, np.bool_)
    low, high = (np.nan, np.nan) if note else np.ravel(bootstrap.bounds(by, draws[:, None], every)).tolist()
    return found | {"difference": float(by[0]), "low": low, "high": high, "note": note or ""}


def cannot_tell(difference: Array, clusters: Clusters) -> Sentence | None:
    """Why a paired interval cannot be given; None if it can.

    Args:
        difference: [images], how many more questions on an image, or a set of images, are right in b.
        clusters: what the unit is.
    """
    number, differ = len(difference), int(np.count_nonzero(difference))
    if not differ:
        return of_units("same", clusters, number=number)
    if number < FEW_IMAGES:
        return of_units("few_images", clusters, number=number, least=FEW_IMAGES)
    if differ < FEWEST_IMAGES:
        return of_units("few_differ", clusters, number=differ, least=FEWEST_IMAGES)
    return None


def _whole_groups(first: pd.DataFrame, second: pd.DataFrame, clusters: Clusters, group: Group) -> tuple[Array, Array]:
    """Of each image, how many of its groups are right in each run, [images, runs], and how many there are."""
    usable = (first["counts"].to_numpy() & second["counts"].to_numpy()).astype(bool)
    codes, found = group_codes(first, group), []
    for each in (first, second):
        frame = pd.DataFrame({"group": codes, "right": each["right"].to_numpy(), "usable": usable})
        of_group = frame.groupby("group")
        begins = ~frame["group"].duplicated() & of_group["usable"].transform("all")
        whole = of_group["right"].transform("all") & begins
        found.append(clusters.sums(whole.to_numpy().astype(float)))
    return np.stack(found, axis=1), clusters.sums(begins.to_numpy().astype(float))


@dataclass
class _Total:
    """A score of several categories, as they are added.

    Attributes:
        weights: of each category, by name.
        values: of both runs, [runs].
        draws: of their difference, [resamples].
    """

    name: str
    weights: Mapping[str, float]
    values: Array = field(default_factory=lambda: np.zeros(2))
    draws: Array = field(default_factory=lambda: np.zeros(1))


def _scores(
    bootstrap: Bootstrap,
    parts: Sequence[tuple[Array, Array]],
    difference: Array,
    task: Task,
    measure: str = "score",
) -> list[dict[str, Any]]:
    """The scores of categories in which no question lacks its partner, and of the totals that are made of such ones.

    Args:
        parts: what the score is the sum of: what is right in each run, [images, runs], of how many, [images].
        difference: [images], how many more questions, or groups of them, are right in b.
        measure: the name of the score.
    """
    clusters, rows = bootstrap.clusters, list[dict[str, Any]]()
    place = {name: number for number, name in enumerate(clusters.categories)}
    of_names = {
        name: images for name, images in category_images(clusters) if all(asked[images].all() for _, asked in parts)
    }
    names = list(of_names)
    asked = np.bincount(clusters.category, parts[0][1])
    of_totals = [
        _Total(total, dict(zip(own, task.weights([float(asked[place[name]]) for name in own]), strict=True)))
        for _, total, own in totals(names, task)
    ]

    def add(name: str, images: Codes, some: Bootstrap, values: Array, draws: Array) -> None:
        row = {"measure": measure, "category": name, "adjusted_p": np.nan}
        row |= {"questions": int(some.clusters.counts.sum()), "images": some.clusters.different()}
        rows.append(row | _columns([None, None], values.tolist(), difference[images], some, draws))

    for name, images in of_names.items():
        some, own = bootstrap.only(images), [(right[images], asked[images]) for right, asked in parts]
        values = 100 * np.sum([right.sum(axis=0) / asked.sum() for right, asked in own], axis=0)
        of_runs = 100 * np.sum([some.ratios(*each) for each in own], axis=0)
        draws = of_runs[:, 1] - of_runs[:, 0]
        add(name, images, some, values, draws)
        for each in of_totals:
            if name in each.weights:
                each.values = each.values + each.weights[name] * values
                each.draws = each.draws + each.weights[name] * draws
    for each in of_totals:
        images = np.flatnonzero(np.isin(clusters.category, [place[name] for name in each.weights]))
        add(each.name, images, bootstrap.only(images), each.values, each.draws)
    return rows
