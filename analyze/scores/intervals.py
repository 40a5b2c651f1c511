"""The 95% interval of the MME score, by category and of its totals. The unit is the image.

Of a category, the score is a share of the points that it can have: see `share_intervals`. Categories have different
images, so the interval of a total follows from theirs: MOVER, the method of variance estimates recovery (Zou and
Donner, 2008).
"""

import numpy as np
import numpy.typing as npt
import pandas as pd

from analyze.scores.accuracy import scored_questions, total_name
from analyze.statistics.bootstrap import RESAMPLES, SEED, Bootstrap
from analyze.statistics.clusters import Array, Clusters
from analyze.statistics.intervals import share_interval
from schemas.tasks import MME, Task


def score_intervals(
    scores: pd.DataFrame, samples: pd.DataFrame, task: Task = MME, *, seed: int = SEED, resamples: int = RESAMPLES
) -> pd.DataFrame:
    """The scores with `low` and `high`, NaN where there is no score; arguments as for `mme_scores`.

    Args:
        scores: of `mme_scores`, with or without the rows of `total_scores`.
        samples: the table `samples` that they are of.
    """
    table = scored_questions(samples, task)
    paired = table[table["paired"]]
    if paired.empty:
        return scores.assign(low=np.nan, high=np.nan)
    clusters = Clusters.by_name(paired["image"], paired["category"])
    bootstrap = Bootstrap(clusters, resamples, seed)
    first = ~paired.duplicated(["category", "pair"]).to_numpy()
    both = paired.groupby(["category", "pair"])["right"].transform("all").to_numpy()
    shares = [
        (clusters.sums(paired["right"].to_numpy().astype(float)), clusters.counts),
        (clusters.sums((both & first).astype(float)), clusters.sums(first.astype(float))),
    ]
    found = {
        name: _interval(bootstrap, shares, clusters.category == number, task.most)
        for number, name in enumerate(clusters.categories)
    }
    for total, names in task.totals.items():
        known = scores[scores["category"].isin([name for name in names if name in found])].set_index("category")[
            "score"
        ]
        off = np.array([[known[name] - found[name][0], found[name][1] - known[name]] for name in known.index])
        if len(off):
            below, above = np.sqrt((off**2).sum(axis=0))
            found[total_name(total, found)] = float(known.sum() - below), float(known.sum() + above)
    bounds = [found.get(str(name), (np.nan, np.nan)) for name in scores["category"]]
    return scores.assign(low=[low for low, _ in bounds], high=[high for _, high in bounds])


def _interval(
    bootstrap: Bootstrap, shares: list[tuple[Array, Array]], images: npt.NDArray[np.bool_], most: float
) -> tuple[float, float]:
    """The interval of the score on some images, whose parts are two shares, of questions and of pairs."""
    questions = shares[0][1][images].sum()
    points, asked = (
        sum(each * questions / whole[images].sum() / 2 for each, (_, whole) in zip(part, shares, strict=True))
        for part in zip(*shares, strict=True)
    )
    found = share_interval(bootstrap, points, asked, images)
    if found.low is None or found.high is None:
        return 0.0, most  # one image tells nothing
    return most * found.low, most * found.high
