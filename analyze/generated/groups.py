"""Image mass of groups of words: that of the step in which the first piece of a word was chosen.

Later words have less image mass whatever they are, and groups stand at other places of a text. So a group is compared
with the others among words that were chosen at the same step: the differences at all steps, weighted by n m / (n + m)
of n and m words, which is least squares with an effect for each step. The interval is a jackknife over images, whose
words all leave at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from analyze.generated.reading import IMAGE_ROLE, Written
from analyze.generated.vocabulary import Vocabulary
from analyze.statistics.bootstrap import LEVEL
from analyze.statistics.clusters import Array, Codes
from analyze.statistics.distributions import student_quantile
from analyze.statistics.intervals import FEW_IMAGES, jackknife_error, ratio_intervals
from analyze.statistics.multiplicity import direction
from analyze.tables.frames import Heads
from analyze.tables.rows import part_apart
from schemas.columns import TOKEN_TEXT, TOKENS
from schemas.errors import HeadflowError

ALL_WORDS = "all"


@dataclass(frozen=True)
class _Words:
    """The words of a run that are in a group, each int64 [words].

    Attributes:
        text, step: the text, and the place of its first piece's step among `Texts.steps`.
        group: the place of its group.
        left_out: how many were chosen at steps that have no rows.
    """

    text: Codes
    step: Codes
    group: Codes
    left_out: int


@dataclass(frozen=True)
class Difference:
    """Image mass of a group's words minus that of the others, chosen at the same steps.

    Attributes:
        words, others: how many stand at steps that have both.
        images: that have words of the group, or of the others, whichever are fewer.
        low, high: NaN where images are too few.
    """

    mean: float
    low: float
    high: float
    words: int
    others: int
    images: int

    @property
    def direction(self) -> int:
        """1: the group has more, -1: less, 0: cannot be told."""
        return direction(self.mean, self.low, self.high)


@dataclass(frozen=True)
class Groups:
    """Groups of words.

    Attributes:
        table: a row for each group and bin of steps, and of all steps: `group`, `steps`, `first`, `last`, `words`,
            `images`, `g2v` with `_low` and `_high`, and `difference` from the words of the other groups at the same
            steps with `_low` and `_high`, 95% each.
        differences: of each group from the others, over all steps, by name; their intervals hold all at once
            (Bonferroni). Of two groups, the first one.
        left_out: see `_Words`.
    """

    table: pd.DataFrame
    differences: dict[str, Difference]
    names: Sequence[str]
    left_out: int


def find_words(heads: Heads, written: Written, vocabulary: Vocabulary) -> _Words:
    """The words in the texts of a run.

    Raises:
        HeadflowError: the tokens cannot be read, or no text has a word of any group.
    """
    texts, found = written.texts, list[tuple[int, int, int]]()
    place = {int(row): number for number, row in enumerate(texts.samples.index)}
    for part, own, ids in heads.each_part():
        pieces = part_apart(heads.run, TOKENS, part, ids, TOKEN_TEXT)
        for row, each in zip(own.tolist(), pieces, strict=False):
            if row in place:
                found += [(place[row], *pair) for pair in vocabulary.find(each)]
    if not found:
        raise HeadflowError(f"{heads.run.path}: no text has a word of any group", setting="words")
    text, step, group = np.array(found, np.int64).T
    there = step % texts.every == 0
    return _Words(text[there], step[there] // texts.every, group[there], int((~there).sum()))


def compare_groups(written: Written, words: _Words, names: Sequence[str]) -> Groups:
    """Image mass of each group of words, and how far it differs from the others."""
    texts = written.texts
    starts = np.cumsum(texts.counts) - texts.counts
    mass = written.masses[starts[words.text] + words.step, IMAGE_ROLE]
    image, steps = texts.clusters.image[words.text], texts.steps
    level = LEVEL if len(names) == 2 else 1 - (1 - LEVEL) / len(names)
    rows, differences = list[dict[str, object]](), dict[str, Difference]()
    for group, name in enumerate(names):
        own = words.group == group
        for label, first, last in _bins(steps):
            some = (words.step >= first) & (words.step <= last)
            counts, sums = (
                np.bincount(image[some & own], weights, texts.clusters.images).astype(np.float64)[:, None]
                for weights in (np.ones(int((some & own).sum())), mass[some & own])
            )
            if not counts.any():
                continue
            (low,), (high,) = ratio_intervals(texts.clusters, sums, counts, least=0.0)
            apart = difference(image[some], words.step[some], own[some], mass[some])
            rows.append({
                "group": name, "steps": label, "first": steps[first], "last": steps[last], "words": int(counts.sum()),
                "images": int(np.count_nonzero(counts)), "g2v": sums.sum() / counts.sum(), "g2v_low": low,
                "g2v_high": high, "difference": apart.mean, "difference_low": apart.low, "difference_high": apart.high,
            })  # fmt: skip
        if len(names) > 2 or group == 0:
            differences[name] = difference(image, words.step, own, mass, level)
    return Groups(pd.DataFrame(rows), differences, names, words.left_out)


def _bins(steps: npt.NDArray[np.int64]) -> list[tuple[str, int, int]]:
    """Bins of steps, each twice as wide as the last one, and all: name, and the places of the first and last step."""
    bins, first = list[tuple[str, int, int]](), 0
    while first < len(steps):
        last = min(len(steps) - 1, max(0, 2 * first - 1))
        name = f"{steps[first]}" if last == first else f"{steps[first]}-{steps[last]}"
        bins.append((name, first, last))
        first = last + 1
    return [*bins, (ALL_WORDS, 0, len(steps) - 1)]


def difference(image: Codes, step: Codes, own: npt.NDArray[np.bool_], mass: Array, level: float = LEVEL) -> Difference:
    """Image mass of some words minus that of the others, see above; NaN where no step has both.

    Args:
        image, step, own, mass: of each word, [words]; `own`: those whose mass is asked for.
    """
    both = np.intersect1d(step[own], step[~own])
    there = np.isin(step, both)
    if not there.any():
        return Difference(np.nan, np.nan, np.nan, 0, 0, 0)
    step, own, mass = np.searchsorted(both, step[there]), own[there], mass[there]
    names, image = np.unique(image[there], return_inverse=True)
    size = len(names) * len(both)
    place = image * len(both) + step
    n, s, m, r = (
        np.bincount(place[some], weights, size).reshape(len(names), len(both)).astype(np.float64)
        for some in (own, ~own)
        for weights in (np.ones(int(some.sum())), mass[some])
    )
    whole = [each.sum(axis=0, keepdims=True) for each in (n, s, m, r)]
    (mean,) = _weighted(*whole)
    images = int(min((each.sum(axis=1) > 0).sum() for each in (n, m)))
    numbers = int(n.sum()), int(m.sum()), images
    if images < FEW_IMAGES:
        return Difference(float(mean), np.nan, np.nan, *numbers)
    without = _weighted(*(total - each for total, each in zip(whole, (n, s, m, r), strict=True)))
    far = student_quantile(images - 1, (1 + level) / 2) * jackknife_error(without)
    return Difference(float(mean), float(mean - far), float(mean + far), *numbers)


def _weighted(n: Array, s: Array, m: Array, r: Array) -> Array:
    """Differences s / n - r / m over steps, weighted by n m / (n + m): [images, steps] each, as [images]."""
    with np.errstate(invalid="ignore", divide="ignore"):
        weight = np.where((n > 0) & (m > 0), n * m / (n + m), 0.0)
        apart = np.where(weight > 0, s / n - r / m, 0.0)
        found: Array = (weight * apart).sum(axis=1) / weight.sum(axis=1)
    return found
