"""Oracle: a flood fill in plain Python, patch by patch, of maps in float64."""

import math

import numpy as np
import pyarrow as pa
import pytest

from analyze.maps.grids import PatchGrid
from analyze.maps.measures import spatial_entropy
from schemas.columns import PATCHES


def filled(values: list[list[float]], above: float = 0) -> float:
    """The spatial entropy of one map."""
    rows, columns = len(values), len(values[0])
    total = math.fsum(map(math.fsum, values))
    mean = total / (rows * columns)
    left = {(row, column) for row in range(rows) for column in range(columns) if values[row][column] > mean + above}
    weights = []
    while left:
        waiting, weight = [left.pop()], 0.0
        while waiting:
            row, column = waiting.pop()
            weight += values[row][column] - mean
            near = {(row + down, column + right) for down in (-1, 0, 1) for right in (-1, 0, 1)} & left
            left -= near
            waiting += near
        weights.append(weight)
    if not weights:
        return math.nan
    shares = [weight / sum(weights) for weight in weights]
    return -sum(share * math.log(share) for share in shares)


@pytest.mark.parametrize(("rows", "columns"), [(4, 6), (9, 9), (1, 7), (24, 24), (1, 1)])
@pytest.mark.parametrize("spread", [0.1, 1, 10, 1000])
@pytest.mark.parametrize("sink", [0, 100, 400, 1000])
def test_spatial_entropy_is_that_of_a_flood_fill(rows, columns, spread, sink):
    """Of stored maps; `sink`: the attention on one patch, times the mean."""
    random = np.random.default_rng([rows, columns])
    maps = random.dirichlet(np.full(rows * columns, spread), 12)
    maps[:, rows * columns // 3] += sink * maps.mean(axis=1)
    expected = [filled(each.reshape(rows, columns).tolist()) for each in maps]
    stored = pa.array(list(maps), PATCHES)
    found = spatial_entropy(
        np.stack(stored.to_numpy(zero_copy_only=False)), PatchGrid(rows, columns, (0, 0, 1, 1), 1, 1)
    )
    assert np.allclose(found, expected, atol=0.005, equal_nan=True)


@pytest.mark.parametrize("mass", [0.02, 0.7])
def test_patches_count_from_a_distance_above_the_mean_on(mass):
    """As in the code of LocalizationHeads: 0.001 of attention, so that heads that look little may have no patch."""
    maps = np.random.default_rng(2).dirichlet(np.full(576, 1), 20).astype(np.float32) * np.float32(mass)
    found = spatial_entropy(maps, PatchGrid(24, 24, (0, 0, 1, 1), 1, 1), 0.001)
    expected = [filled(each.reshape(24, 24).astype(float).tolist(), 0.001) for each in maps]
    assert np.allclose(found, expected, atol=1e-6, equal_nan=True)
    assert np.isnan(found).all() == (mass < 0.1)


def test_diagonal_neighbours_are_one_spot_and_heads_do_not_touch():
    diagonal = np.eye(4, dtype=np.float32).ravel() * 9
    corners = np.zeros((4, 4), np.float32)
    corners[[0, 0, 3, 3], [0, 3, 0, 3]] = 7
    even, nothing = np.full(16, 0.1, np.float32), np.zeros(16, np.float32)
    found = spatial_entropy(
        np.stack([diagonal, corners.ravel(), diagonal, even, nothing]), PatchGrid(4, 4, (0, 0, 1, 1), 1, 1)
    )
    assert found[:3] == pytest.approx([0, math.log(4), 0])
    assert np.isnan(found[3:]).all()
