"""How compact the maps of each head are: what `maps` ranks heads by, from some of the samples."""

import numpy as np

from analyze.maps.measures import measure_maps
from analyze.maps.reading import has_map, has_picture
from analyze.report.samples.maps import Unread
from analyze.statistics.clusters import Array
from analyze.tables.frames import Heads
from schemas.columns import MAPS
from schemas.errors import HeadflowError

MOST_SAMPLES = 200  # whose maps are read; of 32 x 32 heads they take about as long as all else on the page
_SEED = 0


def spatial_entropies(heads: Heads, unread: Unread) -> tuple[Array, int] | None:
    """The mean spatial entropy of each head's maps, [cells], NaN without a map; and over how many samples.

    Args:
        unread: is told of parts whose maps cannot be read, or do not fit their grid.

    Returns:
        None where the run has no maps that can be read.
    """
    if MAPS not in heads.run.manifest.tables:
        return None
    there = np.flatnonzero(has_picture(heads))
    chosen = np.random.default_rng(_SEED).permutation(there)[:MOST_SAMPLES]
    if not len(chosen):
        return None
    kept = has_map(heads.run).ravel()
    sums, counts = np.zeros((2, int(kept.sum())))
    samples, places = 0, np.arange(len(heads.samples))
    for part, (first, last) in zip(heads.run.parts, heads.parts, strict=True):
        wanted = np.isin(places, chosen) & (places >= first) & (places < last)
        if not wanted.any():
            continue
        try:
            found = measure_maps(heads, wanted).spatial
        except HeadflowError as error:
            unread.add(MAPS, part.name, 0, error)
            continue
        known = np.isfinite(found)
        sums += np.where(known, found, 0).sum(axis=0, dtype=float)
        counts += known.sum(axis=0)
        samples += len(found)
    means = np.full(kept.size, np.nan)
    with np.errstate(invalid="ignore"):
        means[kept] = sums / counts
    return (means, samples) if samples else None
