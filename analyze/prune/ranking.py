"""Heads and layers by their criteria on the ranking half: intervals, reliability, and how criteria agree."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from analyze.knockouts.jobs import HEADS, UNITS
from analyze.prune.criteria import Criterion
from analyze.statistics.bootstrap import LEVEL, Bootstrap, percentiles
from analyze.statistics.clusters import Array, Clusters
from analyze.statistics.intervals import FEW_IMAGES
from analyze.statistics.reliability import disattenuated, rank_correlation, spearman_brown, split_half

RELIABLE = 0.5  # from which a correlation is divided by the reliabilities
TOP = 4  # the first quarter by measured effect is what a criterion is to find
RELATIONS = ["unit", "criterion", "other", "correlation", "low", "high", "disattenuated", "auroc", "auroc_p"]


@dataclass(frozen=True)
class Ranked:
    """One criterion on the ranking half.

    Attributes:
        means: [cells], over samples.
        order: the cells, that with the least of it first.
        by_image: [images, cells], means over the samples of each image that it was measured on.
        category: of these images.
        ranks: float32 [resamples, cells], the ranks of the means of each resample of images.
        table: `unit`, `criterion`, `layer`, `head` (of heads), `value`, `low`, `high`, `rank` (from 1, the least).
        reliability: how far the ranks would be the same on other images; None if it cannot be told.
        samples: how many it was measured on; `images` likewise.
    """

    criterion: Criterion
    means: Array
    order: npt.NDArray[np.int64]
    by_image: Array
    measured: npt.NDArray[np.bool_]
    category: npt.NDArray[np.int64]
    ranks: npt.NDArray[np.float32]
    table: pd.DataFrame
    reliability: float | None
    samples: int


def rank(criterion: Criterion, bootstrap: Bootstrap, heads: int) -> Ranked:
    """Rank heads or layers by a criterion.

    Args:
        bootstrap: of the images of the samples that rank.
        heads: of a layer of the model.
    """
    clusters, values = bootstrap.clusters, criterion.values.astype(np.float64)
    known: npt.NDArray[np.bool_] = np.asarray(np.isfinite(values).all(axis=1))
    sums = clusters.sums(np.asarray(np.where(known[:, None], values, 0.0)))
    counts = clusters.sums(known.astype(np.float64))
    means = sums.sum(axis=0) / counts.sum()
    draws = bootstrap.ratios(sums, counts)
    low, high = percentiles(draws)
    measured = counts > 0
    if measured.sum() < FEW_IMAGES:
        low, high = np.full_like(low, np.nan), np.full_like(high, np.nan)
    by_image = sums[measured] / counts[measured][:, None]
    order = np.argsort(means, kind="stable")
    cell = np.arange(len(means))
    places = {"layer": cell // heads, "head": cell % heads} if criterion.unit == HEADS else {"layer": cell}
    columns = {"unit": criterion.unit, "criterion": criterion.name, **places}
    place = np.empty(len(order), np.int64)
    place[order] = cell + 1
    half = split_half(by_image, clusters.category[measured], seed=bootstrap.seed)
    return Ranked(
        criterion=criterion,
        means=means,
        order=order,
        by_image=by_image,
        measured=measured,
        category=clusters.category[measured],
        ranks=_ranks(draws),
        table=pd.DataFrame(columns | {"value": means, "low": low, "high": high, "rank": place}),
        reliability=None if half is None else spearman_brown(half),
        samples=int(known.sum()),
    )


def _ranks(draws: Array) -> npt.NDArray[np.float32]:
    """Ranks within each row; rows with NaN, of resamples without an image that was measured, are left out."""
    return stats.rankdata(draws[np.isfinite(draws).all(axis=1)], axis=1).astype(np.float32)


def rank_all(criteria: Sequence[Criterion], clusters: Clusters, heads: int, resamples: int, seed: int) -> list[Ranked]:
    """Rank by each criterion; see `rank`. All take the same resamples of images."""
    bootstrap = Bootstrap(clusters, resamples, seed)
    return [rank(criterion, bootstrap, heads) for criterion in criteria]


def relations(ranked: Sequence[Ranked], seed: int) -> pd.DataFrame:
    """How each two criteria of heads, or of layers, agree: the columns `RELATIONS`; NaN where it cannot be told.

    `correlation` is Spearman's over heads, with an interval from resampled images; `disattenuated` that without the
    noise of a finite number of images, where both reliabilities are at least `RELIABLE`. Where `other` is the measured
    effect, `auroc` is the chance that a head of the quarter with the largest effects has more of the criterion than one
    of the others, and `auroc_p` the share of random orders of the heads that are as far from 1/2.
    """
    rows = []
    for unit in UNITS:
        own = sorted((each for each in ranked if each.criterion.unit == unit), key=lambda each: each.criterion.measured)
        for one, other in combinations(own, 2):
            row: dict[str, object] = {"unit": unit, "criterion": one.criterion.name, "other": other.criterion.name}
            row |= _correlation(one, other) | {"disattenuated": _without_noise(one, other, seed)}
            rows.append(row | (finds_top(one.means, other.means) if other.criterion.measured else {}))
    return pd.DataFrame(rows, columns=RELATIONS)


def _correlation(one: Ranked, other: Ranked) -> dict[str, float]:
    found = rank_correlation(one.means, other.means)
    unknown = {"correlation": np.nan if found is None else found, "low": np.nan, "high": np.nan}
    if found is None or min(len(one.by_image), len(other.by_image)) < FEW_IMAGES or len(one.ranks) != len(other.ranks):
        return unknown
    low, high = correlation_interval(found, one.ranks, other.ranks)
    return {"correlation": found, "low": low, "high": high}


def correlation_interval(
    found: float, one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]
) -> tuple[float, float]:
    """The 95% interval of a rank correlation, from the ranks in resamples of images, [resamples, cells] each.

    It is of the correlation that so many images show, noise included. Resampling adds noise of its own, which brings
    each resample's correlation nearer to 0: so its spread alone is taken, about what was found, on Fisher's scale.
    """
    cells = one.shape[1]
    a, b = one - (cells + 1) / 2, other - (cells + 1) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        draws = np.einsum("ij,ij->i", a, b) / np.sqrt(np.einsum("ij,ij->i", a, a) * np.einsum("ij,ij->i", b, b))
    draws = draws[np.isfinite(draws)].astype(np.float64)
    if cells < 2 or len(draws) < 2:
        return np.nan, np.nan
    # Of a perfect agreement Fisher's z is infinite: it counts as halfway to that with two neighbours exchanged
    most = 1 - 6 / (cells * (cells**2 - 1))
    z = np.arctanh(np.clip(np.append(draws, found), -most, most))
    half = stats.norm.ppf((1 + LEVEL) / 2) * z[:-1].std()
    low, high = np.tanh(z[-1] - half), np.tanh(z[-1] + half)
    return min(float(low), found), max(float(high), found)


def _without_noise(one: Ranked, other: Ranked, seed: int) -> float:
    if any(each.reliability is None or each.reliability < RELIABLE for each in (one, other)):
        return np.nan
    both = one.measured & other.measured
    a, b = (each.by_image[both[each.measured]] for each in (one, other))
    found = disattenuated(a, b, one.category[both[one.measured]], seed=seed)
    return np.nan if found is None else found


def finds_top(values: Array, effects: Array) -> dict[str, float]:
    """How well values find the quarter with the largest effects: `auroc`, and `auroc_p` of random orders."""
    top = np.zeros(len(effects), bool)
    top[np.argsort(effects, kind="stable")[-max(1, round(len(effects) / TOP)) :]] = True
    if top.all():
        return {}
    found = stats.mannwhitneyu(values[top], values[~top])
    return {"auroc": float(found.statistic / (top.sum() * (~top).sum())), "auroc_p": float(found.pvalue)}
