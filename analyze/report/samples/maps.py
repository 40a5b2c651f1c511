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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from analyze.drawing.maps import PALE, attention_colours, end_of_scale
from analyze.maps.grids import PatchGrid, read_boxes, read_grid
from analyze.maps.measures import check_size
from analyze.maps.reading import Maps, chosen_maps, has_map
from analyze.report.measures import Measured
from analyze.report.packing import Arrays, Piece
from analyze.report.samples.choice import chosen_heads, of_image
from analyze.tables.frames import Heads
from analyze.tables.values import observed_rows
from schemas.columns import MAPS, PLACES
from schemas.errors import HeadflowError
from schemas.store.ledger import Part

_LAST = 255  # step
EVIDENCE = "evidence"
_GRID = ("sample_id", *(column.name for column in PLACES), "boxes")  # what is read of a sample


def colours() -> npt.NDArray[np.uint8]:
    """The colours of the steps of a map, uint8 [256, 4]: red, green, blue and opacity."""
    return np.rint(255 * attention_colours()(np.arange(_LAST + 1))).astype(np.uint8)


def in_steps(sample: "pd.Series | Mapping[str, Any]", maps: Maps) -> tuple[dict[str, Any], npt.NDArray[np.uint8]]:
    """Maps of a sample, [maps, patches], in the encoding above; and what the page says of them, with their `top`.

    Args:
        sample: a row of `samples`.
    """
    grid, means = read_grid(sample), maps.mean(axis=1, keepdims=True, dtype=np.float64)
    values = maps / np.where(means > 0, means, 1)  # over an even map; 0 where there is no attention
    top = end_of_scale(float(values.max(initial=0)))
    steps = np.rint(_LAST * np.log(np.clip(values, 1, top)) / np.log(top)).astype(np.uint8)
    said = {
        "rows": grid.rows, "columns": grid.columns, "box": _shares(grid, grid.box), "size": [grid.width, grid.height],
        "boxes": [_shares(grid, box) for box in read_boxes(sample)], "top": top,
    }  # fmt: skip
    return said, steps


def _shares(grid: PatchGrid, box: Sequence[float]) -> list[float]:
    """A rectangle in shares of the image."""
    return [round(end / (grid.width, grid.height)[place % 2], 5) for place, end in enumerate(box)]


class Unread:
    """What could not be read, in the order in which it was found.

    Attributes:
        parts: by the part, such as `maps/part-00000-00000.parquet`, how many samples of the page it would have had
            something of, at most, and what is wrong with it.
    """

    def __init__(self) -> None:
        self.parts: dict[str, tuple[int, str]] = {}

    def add(self, table: str, part: str, samples: int, error: HeadflowError) -> None:
        """Note a part, "" for one that is not known; `samples`: how many of its samples were to be read."""
        name = f"{table}/{part}" if part else table
        before = self.parts.get(name, (0, ""))[0]
        self.parts[name] = (max(samples, before), str(error))


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


def sizes_of(samples: pd.DataFrame) -> npt.NDArray[np.int64]:
    """How many patches the maps of each sample have; 0 where it has none."""
    patches: npt.NDArray[np.int64] = (samples["grid_rows"] * samples["grid_columns"]).fillna(0).to_numpy(np.int64)
    return patches


