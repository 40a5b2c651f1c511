"""The 95% interval of the MME score, by category and of its totals. The unit is the image.

Of a category, by the bootstrap; where that is too short, below 20 images and where nearly all or nearly no pairs are
right, by the sum of Wilson's bounds of both accuracies, which is rather too long. Categories have different images, so
the interval of a total follows from theirs: MOVER, the method of variance estimates recovery (Zou and Donner, 2008).
"""

import numpy as np
import pandas as pd

from analyze.scores.mme import scored_questions, total_name
from analyze.statistics.bootstrap import RESAMPLES, SEED, Bootstrap
from analyze.statistics.clusters import Array, Clusters
from analyze.statistics.intervals import FEW_IMAGES, FEWEST_IMAGES, wilson
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
    terms = [
        (clusters.sums(paired["right"].to_numpy().astype(float)), clusters.counts),
        (clusters.sums((both & first).astype(float)), clusters.sums(first.astype(float))),
    ]
    found = {
        name: _interval(bootstrap, terms, clusters.category == number)
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


def _interval(bootstrap: Bootstrap, terms: list[tuple[Array, Array]], images: np.ndarray) -> tuple[float, float]:
    """The interval of the sum of two shares over some images, in per cent: of questions and of pairs."""
    (right, questions), (both, pairs) = terms
    number, whole = int(images.sum()), int((both[images] == pairs[images]).sum())
    if number >= FEW_IMAGES and FEWEST_IMAGES <= whole <= number - FEWEST_IMAGES:
        draws = bootstrap.ratios(right, questions, images) + bootstrap.ratios(both, pairs, images)
        low, high = bootstrap.bounds(100 * draws[:, None], images)
        return float(low[0]), float(high[0])
    shares = [float(above[images].sum() / below[images].sum()) for above, below in terms]
    bounds = [wilson(share, number) for share in shares]
    return 100 * sum(low for low, _ in bounds), 100 * sum(high for _, high in bounds)
