"""How compact the maps of each head are: what `maps` ranks heads by, from some of the samples."""

import numpy as np

from analyze.maps.measures import measure_maps
from analyze.maps.reading import has_picture
from analyze.statistics.clusters import Array
from analyze.tables.frames import Heads
from schemas.columns import MAPS

MOST_SAMPLES = 200  # whose maps are read; of 32 x 32 heads they take about as long as all else on the page
_SEED = 0


def spatial_entropies(heads: Heads) -> tuple[Array, int] | None:
    """The mean spatial entropy of each head's maps, [cells], NaN without a map; and over how many samples.

    Returns:
        None where the run has no maps.

    Raises:
        HeadflowError: a map cannot be read, or does not fit its grid.
    """
    if MAPS not in heads.run.manifest.tables:
        return None
    there = np.flatnonzero(has_picture(heads))
    chosen = np.random.default_rng(_SEED).permutation(there)[:MOST_SAMPLES]
    if not len(chosen):
        return None
    wanted = np.isin(np.arange(len(heads.samples)), chosen)
    found = measure_maps(heads, wanted)
    known = np.isfinite(found.spatial)
    means = np.full(found.kept.size, np.nan)
    with np.errstate(invalid="ignore"):
        means[found.kept.ravel()] = np.where(known, found.spatial, 0).sum(axis=0, dtype=float) / known.sum(axis=0)
    return means, len(chosen)
