"""Which heads look more, or less, at the image where a text names what is there than where it makes something up.

Later words have less image mass and are made up more often, and so are some objects. So a mention is compared only with
mentions of the same word at about the same step: these are a stratum, from which the trend by step is taken out. Images
are the units: mentions in texts about one image may have much in common.
"""

from dataclasses import dataclass
from math import prod

import numpy as np
import numpy.typing as npt
import pandas as pd

from analyze.statistics.clusters import Array, Clusters, Codes
from analyze.statistics.distributions import ranks, student_below, student_quantile
from analyze.statistics.multiplicity import false_discovery_rate, sign_flip_maximum
from analyze.statistics.reliability import spearman_brown, split_half
from analyze.tables.frames import Heads
from analyze.tables.rows import part_cells
from analyze.tables.values import head_columns, observed_rows
from schemas.columns import STEP, STEPS
from schemas.jobs.head_sets import ModelShape
from schemas.manifest import INDICES
from schemas.text import counted

STEP_BINS = 4  # with as many mentions each, as far as equal steps allow
_FEWEST_IMAGES = 10  # with a mention that counts
_LEVEL = 0.95
TESTED_AT = 0.04  # of 1,800 worlds in which nothing is told, a head is said to tell in 4.6%; at 0.05, in 5.4%


@dataclass(frozen=True)
class Told:
    """How well each head tells true mentions from made-up ones.

    Attributes:
        table: a row for each head: `layer`, `head`, `auroc` (0.5: not at all; above: it looks more at the image where
            the mention is true) with `low` and `high`, `p` and `adjusted_p` (false discovery rate), and `tells`: it
            does, the chance of a single false one among all heads being at most 5%.
        reliability: of the heads' order on other images; None where it cannot be told.
        mentions, images: that count: in a stratum with both kinds.
        why: why nothing can be told; the table is then empty.
    """

    table: pd.DataFrame
    reliability: float | None = None
    mentions: int = 0
    images: int = 0
    why: str = ""


def step_bins(steps: Codes) -> Codes:
    """The bin of each step, from 0: bins of about as many steps each, the same step always in the same one."""
    edges = np.unique(np.quantile(steps, np.arange(1, STEP_BINS) / STEP_BINS)) if len(steps) else np.empty(0)
    return np.searchsorted(edges, steps, side="right").astype(np.int64)


def find_strata(mentions: pd.DataFrame, bins: Codes) -> tuple[Codes, npt.NDArray[np.bool_]]:
    """The stratum of each mention, its word and bin of steps, and whether it has true and made-up ones; [mentions]."""
    strata = mentions.groupby([mentions["word"], bins], sort=False).ngroup().to_numpy().astype(np.int64)
    number = np.bincount(strata)
    true = np.bincount(strata, mentions["true"])
    return strata, ((true > 0) & (true < number))[strata]


def without_trend(values: Array, mentions: pd.DataFrame, bins: Codes) -> Array:
    """Values without what they gain or lose by step inside a bin of steps, [mentions, heads].

    Inside a bin, too, later mentions have less image mass and are made up more often. The slope is that inside the bin
    among mentions of one word that are all true or all made up, so that it has nothing of what is to be told.

    Args:
        values: float64 [mentions, heads].
        bins: of each mention, the same as those of the strata: values of one stratum keep one slope.
    """
    step = mentions["step"].to_numpy(np.float64)
    cells = mentions.groupby([bins, mentions["word"], mentions["true"]], sort=False).ngroup().to_numpy()
    number = np.bincount(cells)
    apart = step - (np.bincount(cells, step) / number)[cells]
    found = values.copy()
    for each in np.unique(bins):
        own = bins == each
        squares = (apart[own] ** 2).sum()
        if squares > 0:
            slope = apart[own] @ values[own] / squares
            found[own] -= step[own][:, None] * slope
    return found


def image_parts(values: Array, true: npt.NDArray[np.bool_], strata: Codes, clusters: Clusters) -> tuple[Array, float]:
    """What each image adds to the AUROC within strata, above or below one half.

    In a stratum of n1 true and n0 made-up mentions, the sum over its mentions of (label - mean label) (rank - mean
    rank) is U - n1 n0 / 2, with Mann and Whitney's U. So the parts of all images add up to the AUROC over all pairs
    within strata, less one half, times the number of these pairs.

    Args:
        values: [mentions, heads].
        strata: [mentions]; of each stratum there are both kinds.
        clusters: the images of the mentions.

    Returns:
        float64 [images, heads], and the number of pairs.
    """
    parts, pairs = np.zeros(values.shape), 0.0
    for stratum in np.unique(strata):
        own = np.flatnonzero(strata == stratum)
        label = true[own].astype(np.float64)
        places = ranks(values[own])
        parts[own] = (label - label.mean())[:, None] * (places - places.mean(axis=0))
        pairs += label.sum() * (len(own) - label.sum())
    return clusters.sums(parts), pairs


