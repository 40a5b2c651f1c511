"""Which heads respond to what an image shows: their maps of one question on two images, compared.

The content score of a head is the Jensen-Shannon divergence of the two maps as shares, over ln 2: 0 where they are the
same, 1 where they do not overlap. A head that looks at the same places whatever the image shows, such as at visual
sinks, has a score near 0.
"""

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import rel_entr

from analyze.image.pairs import ImagePairs
from analyze.maps.reading import Maps, has_map, sample_maps, wording_maps
from analyze.statistics.intervals import skewed_mean_intervals
from analyze.tables.frames import Heads
from analyze.tables.values import head_columns_of
from schemas.columns import MAPS
from schemas.errors import HeadflowError

Scores = npt.NDArray[np.float64]


def content_scores(a: Heads, b: Heads, pairs: pd.DataFrame) -> tuple[Scores, npt.NDArray[np.bool_]]:
    """The content scores of each pair of samples.

    Args:
        a, b: runs with maps; `a` has the images, `b` other ones.
        pairs: `a` and `b`, positions in `samples` of each run, in the order of `a`.

    Returns:
        float64 [pairs, heads that have a map in both], NaN where the grids differ or a map is all 0; and which heads
        these are, bool [layers, heads].

    Raises:
        HeadflowError: a run has no maps, they are of other queries, or no head has one in both; or as `part_maps`.
    """
    for heads in (a, b):
        if MAPS not in heads.run.manifest.tables:
            raise HeadflowError(f"{heads.run.path} has no maps")
    if a.run.manifest.maps_of != b.run.manifest.maps_of:
        raise HeadflowError(f"the maps of {a.run.path} and of {b.run.path} are of other queries")
    if a.run.manifest.attending != b.run.manifest.attending:
        raise HeadflowError(f"in {a.run.path} and in {b.run.path} other layers attend")
    kept = [has_map(heads.run) for heads in (a, b)]
    both = kept[0] & kept[1]
    if not both.any():
        raise HeadflowError(f"no head has a map in both {a.run.path} and {b.run.path}")
    scores = np.full((len(pairs), int(both.sum())), np.nan)
    grids = [heads.samples[["grid_rows", "grid_columns"]].to_numpy() for heads in (a, b)]
    same = (grids[0][pairs["a"]] == grids[1][pairs["b"]]).all(axis=1)
    wanted = [both[each] for each in kept]
    partners, rows = _Partners(b), {int(pairs["a"].iloc[row]): row for row in np.flatnonzero(same)}
    for position, own in sample_maps(a, rows.keys()):
        row = rows[position]
        other = partners.maps(int(pairs["b"].iloc[row]))
        scores[row] = divergence(own[wanted[0]], other[wanted[1]])
    return scores, both


def divergence(one: Maps, other: Maps) -> Scores:
    """The Jensen-Shannon divergence of maps [heads, patches] as shares, over ln 2, [heads]; NaN where one is all 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = [each / each.sum(axis=1, keepdims=True, dtype=np.float64) for each in (one, other)]
    middle = (shares[0] + shares[1]) / 2
    halves = [rel_entr(each, middle).sum(axis=1) for each in shares]
    score: Scores = (halves[0] + halves[1]) / (2 * np.log(2))
    return score


class _Partners:
    """The maps of samples by position, where neighbours are asked for one after the other."""

    def __init__(self, heads: Heads) -> None:
        self._heads = heads
        self._ends = [last for _, last in heads.parts]
        self._number, self._maps = -1, dict[int, Maps]()

    def maps(self, position: int) -> Maps:
        number = int(np.searchsorted(self._ends, position, side="right"))
        if number != self._number:
            positions, maps = wording_maps(self._heads, number)
            self._number, self._maps = number, dict(zip(positions, maps, strict=True))
        return self._maps[position]


def content_by_head(pairs: ImagePairs) -> pd.DataFrame | None:
    """The mean content score of each head, see `analyze.image.content`; None if one of the runs has no maps.

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
    clusters = pairs.pairs.clusters(pairs.run.samples).once()
    sums, counts = clusters.known_sums(scores)
    low, high = skewed_mean_intervals(sums, counts, clusters.category)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = sums.sum(axis=0) / counts.sum(axis=0)
    places = head_columns_of(pairs.run.run.manifest, heads)
    columns = {**places, "content": mean, "low": low.clip(0, 1), "high": high.clip(0, 1)}
    table = pd.DataFrame(columns | {"samples": np.isfinite(scores).sum(axis=0)})
    return table.sort_values(["content", "layer", "head"], ascending=[False, True, True], ignore_index=True)
