"""The maps that the page holds, in the encoding of `maps`: attention over an even map, logarithmic.

A map is a byte a patch: 0 where a patch has no more than an even map would, else steps of the logarithm up to 255 for
the `top` of its sample, the first of `TOPS` that none of its maps exceeds. The page draws all maps on one scale, whose
end is the highest `top`, with the colours of `analyze.drawing.maps`.

In the page (types: `app/src/data.ts`): `maps` says whose attention they show, which heads have some and the end of the
scale; the array `colours` is uint8 [256, RGBA]. The piece `evidence` has `images` (JPEG in base64), `cells` (the heads
whose maps it has), and `samples`, by row: the grid, where its maps begin in the array `maps`, [cells, patches], and the
mass of each in the array `masses`, [cells].
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from analyze.drawing.maps import PALE, attention_colours, end_of_scale
from analyze.maps.grids import PatchGrid, read_boxes, read_grid
from analyze.maps.measures import check_size
from analyze.maps.reading import Maps, chosen_maps, has_map
from analyze.report.measures import Measured
from analyze.report.packing import Arrays, Piece
from analyze.report.samples.choice import chosen_heads, of_image
from analyze.statistics.clusters import Array
from analyze.tables.frames import Heads
from analyze.tables.values import observed_rows
from schemas.columns import MAPS

STEPS = 255
EVIDENCE = "evidence"


def colours() -> npt.NDArray[np.uint8]:
    """The colours of the steps of a map, uint8 [256, 4]: red, green, blue and opacity."""
    return np.rint(255 * attention_colours()(np.arange(STEPS + 1))).astype(np.uint8)


def relative(maps: Maps) -> Array:
    """Maps over an even map, float64 [heads, patches]; 0 where there is no attention."""
    means = maps.mean(axis=1, keepdims=True, dtype=np.float64)
    return maps / np.where(means > 0, means, 1)


def steps_of(values: Array, top: float) -> npt.NDArray[np.uint8]:
    """Values over an even map as steps of their logarithm, from 1 to `top`."""
    return np.rint(STEPS * np.log(np.clip(values, 1, top)) / np.log(top)).astype(np.uint8)


@dataclass(frozen=True)
class ChosenMaps:
    """Which maps are taken of a run.

    Attributes:
        of: whose attention they are of, `a` or `q`.
        rows: of `observed_samples`.
        cells: the heads, layer x heads + head, in order.
        there: how many heads have maps in the run.
    """

    of: str
    rows: npt.NDArray[np.int64]
    cells: list[int]
    there: int


def choose_maps(heads: Heads, measured: Measured, order: Sequence[int], budget: float) -> ChosenMaps | None:
    """The maps of some samples, of as many heads as fit; None where the run has no maps, or none fits.

    Args:
        order: rows of `measured.samples`, those first whose maps are needed most.
        budget: bytes of maps.
    """
    of = heads.run.manifest.maps_of
    if MAPS not in heads.run.manifest.tables or of is None:
        return None
    sizes = (measured.samples["grid_rows"] * measured.samples["grid_columns"]).fillna(0).to_numpy(np.int64)
    rows = np.array(order, np.int64)
    rows = rows[(sizes[rows] > 0) & (np.cumsum(sizes[rows]) <= budget)]
    if not len(rows):
        return None
    there = np.flatnonzero(has_map(heads.run).ravel())
    cells = chosen_heads(of_image(measured.measures, of), there, int(budget // sizes[rows].sum()))
    return ChosenMaps(of, rows, cells, len(there))


def evidence(
    heads: Heads,
    chosen: ChosenMaps | None,
    images: Sequence[bytes],
    name: str = EVIDENCE,
    named: Mapping[int, int] | None = None,
) -> Piece:
    """The piece with some images and maps.

    Args:
        named: by the row of a sample its row in the page; None: the same.
    """
    arrays = Arrays()
    cells: list[int] = [] if chosen is None else chosen.cells
    samples = {} if chosen is None else _add_maps(arrays, heads, chosen, named)
    letters = [base64.b64encode(content).decode("ascii") for content in images]
    return Piece(name, {"images": letters, "cells": cells, "samples": samples}, arrays)


def _add_maps(
    arrays: Arrays, heads: Heads, chosen: ChosenMaps, named: Mapping[int, int] | None
) -> dict[int, dict[str, Any]]:
    """Add the maps and their masses; returns what is said of each sample, by its row."""
    own = observed_rows(heads)
    found: dict[int, dict[str, Any]] = {}
    steps: list[npt.NDArray[np.uint8]] = []
    masses: list[Maps] = []
    size = 0
    marked = np.zeros(heads.shape, np.bool_)
    marked.ravel()[chosen.cells] = True
    for position, maps, mass in chosen_maps(heads, np.isin(own, chosen.rows), marked):
        sample = heads.samples.iloc[position]
        grid, values = read_grid(sample), relative(maps)
        check_size(heads, position, maps, grid)
        top = end_of_scale(float(values.max(initial=0)))
        row = int(own[position])
        found[row if named is None else named[row]] = {
            **_of_grid(grid), "boxes": [_shares(grid, box) for box in read_boxes(sample)], "top": top, "maps": size,
            "masses": len(masses) * len(chosen.cells),
        }  # fmt: skip
        steps.append(steps_of(values, top).ravel())
        masses.append(mass)
        size += values.size
    arrays.add("maps", np.concatenate(steps))
    arrays.add("masses", np.concatenate(masses))
    return found


def _of_grid(grid: PatchGrid) -> dict[str, Any]:
    size = [grid.width, grid.height]
    return {"rows": grid.rows, "columns": grid.columns, "box": _shares(grid, grid.box), "size": size}


def _shares(grid: PatchGrid, box: Sequence[float]) -> list[float]:
    """A rectangle in shares of the image."""
    return [round(end / (grid.width, grid.height)[place % 2], 5) for place, end in enumerate(box)]


def of_all(chosen: ChosenMaps, pieces: Sequence[Piece]) -> dict[str, Any]:
    """What the page says of all its maps: whose attention, the heads, the end of the scale, and how pale images are."""
    top = max(sample["top"] for piece in pieces for sample in piece.data.get("samples", {}).values())
    return {"of": chosen.of, "cells": chosen.cells, "there": chosen.there, "top": top, "pale": PALE}
