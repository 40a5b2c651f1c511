"""Heads that look most at the image while the model writes, against those that look most at the end of the prompt.

While writing: image mass of a head, the mean over a text's steps after step 0, then over texts. At the prompt: that of
step 0, which is `a2v` of `heads`, of the same texts. `first_token` is step 1, the own row of the first generated token.
Bi et al. find their visual heads by it (Unveiling Visual Perception in Language Models: An Attention Head Analysis
Approach, CVPR 2025, arXiv:2412.18108): their code (jing-bi/visual-head) keeps the attention of the pass that has one
key more than the prompt, so its query is that token, and its heat maps show means over samples of the sum over image
tokens, scaled to 0..1 over heads. The script that makes these sums is not published. The paper's measure of
concentration is not computed here.

Other heads are said to look most while writing where two differences hold at once, on the half of the images that did
not choose: those chosen for their mass while writing look more than the others do while writing, and less at the
prompt. One of the two would not do: if all heads had the same order in both, the noisier ranking would still choose
heads of less mass.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from analyze.generated.reading import Written
from analyze.maps.halves import tests_of
from analyze.statistics.bootstrap import LEVEL, SEED, Interval
from analyze.statistics.clusters import Array, Clusters
from analyze.statistics.distributions import student_quantile
from analyze.statistics.intervals import FEW_IMAGES, jackknife_error, ratio_intervals
from analyze.statistics.multiplicity import FLOOR
from analyze.statistics.reliability import halves, rank_correlations

_MOST = 0.1  # of the heads that have rows: those that look most
FEWEST_HEADS = 10  # heads below which nothing is said of ranks
_DIVISIONS, _GROUPS = 50, 20  # random halves of the images; groups of them that are left out in turn


@dataclass(frozen=True)
class Crossing:
    """Heads chosen on one half of the images for one of the rankings only, on the other half.

    Attributes:
        chosen: how many heads were chosen for each ranking; `apart`: how many of them for one only.
        writing, prompt: image mass of those chosen for their mass while writing, minus that of those chosen for their
            mass at the prompt: while writing, and at the prompt.
        images: that test.
    """

    chosen: int
    apart: int
    writing: Interval
    prompt: Interval
    images: int

    @property
    def told(self) -> bool:
        """Whether other heads look most while writing than at the prompt."""
        if self.writing.low is None or self.prompt.high is None:
            return False
        larger = min(self.writing.estimate, -self.prompt.estimate) > FLOOR
        return larger and self.writing.low > 0 > self.prompt.high


@dataclass(frozen=True)
class WritingHeads:
    """Heads by their image mass while writing and at the prompt.

    Attributes:
        table: a row for each head that has rows: `layer`, `head`, `writing` and `prompt` with `_low` and `_high`,
            `first_token` (NaN where step 1 has no rows), and the ranks `writing_rank`, `prompt_rank`, from 1.
        texts, images: those that have a step after step 0.
        correlation: of the ranks in both, over heads, one on one half of the images and the other on the other half;
            None below `FEWEST_HEADS` heads, or where all are alike.
        own: the same of each with itself: how far ranks are the same on other images.
        crossing: None below `FEWEST_HEADS` heads, and where no category has two images.
    """

    table: pd.DataFrame
    texts: int
    images: int
    correlation: Interval | None
    own: tuple[float, float] | None
    crossing: Crossing | None

    def most(self, by: str) -> pd.DataFrame:
        """The rows of the heads that look most, by `writing` or `prompt`; the first looks most."""
        return self.table[self.table[f"{by}_rank"] <= most_of(len(self.table))].sort_values(f"{by}_rank")


def most_of(heads: int) -> int:
    """How many of so many heads are those that look most."""
    return max(1, round(_MOST * heads))


def rank_heads(written: Written, *, seed: int = SEED) -> WritingHeads | None:
    """Heads by their image mass while writing; None where no text has a step after step 0."""
    texts, there = written.texts, written.several > 0
    if not there.any():
        return None
    clusters, several = texts.clusters, written.several[:, None]
    layer, head = np.nonzero(texts.kept)
    found = {"writing": written.writing[:, texts.kept], "prompt": written.prompt[:, texts.kept]}
    columns: dict[str, npt.NDArray[np.generic]] = {"layer": texts.layers[layer], "head": head}
    for name, sums in found.items():
        columns[name] = sums.sum(axis=0) / several.sum()
        bounds = ratio_intervals(clusters, sums, np.broadcast_to(several, sums.shape), least=0.0)
        columns[f"{name}_low"], columns[f"{name}_high"] = bounds
    second = written.second[:, texts.kept].sum(axis=0) / several.sum()
    columns["first_token"] = second if texts.every == 1 else np.full(len(layer), np.nan)
    table = pd.DataFrame(columns)
    for name in found:
        table[f"{name}_rank"] = table[name].rank(ascending=False, method="first").astype(int)
    number, images = int(written.several.sum()), texts.clusters.different(there)
    if len(layer) < FEWEST_HEADS:
        return WritingHeads(table, number, images, None, None, None)
    one, other = ((sums / np.maximum(1, several))[there] for sums in found.values())
    correlation, own = _correlate(one, other, clusters.category[there], seed)
    tests = tests_of(texts.samples, seed)
    crossing = None
    if tests is not None:
        tested = np.bincount(clusters.image, tests, clusters.images) > 0  # all texts of an image, or none
        crossing = _cross(clusters, found["writing"], found["prompt"], written.several, tested)
    return WritingHeads(table, number, images, correlation, own, crossing)


def most_by_step(written: Written, ranked: WritingHeads) -> pd.DataFrame:
    """Mean image mass by step of the heads that look most while writing, over the fixed set of texts.

    Returns:
        `layer`, `head`, `step`, `g2v`; the head that looks most comes first.
    """
    fixed, length = written.texts.fixed
    most = ranked.most("writing")[["layer", "head"]].to_numpy()
    layers = np.searchsorted(written.texts.layers, most[:, 0])
    means = written.by_head_fixed[:length][:, layers, most[:, 1]] / fixed.sum()
    columns = dict(zip(("layer", "head"), np.repeat(most, length, axis=0).T, strict=True))
    steps = np.tile(written.texts.steps[:length], len(most))
    return pd.DataFrame({**columns, "step": steps, "g2v": means.T.ravel()})


def _correlate(
    writing: Array, prompt: Array, category: npt.NDArray[np.int64], seed: int
) -> tuple[Interval | None, tuple[float, float] | None]:
    """See `WritingHeads.correlation` and `own`; of means [images, heads].

    Both rankings of the same images would share their noise. The interval is that of a jackknife over groups of images.
    """
    rng, images = np.random.default_rng(seed), len(writing)
    if images < 4:
        return None, None
    half = np.stack([halves(category, rng) for _ in range(_DIVISIONS)]).astype(np.float64)
    group = rng.permutation(np.arange(images) % min(_GROUPS, images))

    def between(one: Array, other: Array, kept: Array) -> float:
        first, second = half * kept, (1 - half) * kept
        pairs = ((first, second), (second, first))
        found = [rank_correlations(_means(a, one), _means(b, other)) for a, b in pairs]
        return float(np.mean(found))

    whole = np.ones(images)
    estimate = between(writing, prompt, whole)
    own = between(writing, writing, whole), between(prompt, prompt, whole)
    if not np.isfinite([estimate, *own]).all():
        return None, None
    if images < FEW_IMAGES:
        return Interval(estimate, None, None, f"{images} images"), own
    without = np.array([between(writing, prompt, (group != each).astype(np.float64)) for each in np.unique(group)])
    far = float(student_quantile(len(without) - 1, (1 + LEVEL) / 2) * jackknife_error(without))
    return Interval(estimate, max(-1.0, estimate - far), min(1.0, estimate + far)), own


def _means(weights: Array, values: Array) -> Array:
    """Weighted means over images: [divisions, images] and [images, heads] as [divisions, heads]."""
    found: Array = weights @ values / weights.sum(axis=1, keepdims=True)
    return found


def _cross(
    clusters: Clusters, writing: Array, prompt: Array, several: Array, tested: npt.NDArray[np.bool_]
) -> Crossing | None:
    """See `Crossing`.

    Args:
        writing, prompt: sums over the texts of each image, [images, heads]; `several`: how many these are, [images].
        tested: which images test, bool [images].
    """
    tests, chooses = (several > 0) & tested, (several > 0) & ~tested
    if not (tests.any() and chooses.any()):
        return None
    most = most_of(writing.shape[1])
    one, other = (set(np.argsort(-each[chooses].sum(axis=0), kind="stable")[:most]) for each in (writing, prompt))
    apart = sorted(one - other), sorted(other - one)
    if not apart[0]:
        nothing = Interval(0.0, None, None, "the same heads")
        return Crossing(most, 0, nothing, nothing, int(tests.sum()))
    counts = np.where(tests, several, 0.0)[:, None]
    first, second = (
        _interval(clusters, np.where(tests, each[:, apart[0]].mean(axis=1) - each[:, apart[1]].mean(axis=1), 0), counts)
        for each in (writing, prompt)
    )
    return Crossing(most, 2 * len(apart[0]), first, second, int(tests.sum()))


def _interval(clusters: Clusters, sums: Array, counts: Array) -> Interval:
    """Of a mean of differences that may be skewed; no bounds below `FEW_IMAGES` images."""
    (low,), (high,) = ratio_intervals(clusters, sums[:, None], counts)
    estimate = float(sums.sum() / counts.sum())
    return (
        Interval(estimate, None, None, "few images") if np.isnan(low) else Interval(estimate, float(low), float(high))
    )
