"""Which heads respond to what the image shows: the content scores of all pairs of samples, by head."""

import numpy as np
import pandas as pd

from analyze.image.pairs import ImagePairs
from analyze.maps.content import content_scores
from analyze.statistics.clusters import Clusters
from analyze.statistics.intervals import skewed_mean_intervals
from schemas.columns import MAPS


def content_by_head(pairs: ImagePairs) -> pd.DataFrame | None:
    """The mean content score of each head, see `analyze.maps.content`; None if one of the runs has no maps.

    Returns:
        `layer head content low high samples`, the highest first: the mean, its 95% interval with the image as its unit
        (NaN for one image), and how many samples have a score, that is, both maps on one grid.

    Raises:
        HeadflowError: as `content_scores`.
    """
    if any(MAPS not in heads.run.manifest.tables for heads in (pairs.run, pairs.without)):
        return None
    rows = pairs.pairs.table
    scores, heads = content_scores(pairs.run, pairs.without, rows)
    clusters = Clusters.by_name(rows["image"], rows["category"])
    sums, counts = clusters.known_sums(scores)
    low, high = skewed_mean_intervals(sums, counts, clusters.category)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = sums.sum(axis=0) / counts.sum(axis=0)
    layer, head = np.nonzero(heads)
    columns = {"layer": layer, "head": head, "content": mean, "low": low.clip(0, 1), "high": high.clip(0, 1)}
    table = pd.DataFrame(columns | {"samples": np.isfinite(scores).sum(axis=0)})
    return table.sort_values(["content", "layer", "head"], ascending=[False, True, True], ignore_index=True)
