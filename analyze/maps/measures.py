"""Numbers of each map, and the mean map of each head, from one reading of the maps, part by part.

Spatial entropy is that of Kang et al. (LocalizationHeads, CVPR 2025, arXiv:2503.06287): patches with more than the mean
attention, 1/N of the map, make components (8 neighbours); a component's share is its part of all attention above the
mean; the entropy of these shares, in nats, is 0 for a single spot and large where spots are many and alike. This is the
paper's definition, which means the same on every grid and for heads that look little. The authors' code counts a patch
from 0.001 of attention above the mean on, which changes the order of heads: see `above` of `spatial_entropy`.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.special import entr

from analyze.maps.grids import PatchGrid, common_shape, read_boxes, read_grid
from analyze.maps.reading import Maps, chosen_maps, has_map
from analyze.statistics.clusters import Array
from analyze.tables.frames import Heads
from analyze.tables.values import Values
from schemas.errors import HeadflowError

EVEN = 1e-5  # of the mean: a map in float32 is even if no patch has more
LEAST_SHARE = 0.01  # of an even map: less counts as this in logarithms
NEIGHBOURS = np.stack([np.zeros((3, 3)), np.ones((3, 3)), np.zeros((3, 3))])  # within a map, all eight


@dataclass(frozen=True)
class MeanMaps:
    """Means of maps over samples, on a common grid of the whole image; see `lay`.

    Attributes:
        shares: sums over samples of maps as shares, [heads, rows, columns].
        seen: sums of the shares that even maps would have, [heads, rows, columns].
        samples: how many have a map that is not all 0, [heads].
    """

    shares: Array
    seen: Array
    samples: Array

    def relative(self, head: int) -> Array:
        """The mean map of a head relative to an even one, [rows, columns]; NaN where no image has a patch."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.shares[head] / self.seen[head]

    def debiased(self, head: int, maps: Maps, grid: PatchGrid) -> Array:
        """`ln(p / p_head)` of a sample's map and the head's mean, [rows, columns].

        Both are relative to an even map, so that what an image has been cropped or padded by does not count. Less than
        `LEAST_SHARE` of an even map counts as that, in both. NaN where there is no patch, or the map is all 0.
        """
        shares, seen = lay(maps[None], grid, self.seen.shape[1:])
        with np.errstate(invalid="ignore", divide="ignore"):
            own, mean = np.maximum(shares[0] / seen, LEAST_SHARE), np.maximum(self.relative(head), LEAST_SHARE)
            return np.where(seen > 0, np.log(own / mean), np.nan)


@dataclass(frozen=True)
class Measures:
    """Numbers of each map; all arrays are [samples, heads that have a map], samples in the order of `samples`.

    Attributes:
        rows: positions of the samples in `samples`.
        kept: which heads have a map, bool [layers, heads].
        layers: those of `kept`, in order, int64.
        spatial: spatial entropy; NaN where no patch has more than another.
        hits: whether the centre of the patch with the most attention is in a box; of several such patches, the share of
            them; 0 where a map is all 0; NaN without boxes.
        inside: share of the map in the boxes; NaN without, or where it is all 0.
        area: [samples], share of the patches' area in the boxes; NaN without boxes.
        centre, chance: [samples], whether the image's centre is in a box, and the share of patches whose centres are.
        means: the mean map of each head.
    """

    rows: npt.NDArray[np.int64]
    kept: npt.NDArray[np.bool_]
    layers: npt.NDArray[np.int64]
    spatial: Values
    hits: Values
    inside: Values
    area: Array
    centre: Array
    chance: Array
    means: MeanMaps

    @property
    def columns(self) -> dict[str, npt.NDArray[np.int64]]:
        """`layer` and `head` of all heads, layer by layer."""
        layer, head = np.meshgrid(self.layers, np.arange(self.kept.shape[1]), indexing="ij")
        return {"layer": layer.ravel(), "head": head.ravel()}

    def place(self, head: tuple[int, int]) -> tuple[int, int]:
        """Where a head, by layer and number, stands in arrays [layers, heads]."""
        return int(np.searchsorted(self.layers, head[0])), head[1]


