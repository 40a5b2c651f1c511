"""Oracle: a flood fill in plain Python, patch by patch."""

import math

import numpy as np
import pytest

from analyze.maps.grids import Grid
from analyze.maps.measures import spatial_entropy


def filled(steps: list[list[int]]) -> float:
    """The spatial entropy of one map."""
    rows, columns = len(steps), len(steps[0])
    total = sum(map(sum, steps))
    mean = total / (rows * columns)
    left = {(row, column) for row in range(rows) for column in range(columns) if steps[row][column] > mean}
    weights = []
    while left:
        waiting, weight = [left.pop()], 0.0
        while waiting:
            row, column = waiting.pop()
            weight += steps[row][column] - mean
            near = {(row + down, column + right) for down in (-1, 0, 1) for right in (-1, 0, 1)} & left
            left -= near
            waiting += near
        weights.append(weight)
    if not weights:
        return math.nan
    shares = [weight / sum(weights) for weight in weights]
    return -sum(share * math.log(share) for share in shares)


@pytest.mark.parametrize(("rows", "columns"), [(4, 6), (9, 9), (1, 7), (24, 24), (1, 1)])
@pytest.mark.parametrize("spread", [0.1, 1, 10])
def test_spatial_entropy_is_that_of_a_flood_fill(rows, columns, spread):
    random = np.random.default_rng([rows, columns])
    maps = random.dirichlet(np.full(rows * columns, spread), 12)
    maps = np.round(maps / maps.max(axis=1, keepdims=True) * 255).astype(np.uint8)
    found = spatial_entropy(maps, Grid(rows, columns, (0, 0, 1, 1), 1, 1))
    expected = [filled(each.reshape(rows, columns).tolist()) for each in maps]
    assert np.allclose(found, expected, atol=1e-12, equal_nan=True)


def test_diagonal_neighbours_are_one_spot_and_heads_do_not_touch():
    diagonal = np.eye(4, dtype=np.uint8).ravel() * 9
    corners = np.zeros((4, 4), np.uint8)
    corners[[0, 0, 3, 3], [0, 3, 0, 3]] = 7
    even, nothing = np.full(16, 5, np.uint8), np.zeros(16, np.uint8)
    found = spatial_entropy(
        np.stack([diagonal, corners.ravel(), diagonal, even, nothing]), Grid(4, 4, (0, 0, 1, 1), 1, 1)
    )
    assert found[:3] == pytest.approx([0, math.log(4), 0])
    assert np.isnan(found[3:]).all()
