"""Oracles: points scattered over the image, and the definitions patch by patch."""

import numpy as np
import pandas as pd
import pytest

from analyze.maps.grids import PatchGrid, common_shape, read_boxes, read_grid
from analyze.maps.measures import lay
from schemas.errors import HeadflowError

GRIDS = [
    PatchGrid(4, 6, (0, 0, 60, 40), 60, 40),
    PatchGrid(5, 5, (10, 0, 50, 40), 60, 40),
    PatchGrid(6, 6, (0, -10, 60, 50), 60, 40),
    PatchGrid(3, 7, (-5.5, 3.25, 48, 61), 60, 40),
]
BOXES = [(3.0, 4.0, 21.0, 17.5), (15.0, 10.0, 30.0, 33.0), (55.0, -3.0, 70.0, 44.0)]


def patches(grid):
    """The rectangle of each patch, row by row."""
    x0, y0, x1, y1 = grid.box
    wide, high = (x1 - x0) / grid.columns, (y1 - y0) / grid.rows
    for row in range(grid.rows):
        for column in range(grid.columns):
            yield x0 + column * wide, y0 + row * high, x0 + (column + 1) * wide, y0 + (row + 1) * high


def inside(x, y, boxes):
    return np.any([(a <= x) & (x <= c) & (b <= y) & (y <= d) for a, b, c, d in boxes], axis=0)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("boxes", [BOXES, BOXES[:1], [(-50.0, -50.0, -40.0, -40.0)]])
def test_boxes_on_patches(grid, boxes):
    covered = []
    for a, b, c, d in patches(grid):
        x, y = np.meshgrid(a + (np.arange(200) + 0.5) / 200 * (c - a), b + (np.arange(200) + 0.5) / 200 * (d - b))
        covered.append(inside(x, y, boxes).mean())
    assert np.abs(grid.covered_by(boxes) - covered).max() < 0.011
    centred = [bool(inside((a + c) / 2, (b + d) / 2, boxes)) for a, b, c, d in patches(grid)]
    assert grid.centred_in(boxes).tolist() == centred


@pytest.mark.parametrize("grid", GRIDS)
def test_the_common_grid_is_that_of_scattered_points(grid):
    random = np.random.default_rng(0)
    maps = random.random((3, grid.patches)).astype(np.float32)
    maps[2] = 0
    shares, even = lay(maps, grid, (5, 8))
    x0, y0, x1, y1 = grid.box
    x, y = ((np.arange(1500) + 0.5) / 1500 for _ in range(2))  # a fine raster of the patches
    x, y = np.meshgrid(x, y)
    patch = (y * grid.rows).astype(int) * grid.columns + (x * grid.columns).astype(int)
    across, down = (x0 + x * (x1 - x0)) / grid.width, (y0 + y * (y1 - y0)) / grid.height
    seen = (across >= 0) & (across < 1) & (down >= 0) & (down < 1)
    cell = (down[seen] * 5).astype(int) * 8 + (across[seen] * 8).astype(int)
    for one, found in ((maps[0], shares[0]), (maps[1], shares[1]), (np.ones(grid.patches), even)):
        expected = np.bincount(cell, one[patch[seen]].astype(float), 40)
        assert np.abs(found.ravel() - expected / expected.sum()).max() < 2e-3
        assert found.sum() == pytest.approx(1)
    assert np.isnan(shares[2]).all()


def row(**values):
    whole = {
        "sample_id": "a/1", "image_width": 60, "image_height": 40, "grid_rows": 4, "grid_columns": 6,
        "grid_box": np.array([0, 0, 60, 40], np.float32), "boxes": None,
    }  # fmt: skip
    return pd.Series(whole | values)


def test_a_grid_is_read_from_samples():
    assert read_grid(row()) == GRIDS[0]
    assert common_shape(pd.DataFrame([row(), row(grid_rows=90, grid_columns=3)])) == (64, 6)


@pytest.mark.parametrize(
    "values",
    [
        {"grid_box": None}, {"grid_rows": np.nan}, {"image_width": 0}, {"grid_box": np.array([0, 0, 0, 40])},
        {"grid_box": np.array([0, 0, np.nan, 40])}, {"grid_columns": pd.NA}, {"grid_box": np.array([1, 2, 3])},
    ],
)  # fmt: skip
def test_a_grid_that_is_none_is_one_line(values):
    with pytest.raises(HeadflowError, match=r"the grid of a/1 is .*; run validate"):
        read_grid(row(**values))


def test_boxes_without_an_area_are_left_out():
    assert read_boxes(row()) == []
    assert read_boxes(row(boxes=float("nan"))) == []
    assert read_boxes(row(boxes=np.array([], object))) == []
    assert read_boxes(row(boxes=[[1, 2, 3, 4], [1, 2, 1, 4], None, [1, 2], [1, 2, np.nan, 4]])) == [(1, 2, 3, 4)]