def measure_maps(heads: Heads, wanted: npt.NDArray[np.bool_], above: float = 0) -> Measures:
    """The numbers of all maps of some samples. Memory is 12 bytes for each map, and does not hold the maps.

    Args:
        wanted: bool [samples], those that count; they were observed.
        above: see `spatial_entropy`.

    Raises:
        HeadflowError: a map cannot be read, or does not fit its grid.
    """
    rows, kept = np.flatnonzero(wanted), has_map(heads.run)
    number = int(kept.sum())
    grids = {int(row): read_grid(heads.samples.iloc[row]) for row in rows}
    shape = common_shape(heads.samples.iloc[rows])
    spatial, hits, inside = (np.full((len(rows), number), np.nan, np.float32) for _ in range(3))
    area, centre, chance = (np.full(len(rows), np.nan) for _ in range(3))
    means = MeanMaps(np.zeros((number, *shape)), np.zeros((number, *shape)), np.zeros(number))
    for place, (row, maps, _) in enumerate(chosen_maps(heads, wanted, kept)):
        grid, sample = grids[row], heads.samples.iloc[row]
        check_size(heads, row, maps, grid)
        spatial[place] = spatial_entropy(maps, grid, above)
        _add(means, maps, grid)
        if boxes := read_boxes(sample):
            centred, covered = grid.centred_in(boxes), grid.covered_by(boxes)
            hits[place], inside[place] = pointing_hits(maps, centred), share_inside(maps, covered)
            area[place], chance[place] = covered.mean(), centred.mean()
            x, y = grid.width / 2, grid.height / 2
            centre[place] = any(x0 <= x <= x1 and y0 <= y <= y1 for x0, y0, x1, y1 in boxes)
    return Measures(rows, kept, heads.attending, spatial, hits, inside, area, centre, chance, means)


def check_size(heads: Heads, row: int, maps: Maps, grid: PatchGrid) -> None:
    """Raise `HeadflowError` if the maps of a sample have another size than its grid."""
    if maps.shape[1] != grid.patches:
        raise HeadflowError(
            f"{heads.run.path}: maps of {heads.samples['sample_id'].iloc[row]} have {maps.shape[1]} patches, and its "
            f"grid {grid.rows} x {grid.columns}; run validate"
        )


def spatial_entropy(maps: Maps, grid: PatchGrid, above: float = 0) -> Array:
    """The spatial entropy of maps [heads, patches], in nats, [heads]; NaN where no patch counts, or of an even map.

    Args:
        above: the attention above a map's mean from which on a patch counts.
    """
    means = maps.mean(axis=1, dtype=np.float64, keepdims=True)
    excess = maps - means
    counts = (excess > above) & (excess.max(axis=1, keepdims=True) > EVEN * means)
    components, number = ndimage.label(counts.reshape(len(maps), grid.rows, grid.columns), NEIGHBOURS)
    labels, excess, head_of = components.reshape(len(maps), -1)[counts], excess[counts], np.nonzero(counts)[0]
    weights = np.bincount(labels, excess, number + 1)[1:]
    head = np.empty(number + 1, np.int64)
    head[labels] = head_of
    totals = np.bincount(head_of, excess, len(maps))
    with np.errstate(invalid="ignore"):
        found = np.bincount(head[1:], entr(weights / totals[head[1:]]), len(maps))
    return np.where(totals > 0, found, np.nan)


def pointing_hits(maps: Maps, centred: npt.NDArray[np.bool_]) -> Array:
    """Of the patches with the most attention, the share that is `centred`, [heads]; 0 where a map is all 0."""
    most = maps.max(axis=1, keepdims=True)
    largest = maps == most
    share = (largest & centred).sum(axis=1) / largest.sum(axis=1)
    return np.where(most[:, 0] > 0, share, 0.0)


def share_inside(maps: Maps, covered: Array) -> Array:
    """The share of each map that lies in boxes, which cover so much of each patch, [heads]; NaN if it is all 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        share: Array = (maps.astype(np.float64) @ covered) / maps.sum(axis=1, dtype=np.float64)
    return share


def lay(maps: Maps, grid: PatchGrid, shape: tuple[int, ...]) -> tuple[Array, Array]:
    """Maps as shares on a common grid of the whole image, and the shares that an even map has there.

    Grids differ by image, so places are compared as fractions of the image's width and height. The attention on a patch
    is spread evenly over it, and divided among the common cells by area; what lies on padding is left out, and the rest
    adds up to 1.

    Returns:
        [heads, rows, columns], NaN where a map has nothing in the image; and [rows, columns].
    """
    down, across = grid.to_common((shape[0], shape[1]))
    laid = down @ maps.reshape(len(maps), grid.rows, grid.columns) @ across.T
    even = down.sum(axis=1)[:, None] * across.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return laid / laid.sum(axis=(1, 2), keepdims=True), even / even.sum()


def _add(means: MeanMaps, maps: Maps, grid: PatchGrid) -> None:
    shares, even = lay(maps, grid, means.seen.shape[1:])
    known = np.isfinite(shares[:, 0, 0])
    for head in np.flatnonzero(known):
        means.shares[head] += shares[head]
        means.seen[head] += even
    means.samples[known] += 1