def tell(
    mentions: pd.DataFrame, values: Array, samples: pd.DataFrame, *, model: ModelShape, flips: int, seed: int
) -> Told:
    """Which heads tell true mentions from made-up ones, by `image_parts`; images are the units of every test.

    Args:
        mentions: see `find_mentions`.
        values: float64 [mentions, layers * heads], the image mass when each was chosen; NaN where it is not known.
        samples: `observed_samples`.
        model: that of the run.
    """
    known = np.flatnonzero(np.isfinite(values).all(axis=1))
    own, bins = mentions.iloc[known], step_bins(mentions["step"].to_numpy(np.int64))[known]
    strata, both = find_strata(own, bins)
    kept = np.flatnonzero(both)
    own, values, bins, strata = own.iloc[kept], values[known[kept]], bins[kept], strata[kept]
    clusters = Clusters.of(samples.iloc[own["row"]].reset_index(drop=True).assign(category="all"))
    number = clusters.images
    if number < _FEWEST_IMAGES:
        what = "mentions of one word at about one step, some true and some made up"
        return Told(
            pd.DataFrame(), why=f"{what}, are on {counted(number, *clusters.units)}; {_FEWEST_IMAGES} are needed"
        )
    straight = without_trend(values, own, bins)
    parts, pairs = image_parts(straight, own["true"].to_numpy(bool), strata, clusters)
    # The means of strata and slopes of bins are taken from these mentions, whose spread is so much smaller for it
    fitted = len(np.unique(strata)) + len(np.unique(bins))
    spread = np.sqrt(max(0.5, 1 - fitted / len(own)))
    auroc = 0.5 + parts.sum(axis=0) / pairs
    error = np.sqrt(number) * parts.std(axis=0, ddof=1) / pairs / spread
    half = student_quantile(number - 1, (1 + _LEVEL) / 2) * error
    with np.errstate(divide="ignore", invalid="ignore"):
        p = 2 * student_below(number - 1, -np.abs((auroc - 0.5) / error))
    tested = sign_flip_maximum(parts - (1 - spread) * parts.mean(axis=0), flips=flips, seed=seed, level=TESTED_AT)
    table = pd.DataFrame(
        {
            **head_columns(model),
            "auroc": auroc,
            "low": np.clip(auroc - half, 0, 1),
            "high": np.clip(auroc + half, 0, 1),
            "p": p,
            "adjusted_p": false_discovery_rate(p),
            "tells": tested.significant,
        }
    )
    half_correlation = split_half(parts, clusters.category, seed=seed)
    reliability = None if half_correlation is None else spearman_brown(half_correlation)
    return Told(table, reliability, len(own), clusters.different())


def mention_masses(heads: Heads, mentions: pd.DataFrame, column: str) -> Array:
    """A column of `steps` at the step of each mention, float64 [mentions, layers * heads]; NaN where it has no rows.

    Args:
        mentions: see `find_mentions`.

    Raises:
        HeadflowError: see `part_cells`.
    """
    cells = prod(heads.shape)
    keys = mentions["row"].to_numpy(np.int64) * INDICES + mentions[STEP].to_numpy(np.int64)
    wanted, place = np.unique(keys, return_inverse=True)
    found = np.full((len(wanted), cells), np.nan)
    rows = observed_rows(heads)
    for part, own, ids in heads.each_part():
        if not np.isin(rows[own], mentions["row"]).any():
            continue
        row_of = np.append(rows[own], np.full(len(ids) - len(own), -1))
        for sample, _, batch in part_cells(heads.run, heads.run.path / STEPS / part.name, ids, [column]):
            key = row_of[sample] * INDICES + batch[STEP].to_numpy()
            at = np.minimum(np.searchsorted(wanted, key), len(wanted) - 1)
            there = wanted[at] == key
            layer = np.searchsorted(heads.attending, batch["layer"].to_numpy())
            head = layer * heads.heads + batch["head"].to_numpy()
            found[at[there], head[there]] = batch[column].to_numpy()[there]
    return found[place]
