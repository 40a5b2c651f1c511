"""Where the patches of a map lie in the image: centres, boxes, and grids of different images laid on a common one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from analyze.statistics.clusters import Array
from schemas.errors import HeadflowError
from schemas.files.ranges import members
from schemas.text import short

FINEST = 64  # cells of the common grid along an edge, at most
_COLUMNS = ["image_width", "image_height", "grid_rows", "grid_columns", "grid_box"]
GridBox = tuple[float, float, float, float]


@dataclass(frozen=True)
class PatchGrid:
    """The patches of one image.

    Attributes:
        box: what they cover, `x0, y0, x1, y1` in pixels of the image: less than it, or more.
        width, height: of the image.
    """

    rows: int
    columns: int
    box: GridBox
    width: int
    height: int

    @property
    def patches(self) -> int:
        """How many there are."""
        return self.rows * self.columns

    def edges(self) -> tuple[Array, Array]:
        """Edges of columns and of rows, in pixels."""
        x0, y0, x1, y1 = self.box
        return np.linspace(x0, x1, self.columns + 1), np.linspace(y0, y1, self.rows + 1)

    def centred_in(self, boxes: list[GridBox]) -> npt.NDArray[np.bool_]:
        """Which patches have their centre in one of some boxes, bool [patches]."""
        x, y = (each[:-1] + np.diff(each) / 2 for each in self.edges())
        inside = np.zeros((self.rows, self.columns), np.bool_)
        for x0, y0, x1, y1 in boxes:
            inside |= ((y0 <= y) & (y <= y1))[:, None] & ((x0 <= x) & (x <= x1))
        return inside.ravel()

    def covered_by(self, boxes: list[GridBox]) -> Array:
        """Which share of the area of each patch lies in one of some boxes, [patches]."""
        x, y = self.edges()
        xs, ys = (
            np.unique(np.concatenate([edges, [box[axis + side] for box in boxes for side in (0, 2)]]))
            for axis, edges in enumerate((x, y))
        )  # between these, all is inside of a box or all is outside
        middles = [each[:-1] + np.diff(each) / 2 for each in (xs, ys)]
        inside = np.zeros((len(ys) - 1, len(xs) - 1))
        for x0, y0, x1, y1 in boxes:
            inside[np.ix_((y0 < middles[1]) & (middles[1] < y1), (x0 < middles[0]) & (middles[0] < x1))] = 1
        shares: Array = overlaps(y, ys).T @ inside @ overlaps(x, xs) * (self.patches / self._area)
        return shares.ravel()

    @property
    def _area(self) -> float:
        x0, y0, x1, y1 = self.box
        return (x1 - x0) * (y1 - y0)

    def to_common(self, shape: tuple[int, int]) -> tuple[Array, Array]:
        """What lays a map on a grid of another shape that covers the whole image: patches are spread evenly.

        Returns:
            [common rows, rows] and [common columns, columns], the share of each row and column of patches that lies in
            each of the common grid; what lies outside of the image is lost.
        """
        x, y = self.edges()
        down, across = (np.linspace(0, edge, number + 1) for edge, number in zip(self._size, shape, strict=True))
        return (
            overlaps(y, down) * (self.rows / (y[-1] - y[0])),
            overlaps(x, across) * (self.columns / (x[-1] - x[0])),
        )

    @property
    def _size(self) -> tuple[int, int]:
        return self.height, self.width


def overlaps(edges: Array, others: Array) -> Array:
    """The lengths that the intervals between some edges share with those between others, [others - 1, edges - 1]."""
    low = np.maximum(edges[:-1], others[:-1, None])
    return np.maximum(np.minimum(edges[1:], others[1:, None]) - low, 0)


def read_grid(sample: "pd.Series | Mapping[str, Any]") -> PatchGrid:
    """The patches of a sample.

    Args:
        sample: a row of `samples`.

    Raises:
        HeadflowError: its grid is null, or none.
    """
    box = read_box(sample["grid_box"])
    sizes = [sample[name] for name in _COLUMNS[:-1]]
    if box is None or any(pd.isna(each) or not 1 <= each < 2**31 for each in sizes):
        width, height, rows, columns = sizes
        raise HeadflowError(
            f"the grid of {sample['sample_id']} is {rows} x {columns} patches on "
            f"{short([float(each) for each in members(sample['grid_box'])])}, of an image of {width} x {height}; run "
            "validate"
        )
    width, height, rows, columns = map(int, sizes)
    return PatchGrid(rows, columns, box, width, height)


def read_boxes(sample: "pd.Series | Mapping[str, Any]") -> list[GridBox]:
    """Where in the image the answer of a sample lies, without boxes that have no area; empty if it is not known."""
    return [box for box in map(read_box, members(sample["boxes"])) if box is not None]


def read_box(values: Any) -> GridBox | None:
    """A rectangle `x0, y0, x1, y1`; None if it is null or has no area."""
    numbers = [float(each) for each in members(values)]
    if len(numbers) != 4 or not np.isfinite(numbers).all():
        return None
    x0, y0, x1, y1 = numbers
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def common_shape(samples: pd.DataFrame) -> tuple[int, int]:
    """Rows and columns of a common grid: the finest of some samples', up to `FINEST`."""
    rows, columns = (min(FINEST, int(samples[name].max())) for name in ("grid_rows", "grid_columns"))
    return rows, columns
