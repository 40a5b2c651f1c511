"""Pointing accuracy: how often the patch that a head looks at most lies where the answer does.

The pointing game of Zhang et al. (Top-down neural attention by excitation backprop, IJCV 2018): a sample counts if the
centre of its largest patch is in one of its boxes. Of many heads, the best one is chosen on half of the images and
tested on the other half; a head points if it is better than the image's centre, by flipped signs of images with the
maximum over all heads, and than a random patch, by the exact distribution of its hits times the number of heads.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from analyze.knockouts.jobs import HEADS, effect_jobs, job_in_words
from analyze.maps.grids import read_boxes
from analyze.maps.halves import lead, tests_of
from analyze.maps.measures import Measures
from analyze.maps.ranking import ratio
from analyze.prune.criteria import EFFECT, read_criteria
from analyze.prune.halves import answered_samples
from analyze.statistics.bootstrap import Bootstrap
from analyze.statistics.clusters import Array, Clusters, Codes
from analyze.statistics.heads.permutations import Agreement, agreement_of_heads
from analyze.statistics.intervals import ratio_intervals, share_intervals
from analyze.statistics.multiplicity import sign_flip_maximum
from analyze.statistics.reliability import halves
from analyze.tables.frames import Heads
from analyze.tables.values import observed_rows

ALPHA = 0.05
BEST, CENTRE, CHANCE, _MEDIAN, HIGH = (
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
        best: the head that was chosen; None in the same case.
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
        agreement: over the heads that have a map, pointing on one half of the images and effects on the other half, as
            noise of the same images would count as agreement; None where all are equal or not known.
        effects: of these heads, in the order of `Pointing.table`.
    """

    job: str
    questions: int
    images: int
    agreement: Agreement | None
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
    bootstrap = Bootstrap(Clusters.of(samples).once(), resamples, seed)
    layer, head = (each[measures.kept.ravel()] for each in measures.columns.values())
    columns: dict[str, npt.NDArray[np.generic]] = {"layer": layer, "head": head}
    sums = bootstrap.clusters.known_sums(hits)
    columns["pointing"] = ratio(*sums)
    columns["pointing_low"], columns["pointing_high"] = share_intervals(bootstrap, *sums)
    inside = _inside(bootstrap.clusters, measures.inside[boxed], measures.area[boxed])
    columns["inside"] = ratio(*inside)
    columns["inside_low"], columns["inside_high"] = ratio_intervals(bootstrap.clusters, *inside, least=0.0)
    table = pd.DataFrame(columns)
    found = sign_flip_maximum(bootstrap.clusters.sums(hits - centre[:, None]), flips=resamples, seed=seed)
    table["p_centre"], table["p_chance"] = found.p, p_of_chance(bootstrap.clusters, hits, chance)
    table["points"] = (found.p <= ALPHA) & (found.mean > 0) & (table["p_chance"] <= ALPHA)
    best, tested, number = _choose_and_test(samples, hits, centre, chance, resamples, seed)
    place = None if best is None else (int(layer[best]), int(head[best]))
    lost = int((chance == 0).sum()), sum(_all_outside(row) for _, row in samples.iterrows())
    return Pointing(table, tested, place, len(samples), bootstrap.clusters.different(), number, *lost)


def p_of_chance(clusters: Clusters, hits: Array, chance: Array) -> Array:
    """How likely so many hits of random patches are, times the number of heads (Bonferroni), [heads].

    Exact: the patch of an image is the same for all questions about it, so that an image hits as a whole (Poisson's
    binomial distribution, weighted by the questions on an image). If heads differ between these, p is too large.

    Args:
        hits: [samples, heads]; `chance`: [samples], the probability of a hit.
    """
    likely = np.ones(1)
    for weight, probability in zip(clusters.counts.astype(int), clusters.means(chance), strict=True):
        more = np.zeros(len(likely) + weight)
        more[: len(likely)] += likely * (1 - probability)
        more[weight:] += likely * probability
        likely = more
    at_least = np.append(likely[::-1].cumsum()[::-1], 0.0)
    number = np.floor(hits.sum(axis=0) + 1e-9).astype(int)
    p: Array = np.minimum(1, at_least[number] * hits.shape[1])
    return p


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
    tests = tests_of(samples, seed)
    if tests is None:
        return None, None, 0
    order = np.argsort(-hits[~tests].mean(axis=0), kind="stable")
    best, number = int(order[0]), len(order)
    own, places = hits[tests], {_MEDIAN: order[number // 2], HIGH: order[number // 20]}
    rows = {BEST: own[:, best], CENTRE: centre[tests], CHANCE: chance[tests]}
    rows |= {name: own[:, place] for name, place in places.items() if place != best}
    values = np.column_stack(list(rows.values()))
    bootstrap = Bootstrap(Clusters.of(samples[tests]).once(), resamples, seed)
    table = pd.DataFrame({"point": list(rows), "accuracy": values.mean(axis=0)})
    table["low"], table["high"] = share_intervals(bootstrap, *bootstrap.clusters.known_sums(values))
    leads = [lead(samples[tests], values[:, 0] - values[:, place]) for place in range(1, len(rows))]
    for column, name in (("lead", "mean"), ("lead_low", "low"), ("lead_high", "high")):
        table[column] = [np.nan, *(getattr(each, name) for each in leads)]
    return best, table, bootstrap.clusters.different()


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
    samples = answered_samples(heads)
    everything = np.ones(len(samples), np.bool_)
    found = next(each for each in read_criteria(heads, samples, everything, [EFFECT], asked) if each.unit == HEADS)
    place = observed_rows(heads)[measures.rows]
    effects = np.full((int(heads.observed.sum()), found.values.shape[1]), np.nan)
    effects[samples.index] = found.values
    effects = effects[place][:, measures.kept.ravel()]
    bootstrap = Bootstrap(Clusters.of(heads.samples.iloc[measures.rows]).once(), resamples, seed)
    sums = [bootstrap.clusters.known_sums(each) for each in (measures.hits.astype(np.float64), effects)]
    if any(not counts.any() for _, counts in sums):
        return None
    means = [ratio(*each) for each in sums]
    agreement = correlate_heads(bootstrap.clusters, sums, np.nonzero(measures.kept)[0], resamples, seed)
    questions, images = (int((each > 0).any(axis=1).sum()) for each in (np.isfinite(effects), sums[1][1]))
    return Relation(job_in_words(job), questions, images, agreement, means[1])


def correlate_heads(
    clusters: Clusters, sums: Sequence[tuple[Array, Array]], layer: Codes, resamples: int, seed: int
) -> Agreement | None:
    """How pointing, on one half of the images, agrees with effects on the other half.

    Args:
        sums: of pointing and of effects, sums over images and counts, [images, heads].
        layer: of each head.
    """
    half = halves(clusters.category, np.random.default_rng(seed))
    pointing, effects = (ratio(*(each[half == side] for each in sums[side])) for side in (0, 1))
    return agreement_of_heads(pointing, effects, layer, resamples, seed)
