"""Accuracy and yes-bias of some questions, with their 95% intervals. The unit is the image."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from analyze.statistics.bootstrap import Bootstrap, Interval
from analyze.statistics.intervals import share_interval

Images = npt.NDArray[np.bool_]


def accuracy_and_bias(samples: pd.DataFrame, bootstrap: Bootstrap, images: Images) -> dict[str, float]:
    """Of the questions on some images: how often the answer is right, and how much more often it is yes than yes is.

    Args:
        samples: rows of `observed_samples` whose `yes` is known, in the order of the bootstrap's clusters.
        images: bool [images], those that count.

    Returns:
        In per cent: `accuracy`, `low`, `high`, and `yes_bias`, `bias_low`, `bias_high`. Bounds are NaN where they
        cannot be told: for the bias, where images or failures are too few for a bootstrap.
    """
    clusters = bootstrap.clusters
    share = share_interval(bootstrap, clusters.sums(samples["right"].to_numpy().astype(float)), clusters.counts, images)
    excess = clusters.sums(
        (samples["says"] == "yes").to_numpy().astype(float) - samples["yes"].to_numpy().astype(float)
    )
    bias = bootstrap.mean(excess, clusters.counts, images)
    if share.why:
        bias = Interval(bias.estimate, None, None, share.why)
    return share.columns("accuracy", "low", "high", scale=100) | bias.columns(
        "yes_bias", "bias_low", "bias_high", scale=100
    )