def choose_maps(heads: Heads, measured: Measured, order: Sequence[int], budget: float) -> ChosenMaps | None:
    """The maps of some samples, of as many heads as fit; None where the run has no maps, or none fits.

    Args:
        order: rows of `measured.samples`, those first whose maps are needed most.
        budget: bytes of maps.
    """
    of = heads.run.manifest.maps_of
    if MAPS not in heads.run.manifest.tables or of is None:
        return None
    sizes = sizes_of(measured.samples)
    rows = np.array(order, np.int64)
    rows = rows[(sizes[rows] > 0) & (np.cumsum(sizes[rows]) <= budget)]
    if not len(rows):
        return None
    there = np.flatnonzero(has_map(heads.run).ravel())
    cells = chosen_heads(of_image(measured.measures, of), there, int(budget // sizes[rows].sum()))
    return ChosenMaps(of, rows, cells, len(there))


def _grid_of(heads: Heads, position: int) -> dict[str, Any]:
    """What `samples` has of the grid of a sample; the whole row would take long to make."""
    return {name: heads.samples[name].iloc[position] for name in _GRID}


class Evidence:
    """A piece of images and maps, as it is filled."""

    def __init__(self, name: str, cells: Sequence[int]) -> None:
        """Begin a piece with the maps of some heads."""
        self._name, self._cells = name, list(cells)
        self._images: list[str] = []
        self._samples: dict[int, dict[str, Any]] = {}
        self._steps: list[npt.NDArray[np.uint8]] = []
        self._masses: list[Maps] = []
        self._size = 0

    def add_image(self, content: bytes) -> int:
        """Add a JPEG; returns its place."""
        self._images.append(base64.b64encode(content).decode("ascii"))
        return len(self._images) - 1

    def add_maps(self, row: int, heads: Heads, position: int, maps: Maps, masses: Maps) -> float:
        """Add the maps of a sample.

        Args:
            row: of the page; `position`: in `samples` of the run.
            maps, masses: of the piece's heads.

        Returns:
            The end of their scale.
        """
        said, steps = in_steps(_grid_of(heads, position), maps)
        self._samples[row] = said | {"maps": self._size, "masses": len(self._masses) * len(self._cells)}
        self._steps.append(steps.ravel())
        self._masses.append(masses)
        self._size += steps.size
        return float(said["top"])

    def piece(self) -> Piece:
        """The piece."""
        arrays = Arrays()
        arrays.add("maps", np.concatenate([np.empty(0, np.uint8), *self._steps]))
        arrays.add("masses", np.concatenate([np.empty(0, np.float32), *self._masses]))
        return Piece(self._name, {"images": self._images, "cells": self._cells, "samples": self._samples}, arrays)


def evidence(
    heads: Heads,
    chosen: ChosenMaps | None,
    images: Sequence[bytes],
    unread: Unread,
    name: str = EVIDENCE,
    named: Mapping[int, int] | None = None,
) -> tuple[Piece, float]:
    """The piece with some images and maps, and the end of the scale of the maps.

    Args:
        unread: is told of parts that cannot be read.
        named: by the row of a sample its row in the page; None: the same.
    """
    made = Evidence(name, [] if chosen is None else chosen.cells)
    for content in images:
        made.add_image(content)
    top = end_of_scale(1)
    own = observed_rows(heads)
    for position, maps, masses in () if chosen is None else read_maps(heads, chosen.rows, chosen.cells, unread):
        row = int(own[position])
        top = max(top, made.add_maps(row if named is None else named[row], heads, position, maps, masses))
    return made.piece(), top


def read_maps(
    heads: Heads, rows: npt.NDArray[np.int64], cells: Sequence[int], unread: Unread
) -> Iterator[tuple[int, Maps, Maps]]:
    """The maps of some heads for some rows of `observed_samples`, see `chosen_maps`; not those that cannot be read."""
    marked, wanted = np.zeros(heads.shape, np.bool_), np.isin(observed_rows(heads), rows)
    marked.ravel()[list(cells)] = True

    def left_out(part: Part, error: HeadflowError) -> None:
        first, last = heads.parts[heads.run.parts.index(part)]
        unread.add(MAPS, part.name, int(wanted[first:last].sum()), error)

    for position, maps, masses in chosen_maps(heads, wanted, marked, left_out):
        try:
            check_size(heads, position, maps, read_grid(_grid_of(heads, position)))
        except HeadflowError as error:
            number = next(place for place, (_, last) in enumerate(heads.parts) if position < last)
            left_out(heads.run.parts[number], error)
            continue
        yield position, maps, masses


def of_all(chosen: ChosenMaps, top: float) -> dict[str, Any]:
    """What the page says of all its maps: whose attention, the heads, the end of the scale, and how pale images are."""
    return {"of": chosen.of, "cells": chosen.cells, "there": chosen.there, "top": top, "pale": PALE}
