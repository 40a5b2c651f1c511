"""Whether a model is right as often as its probabilities say: reliability curve, ECE, Brier score."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from analyze.statistics.clusters import Array

_BINS = 10


@dataclass(frozen=True)
class Calibration:
    """How probabilities of the first option compare with how often it is right.

    Attributes:
        curve: a row for each bin of probability: `low`, `high`, `samples`, `probability` (mean), `share` (of samples
            whose right answer it is); bins without a sample are left out.
        ece: expected calibration error, the mean over samples of |probability - share| in their bin (Naeini et al.,
            2015); it is biased upward in small samples.
        brier: mean squared difference of probability and outcome (Brier, 1950).
    """

    curve: pd.DataFrame
    ece: float
    brier: float


def calibrate(probability: Array, right: npt.NDArray[np.bool_], bins: int = _BINS) -> Calibration:
    """Compare the probability of the first option with the right answers, in bins of equal width.

    Args:
        probability: [samples], 0 to 1, of the first option among both.
        right: [samples], whether it is right.

    Raises:
        ValueError: there is no sample.
    """
    if not len(probability):
        raise ValueError("calibration needs a sample")
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.searchsorted(edges, probability, side="right") - 1, 0, bins - 1)
    samples = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean, share = (
            np.bincount(place, weights=each.astype(np.float64), minlength=bins) / samples
            for each in (probability, right)
        )
    off = np.abs(mean - share)[samples > 0]
    ece = float((off * samples[samples > 0]).sum() / len(probability))
    columns = {"low": edges[:-1], "high": edges[1:], "samples": samples, "probability": mean, "share": share}
    curve = pd.DataFrame(columns)
    return Calibration(
        curve[curve["samples"] > 0].reset_index(drop=True), ece, float(((probability - right) ** 2).mean())
    )
