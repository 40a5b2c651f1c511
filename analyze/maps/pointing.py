"""Pointing accuracy: how often the patch that a head looks at most lies where the answer does.

The pointing game of Zhang et al. (Top-down neural attention by excitation backprop, IJCV 2018): a sample counts if the
centre of its largest patch is in one of its boxes. Of many heads, the best one is chosen on half of the images and
tested on the other half; a head points if it is better than the image's centre and than a random patch, each tested
with the maximum over all heads.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from analyze.knockouts.jobs import HEADS, effect_jobs, job_in_words
from analyze.maps.grids import read_boxes
from analyze.maps.measures import Measures
from analyze.maps.ranking import ratio
from analyze.prune.criteria import EFFECT, read_criteria
from analyze.prune.halves import answered, divide
from analyze.prune.ranking import correlation_interval
from analyze.statistics.bootstrap import Bootstrap, percentiles
from analyze.statistics.clusters import Array, Clusters
from analyze.statistics.intervals import FEW_IMAGES, ratio_intervals, share_intervals
from analyze.statistics.multiplicity import sign_flip_maximum
from analyze.statistics.reliability import rank_correlation
from analyze.tables.frames import Heads
from analyze.tables.values import observed_rows
from schemas.errors import HeadflowError

ALPHA = 0.05
BEST, CENTRE, CHANCE, MEDIAN, HIGH = (
    "best head",
    "image centre",
    "random patch",
    "median head",
    "95th percentile of heads",
)


@dataclass(frozen=True)
class Pointing:
    """Pointing accuracy of heads.

    Attributes:
        table: a row for each head that has a map: `layer`, `head`, `pointing` and `inside` with `_low` and `_high`,
            `p_centre`, `p_chance`, `points`. `inside` is the map's share in the boxes over their share of the area.
        tested: on the half that did not choose: `point`, `accuracy`, `low`, `high`, and the best head's `lead` with
            `lead_low`, `lead_high`; None where the images cannot be divided.
        best: the head that was chosen; None likewise.
        samples, images: with boxes; `unreachable`: samples in whose boxes no patch has its centre; `outside`: those
            whose boxes all lie outside of the image.
    """

    table: pd.DataFrame
    tested: pd.DataFrame | None
    best: tuple[int, int] | None
    samples: int
    images: int
    tested_images: int
    unreachable: int
    outside: int


@dataclass(frozen=True)
class Relation:
    """Pointing accuracy against the measured effect of knocking a head out.

    Attributes:
        job: of the knock-outs, in words.
        questions, images: how many of those with maps it measured.
        correlation: Spearman's over the heads that have a map; None where all are equal; `low`, `high`: by image, NaN
            where they cannot be told.
        effects: of these heads, in the order of `Pointing.table`.
    """

    job: str
    questions: int
    images: int
    correlation: float | None
    low: float
    high: float
    effects: Array


def find_pointing(samples: pd.DataFrame, measures: Measures, resamples: int, seed: int) -> Pointing | None:
    """The pointing accuracy of heads; None if no sample has boxes.

    Args:
        samples: the rows of `samples` that were measured.
    """
    boxed = np.isfinite(measures.area)
    if not boxed.any():
        return None
    samples, hits = samples[boxed].reset_index(drop=True), measures.hits[boxed].astype(np.float64)
    centre, chance = measures.centre[boxed], measures.chance[boxed]
    bootstrap = Bootstrap(Clusters.of(samples), resamples, seed)
    layer, head = np.nonzero(measures.kept)
    columns: dict[str, npt.NDArray[np.generic]] = {"layer": layer, "head": head}
    sums = bootstrap.clusters.known_sums(hits)
    columns["pointing"] = ratio(*sums)
    columns["pointing_low"], columns["pointing_high"] = share_intervals(bootstrap, *sums)
    inside = _inside(bootstrap.clusters, measures.inside[boxed], measures.area[boxed])
    columns["inside"] = ratio(*inside)
    columns["inside_low"], columns["inside_high"] = ratio_intervals(bootstrap, *inside)
    table, points = pd.DataFrame(columns), np.ones(len(layer), np.bool_)
    for name, baseline in (("p_centre", centre), ("p_chance", chance)):
        found = sign_flip_maximum(bootstrap.clusters.means(hits - baseline[:, None]), flips=resamples, seed=seed)
        table[name] = found.p
        points &= (found.p <= ALPHA) & (found.mean > 0)
    table["points"] = points
    best, tested, number = _choose_and_test(samples, hits, centre, chance, resamples, seed)
    place = None if best is None else (int(layer[best]), int(head[best]))
    lost = int((chance == 0).sum()), sum(_all_outside(row) for _, row in samples.iterrows())
    return Pointing(table, tested, place, len(samples), bootstrap.clusters.images, number, *lost)


def _all_outside(sample: pd.Series) -> bool:
    """Whether the boxes of a row of `samples` all lie outside of its image."""
    width, height = sample["image_width"], sample["image_height"]
    return all(x1 <= 0 or y1 <= 0 or x0 >= width or y0 >= height for x0, y0, x1, y1 in read_boxes(sample))


def _inside(clusters: Clusters, inside: npt.NDArray[np.float32], area: Array) -> tuple[Array, Array]:
    """Sums of the share of a map in the boxes, and of that of an even map."""
    known = np.isfinite(inside)
    return clusters.sums(np.where(known, inside, 0)), clusters.sums(np.where(known, area[:, None], 0))


def _choose_and_test(
    samples: pd.DataFrame, hits: Array, centre: Array, chance: Array, resamples: int, seed: int
) -> tuple[int | None, pd.DataFrame | None, int]:
    """The head that points best on half of the images, the rows of `Pointing.tested`, and how many images test."""
    try:
        tests = divide(samples, seed)
    except HeadflowError:  # no category has two images
        return None, None, 0
    best = int(np.argmax(hits[~tests].mean(axis=0)))
    bootstrap = Bootstrap(Clusters.of(samples[tests]), resamples, seed)
    clusters = bootstrap.clusters
    sums, counts = clusters.known_sums(np.column_stack([hits[tests], centre[tests], chance[tests]]))
    values, draws = ratio(sums, counts), bootstrap.ratios(sums, counts)
    low, high = share_intervals(bootstrap, sums[:, [best, -2]], counts[:, [best, -2]])
    few = clusters.images < FEW_IMAGES
    heads, of_heads = values[:-2], draws[:, :-2]
    rows = {
        BEST: (values[best], draws[:, best], (low[0], high[0])),
        CENTRE: (values[-2], draws[:, -2], (low[1], high[1])),
        CHANCE: (values[-1], draws[:, -1], None),
        MEDIAN: (np.median(heads), np.median(of_heads, axis=1), None),
        HIGH: (np.quantile(heads, 0.95), np.quantile(of_heads, 0.95, axis=1), None),
    }
    found = []
    for name, (value, drawn, bounds) in rows.items():
        lead = _bounds(draws[:, best] - drawn, few) if name != BEST else (np.nan, np.nan)
        bounds = bounds or _bounds(drawn, few)
        gap = values[best] - value if name != BEST else np.nan
        found.append((name, value, *bounds, gap, *lead))
    columns = ["point", "accuracy", "low", "high", "lead", "lead_low", "lead_high"]
    return best, pd.DataFrame(found, columns=columns), clusters.images


def _bounds(draws: Array, few: bool) -> tuple[float, float]:
    if few:
        return np.nan, np.nan
    low, high = percentiles(draws[:, None])
    return float(low[0]), float(high[0])


def relate_to_effects(
    heads: Heads, measures: Measures, asked: Sequence[str] | None, resamples: int, seed: int
) -> Relation | None:
    """How pointing accuracy agrees with the measured effect; None if no job knocked out each single head.

    The effect is the mean over all questions that were measured, pointing over those with boxes.

    Raises:
        HeadflowError: see `effect_jobs`.
    """
    job = effect_jobs(heads.run, asked).get(HEADS)
    if job is None:
        return None
    samples = answered(heads)
    everything = np.ones(len(samples), np.bool_)
    found = next(each for each in read_criteria(heads, samples, everything, [EFFECT], asked) if each.unit == HEADS)
    place = observed_rows(heads)[measures.rows]
    effects = np.full((int(heads.observed.sum()), found.values.shape[1]), np.nan)
    effects[samples.index] = found.values
    effects = effects[place][:, measures.kept.ravel()]
    bootstrap = Bootstrap(Clusters.of(heads.samples.iloc[measures.rows]), resamples, seed)
    sums = [bootstrap.clusters.known_sums(each) for each in (measures.hits.astype(np.float64), effects)]
    if any(not counts.any() for _, counts in sums):
        return None
    means = [ratio(*each) for each in sums]
    correlation = rank_correlation(*means)
    low = high = np.nan
    if correlation is not None and min((counts.max(axis=1) > 0).sum() for _, counts in sums) >= FEW_IMAGES:
        draws = [bootstrap.ratios(*each) for each in sums]
        known = np.isfinite(np.hstack(draws)).all(axis=1)
        ranks = [stats.rankdata(each[known], axis=1).astype(np.float32) for each in draws]
        low, high = correlation_interval(correlation, *ranks)
    questions, images = (int((each > 0).any(axis=1).sum()) for each in (np.isfinite(effects), sums[1][1]))
    return Relation(job_in_words(job), questions, images, correlation, low, high, means[1])
