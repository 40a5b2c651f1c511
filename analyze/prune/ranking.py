"""Heads and layers by their criteria on the ranking half: intervals, reliability, and how criteria agree."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd

from analyze.knockouts.jobs import HEADS, UNITS
from analyze.prune.criteria import Criterion
from analyze.statistics.clusters import Array, Clusters, Codes
from analyze.statistics.distributions import ranks
from analyze.statistics.heads.permutations import agreement_of_heads, permutation_p, permuted
from analyze.statistics.intervals import ratio_intervals
from analyze.statistics.multiplicity import false_discovery_rate
from analyze.statistics.reliability import (
    RELIABLE,
    disattenuated,
    halves,
    rank_correlation,
    spearman_brown,
    split_half,
)
from analyze.tables.values import head_columns
from schemas.jobs.head_sets import ModelShape

TOP = 4  # the first quarter by measured effect is what a criterion is to find
RELATIONS = ["unit", "criterion", "other", "correlation", "disattenuated", "halves", "within", "p", "auroc", "auroc_p"]


@dataclass(frozen=True)
class Ranked:
    """One criterion on the ranking half.

    Attributes:
        means: [cells], over samples.
        order: the cells, that with the least of it first.
        by_image: [images, cells], means over the samples of each image that it was measured on.
        category: of these images.
        table: `unit`, `criterion`, `layer`, `head` (of heads), `value`, `low`, `high`, `rank` (from 1, the least).
        reliability: how far the ranks would be the same on other images; None if it cannot be told.
        samples: how many it was measured on.
        heads: of a layer of the model.
    """

    criterion: Criterion
    means: Array
    order: npt.NDArray[np.int64]
    by_image: Array
    measured: npt.NDArray[np.bool_]
    category: npt.NDArray[np.int64]
    table: pd.DataFrame
    reliability: float | None
    samples: int
    heads: int


def rank(criterion: Criterion, clusters: Clusters, model: ModelShape, seed: int) -> Ranked:
    """Rank heads or layers by a criterion.

    Args:
        clusters: of the samples that rank.
        model: that of the run.
        seed: of the halves that its reliability comes from.
    """
    values = criterion.values.astype(np.float64)
    known: npt.NDArray[np.bool_] = np.asarray(np.isfinite(values).all(axis=1))
    sums = clusters.sums(np.asarray(np.where(known[:, None], values, 0.0)))
    counts = clusters.sums(known.astype(np.float64))
    means, measured = sums.sum(axis=0) / counts.sum(), counts > 0
    low, high = ratio_intervals(clusters, sums, np.broadcast_to(counts[:, None], sums.shape))
    by_image = sums[measured] / counts[measured][:, None]
    order = np.argsort(means, kind="stable")
    cell = np.arange(len(means))
    places = head_columns(model) if criterion.unit == HEADS else {"layer": cell}
    columns = {"unit": criterion.unit, "criterion": criterion.name, **places}
    place = np.empty(len(order), np.int64)
    place[order] = cell + 1
    half = split_half(by_image, clusters.category[measured], seed=seed)
    return Ranked(
        criterion=criterion,
        means=means,
        order=order,
        by_image=by_image,
        measured=measured,
        category=clusters.category[measured],
        table=pd.DataFrame(columns | {"value": means, "low": low, "high": high, "rank": place}),
        reliability=None if half is None else spearman_brown(half),
        samples=int(known.sum()),
        heads=model.heads,
    )


def relations(ranked: Sequence[Ranked], draws: int, seed: int) -> pd.DataFrame:
    """How each two criteria of heads, or of layers, agree: the columns `RELATIONS`; NaN where it cannot be told.

    `correlation` is Spearman's over heads, `disattenuated` that without the noise of a finite number of images, where
    both reliabilities are at least `RELIABLE`. Where `other` is the measured effect, the rest comes from the criterion
    on one half of the images and the effect on the other half, as noise of the same images would count as agreement:
    `halves`, the correlation; `within`, that within layers; `p`, of the criterion permuted within layers; `auroc`, the
    chance that a head of the quarter with the largest effects has more of the criterion than one of the others, with
    its p value, `auroc_p`. Both p are corrected for all criteria of a unit by Benjamini and Hochberg.
    """
    rows = []
    for unit in UNITS:
        own = sorted((each for each in ranked if each.criterion.unit == unit), key=lambda each: each.criterion.measured)
        for one, other in combinations(own, 2):
            row: dict[str, object] = {"unit": unit, "criterion": one.criterion.name, "other": other.criterion.name}
            found = rank_correlation(one.means, other.means)
            row |= {
                "correlation": np.nan if found is None else found,
                "disattenuated": _without_noise(one, other, seed),
            }
            rows.append(row | (_against_effect(one, other, draws, seed) if other.criterion.measured else {}))
    table = pd.DataFrame(rows, columns=RELATIONS)
    for name in ("p", "auroc_p"):
        table[name] = table.groupby("unit")[name].transform(lambda own: false_discovery_rate(own.to_numpy(np.float64)))
    return table


def _against_effect(one: Ranked, effect: Ranked, draws: int, seed: int) -> dict[str, float]:
    """A criterion on half of the images against the effect on the other half; see `relations`."""
    a, b, category = _both(one, effect)
    half = halves(category, np.random.default_rng(seed))
    if not (half == 0).any() or not (half == 1).any():
        return {}
    values, effects = a[half == 0].mean(axis=0), b[half == 1].mean(axis=0)
    cells = np.arange(len(values))
    layer = cells // one.heads if one.criterion.unit == HEADS else np.zeros_like(cells)
    found = agreement_of_heads(values, effects, layer, draws, seed)
    if found is None:
        return {}
    agreement = {"halves": found.correlation, "within": found.within, "p": found.p}
    return agreement | finds_top(values, effects, layer, draws, seed)


def _both(one: Ranked, other: Ranked) -> tuple[Array, Array, Codes]:
    """Means by image of two criteria on the images that both were measured on, and the categories of these."""
    both = one.measured & other.measured
    a, b = (each.by_image[both[each.measured]] for each in (one, other))
    return a, b, one.category[both[one.measured]]


def _without_noise(one: Ranked, other: Ranked, seed: int) -> float:
    if any(each.reliability is None or each.reliability < RELIABLE for each in (one, other)):
        return np.nan
    found = disattenuated(*_both(one, other), seed=seed)
    return np.nan if found is None else found


def finds_top(values: Array, effects: Array, layer: Codes, draws: int, seed: int) -> dict[str, float]:
    """How well values find the quarter with the largest effects: `auroc`, and `auroc_p` of orders within layers."""
    top = np.zeros((len(effects), 1))
    top[np.argsort(effects, kind="stable")[-max(1, round(len(effects) / TOP)) :]] = 1
    if top.all():
        return {}
    places, number = ranks(values), top.sum()
    found = float(places @ top[:, 0])
    p = permutation_p(found, permuted(places, top, layer, draws, seed)[:, 0])
    return {"auroc": float((found - number * (number + 1) / 2) / (number * (len(top) - number))), "auroc_p": p}
