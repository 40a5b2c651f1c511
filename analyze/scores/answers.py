"""Accuracy of some questions, and the bias of their answers, with their 95% intervals; the unit is in `Clusters`."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from analyze.statistics.bootstrap import Bootstrap, Interval
from analyze.statistics.clusters import Array, Clusters, Codes
from analyze.statistics.intervals import FEW_IMAGES, FEWEST_IMAGES, share_interval
from analyze.statistics.multiplicity import sign_flip_maximum
from schemas.text import counted

NO_LEAN = "no image leans either way"


class AnswerSums(NamedTuple):
    """The answers to the questions on each image, all [images].

    Attributes:
        right: how many are right.
        excess: by how many the answers of the first option exceed those that should be.
        given: how many are an option; one that is none says nothing of a bias, and is not in `excess`.
    """

    right: Array
    excess: Array
    given: Array

    @classmethod
    def of(cls, samples: pd.DataFrame, clusters: Clusters) -> "AnswerSums":
        """From rows of `answered`, in the order of the clusters."""
        given = samples["says"].notna().to_numpy()
        excess = (samples["says"] == 0).to_numpy().astype(float) - (samples["expected"] == 0).to_numpy().astype(float)
        each = samples["right"].to_numpy().astype(float), np.where(given, excess, 0.0), given.astype(float)
        return cls(*map(clusters.sums, each))

    def only(self, images: Codes) -> "AnswerSums":
        """Those of some images, by their numbers."""
        return AnswerSums(*(each[images] for each in self))


def accuracy_of(answers: AnswerSums, bootstrap: Bootstrap) -> dict[str, float]:
    """How often the answer to a question is right, in per cent: `accuracy`, `low`, `high`."""
    share = share_interval(bootstrap, answers.right, bootstrap.clusters.counts)
    return share.columns("accuracy", "low", "high", scale=100)


def bias_of(answers: AnswerSums, bootstrap: Bootstrap) -> dict[str, Any]:
    """How much too often the answer to a question is the first option.

    Returns:
        In per cent: `yes_bias`, `bias_low`, `bias_high`, of the answers that are an option; NaN where it cannot be
        told. `bias_p`, of sign flips of images, not corrected for other groups of images, and `bias_note`: why there is
        neither an interval nor a p value.
    """
    bias, p = _bias(bootstrap, answers.excess, answers.given)
    return bias.columns("yes_bias", "bias_low", "bias_high", scale=100) | {"bias_p": p, "bias_note": bias.why}


def _bias(bootstrap: Bootstrap, excess: Array, given: Array) -> tuple[Interval, float]:
    estimate = float(excess.sum() / given.sum()) if given.any() else np.nan
    leans, there = (bootstrap.clusters.joined(each) for each in (excess, given))
    leans = leans[there > 0]
    if why := cannot_tell_bias(leans, bootstrap.clusters):
        return Interval(estimate, None, None, why), np.nan
    p = float(sign_flip_maximum(leans[:, None], seed=bootstrap.seed).p[0])
    return bootstrap.mean(excess, given), p


def cannot_tell_bias(excess: Array, clusters: Clusters) -> str:
    """Why a bias cannot be told from images; empty if it can.

    Args:
        excess: [images], by how many the answers of the first option on an image exceed those that should be.
        clusters: what the unit is.
    """
    one, several = clusters.units
    number, lean = len(excess), int(np.count_nonzero(excess))
    if number < FEW_IMAGES:
        return f"cannot tell: {counted(number, one, several)} with an answer that is an option, fewer than {FEW_IMAGES}"
    if not lean:
        return NO_LEAN
    leans = counted(lean, f"{one} leans", f"{several} lean")
    return f"cannot tell: {leans} either way, fewer than {FEWEST_IMAGES}" if lean < FEWEST_IMAGES else ""
