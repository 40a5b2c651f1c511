"""The maps that the page holds, as bytes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analyze.maps.reading import has_map, sample_maps
from analyze.report.measures import Measured
from analyze.report.packing import Arrays
from analyze.report.samples.choice import chosen_heads, of_image
from analyze.tables.frames import Heads
from analyze.tables.values import observed_rows
from schemas.columns import MAPS

_STEPS, TINY = 255, np.finfo(np.float32).tiny  # steps of a map, of the square root from 0 to its largest value


@dataclass(frozen=True)
class Overlays:
    """The maps that are in the page.

    Attributes:
        of: whose attention they are of, `a` or `q`.
        cells: the heads, layer x heads + head.
        there: how many heads have maps in the run.
        grids: of each sample, by its row, `rows columns x0 y0 x1 y1` of its grid (of the image, 0 to 1) and where its
            maps begin.
    """

    of: str
    cells: list[int]
    there: int
    grids: dict[int, list[float]]


def add_maps(arrays: Arrays, heads: Heads, measured: Measured, order: Sequence[int], budget: float) -> Overlays | None:
    """Add the maps of some samples, for as many heads as fit; None where the run has no maps, or none fits.

    Args:
        order: rows of `measured.samples`, those first whose maps are needed most.
        budget: bytes of maps.
    """
    of, samples = heads.run.manifest.maps_of, measured.samples
    if MAPS not in heads.run.manifest.tables or of is None:
        return None
    sizes = (samples["grid_rows"] * samples["grid_columns"]).fillna(0).to_numpy(np.int64)
    fits = np.cumsum(sizes[list(order)]) <= budget  # with one head at least
    wanted = np.array(order, np.int64)[fits]
    if not sizes[wanted].any():
        return None
    there = np.flatnonzero(has_map(heads.run).ravel())
    cells = chosen_heads(of_image(measured.measures, of), there, int(budget // sizes[wanted].sum()))
    places = np.searchsorted(there, cells)
    found, grids, size = [], {}, 0
    rows = observed_rows(heads)
    for position, maps in sample_maps(heads, set(np.flatnonzero(np.isin(rows, wanted)).tolist())):
        own, row = maps[places], int(rows[position])
        grids[row] = [*_grid(samples.iloc[row]), size]
        shares = own / np.maximum(own.max(axis=1, keepdims=True), TINY)
        found.append(np.rint(np.sqrt(shares) * _STEPS).astype(np.uint8).ravel())
        size += own.size
    arrays.add("maps", np.concatenate(found))
    return Overlays(of, cells, len(there), grids)


def _grid(sample: pd.Series) -> list[Any]:
    """`rows columns x0 y0 x1 y1` of the grid of a sample, the rectangle in shares of the image."""
    sizes = (sample["image_width"], sample["image_height"])
    box = [float(end) / float(sizes[place % 2]) for place, end in enumerate(sample["grid_box"])]
    return [int(sample["grid_rows"]), int(sample["grid_columns"]), *(round(end, 5) for end in box)]
