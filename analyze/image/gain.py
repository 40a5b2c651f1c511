"""What the image brings: gain in lead, accuracy and score, and what is answered without the image."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analyze.image.pairs import ImagePairs
from analyze.scores.accuracy import category_scores, total_scores
from analyze.scores.images import image_groups
from analyze.scores.intervals import score_intervals
from analyze.statistics.intervals import mean_of_images
from schemas.tasks import Task

_NAMES = {"a": "without", "a_low": "without_low", "a_high": "without_high"}
_NAMES |= {"b": "accuracy", "b_low": "low", "b_high": "high", "low": "difference_low", "high": "difference_high"}
SCORES = ("category", "score", "low", "high", "without", "without_low", "without_high")
SCORE_COLUMNS = [*SCORES, "difference", "difference_low", "difference_high", "note"]


@dataclass(frozen=True)
class Gain:
    """What the image brings. The unit of all intervals is the image; NaN stands where something cannot be told.

    Attributes:
        table: by category and, last, over all: `questions`, `images`; `gain` with `gain_low`, `gain_high`, the mean of
            the lead of the right answer with the image less that without, in logits; `accuracy` with
            the image and `without` it, in per cent, with `low`, `high`, and `without_low`, `without_high`; their paired
            `difference` with bounds and `note`; `frequent`, what always giving the more frequent right answer of the
            category would get; `unchanged`, the share of answers that are the same without the image; `yes` and
            `yes_without`, the shares of answers that are the first of two opposite options.
        scores: the score of the task, by category and of its totals, of both runs and their paired difference.
    """

    table: pd.DataFrame
    scores: pd.DataFrame
    images: str
    task: Task

    def verdict(self) -> list[str]:
        """The result in words, a line each."""
        *_, whole = self.table.to_dict("records")
        bounds = (
            ""
            if np.isnan(whole["gain_low"])
            else (f" (95% interval by image {whole['gain_low']:+.2f} to {whole['gain_high']:+.2f})")
        )
        lines = [f"gain of the image over {self.images}: {whole['gain']:+.2f} logits of lead{bounds}"]
        prior = f"always the more frequent answer of the category {whole['frequent']:.1f}%"
        lines.append(f"accuracy: {whole['accuracy']:.1f}% with the image, {whole['without']:.1f}% without it; {prior}")
        same = f"answers: {whole['unchanged']:.1f}% are the same without the image"
        if self.task.opposite:
            same += f"; {self.task.words[0]} {whole['yes']:.1f}% with it, {whole['yes_without']:.1f}% without"
        return [*lines, same]


def find_gain(pairs: ImagePairs) -> Gain:
    """What the image brings to the answers of a run."""
    clusters = pairs.clusters
    answers = pairs.answers()
    accuracy = answers[answers["measure"] == "accuracy"].rename(columns=_NAMES).set_index("category")
    rows = []
    effects = clusters.sums(pairs.table["effect"].to_numpy(np.float64))
    for name, images in image_groups(clusters):
        found = accuracy.loc[name]
        row: dict[str, object] = {"category": name, "questions": int(clusters.counts[images].sum())}
        some = clusters.only(images)
        row |= {"images": some.different()}
        gain = mean_of_images(some, effects[images])
        row |= gain.columns("gain", "gain_low", "gain_high")
        names = ("accuracy", "low", "high", "without", "without_low", "without_high")
        row |= {each: found[each] for each in (*names, "difference", "difference_low", "difference_high", "note")}
        rows.append(row | _habits(pairs.table.iloc[clusters.rows(images)], pairs.run.task))
    return Gain(pd.DataFrame(rows), _scores(pairs, answers), pairs.without.manifest.images, pairs.run.task)


def _habits(rows: pd.DataFrame, task: Task) -> dict[str, float]:
    """What is said with and without the image, in per cent of some questions."""
    frequent = float(rows.groupby("category")["expected"].value_counts().groupby("category").max().sum()) / len(rows)
    shares = {"frequent": frequent, "unchanged": (rows["says"] == rows["says_without"]).mean()}
    if task.opposite:
        shares |= {"yes": (rows["says"] == 0).mean(), "yes_without": (rows["says_without"] == 0).mean()}
    return {name: 100 * float(share) for name, share in shares.items()}


def _scores(pairs: ImagePairs, answers: pd.DataFrame) -> pd.DataFrame:
    """The score of both runs on the paired questions, by category and in total; empty if there is none."""
    found = answers[answers["measure"] == "score"].rename(columns=_NAMES | {"b": "score"}).set_index("category")
    for side, low, high, heads in (
        ("a", "without_low", "without_high", pairs.without),
        ("b", "low", "high", pairs.run),
    ):
        kept = heads.samples.iloc[pairs.pairs.table["b" if side == "a" else "a"]].reset_index(drop=True)
        scores = category_scores(kept, heads.task)
        scores = pd.concat([scores, total_scores(scores, kept, heads.task)])
        own = score_intervals(scores, kept, heads.task, drawn=pairs.bootstrap).set_index("category")
        found[[low, high]] = own[["low", "high"]].reindex(found.index)
    return found.reset_index().reindex(columns=SCORE_COLUMNS)
