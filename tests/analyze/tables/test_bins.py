"""Oracle: numpy.histogram, also for values on the edges and next to them."""

import numpy as np
import pandas as pd
import pytest

from analyze.tables.bins import EDGES, FINE, UNDECIDED, bin_edges, bin_index, bin_of_fine, fine_index, quantiles
from schemas.errors import HeadflowError

CHOICES = {
    "default": EDGES,
    "range": bin_edges([0.1], (0.2, 0.7)),
    "edges": np.array([0.0, 0.01, 0.5, 1.0]),
    "thousand": bin_edges([0.001], None),
    "odd": np.array([-0.5, 0.012345, 0.01234567, 0.3, 0.99999]),
    "one": np.array([0.2, 0.3]),
    "beyond": np.array([1.5, 2.0]),
}


def values(edges):
    """Random values, all edges, and their neighbours in both precisions."""
    random = np.random.default_rng(0).random(10_000).astype(np.float32)
    near = [np.nextafter(kind(edges), kind(to)) for kind in (np.float32, np.float64) for to in (-1, 2)]
    return np.concatenate([random, edges, edges.astype(np.float32), *near, [0, 1, 1.5, -0.1]]).astype(np.float64)


@pytest.mark.parametrize("edges", CHOICES.values(), ids=CHOICES)
def test_bins_are_those_of_numpy(edges):
    found = np.bincount(bin_index(values(edges), edges), minlength=len(edges))
    expected, _ = np.histogram(values(edges), edges)
    assert (found[:-1] == expected).all()
    assert found[-1] == len(values(edges)) - expected.sum()


@pytest.mark.parametrize("edges", CHOICES.values(), ids=CHOICES)
def test_a_fine_bin_says_the_bin_or_nothing(edges):
    found = bin_of_fine(edges)[fine_index(values(edges))]
    known = found != UNDECIDED
    assert known.mean() > 0.5
    assert (found[known] == bin_index(values(edges), edges)[known]).all()


def test_nan_is_outside():
    assert bin_index(np.array([np.nan, -0.1, 1.0]), EDGES).tolist() == [20, 20, 19]


def test_quantiles():
    """Also of few values, far from each other, where pandas interpolates."""
    random = np.random.default_rng(1)
    groups = [random.beta(0.5, 4, size) for size in (5001, 1, 2, 7, 40)] + [np.ones(5), np.array([0.0, 1.0])]
    shares = [0.05, 0.25, 0.5, 0.95]
    found = quantiles(np.stack([np.bincount(fine_index(group), minlength=FINE + 1) for group in groups]), shares)
    for values, group in zip(found.T, groups, strict=True):
        assert values == pytest.approx(pd.Series(group).quantile(shares).to_numpy(), abs=1e-4, rel=0)


@pytest.mark.parametrize(
    ("bins", "limits", "expected"),
    [
        ([0.05], None, [index / 20 for index in range(21)]),
        ([0.25], (0.5, 1.0), [0.5, 0.75, 1.0]),
        ([0, 0.1, 1], None, [0, 0.1, 1]),
    ],
)
def test_bin_edges(bins, limits, expected):
    assert bin_edges(bins, limits).tolist() == expected


@pytest.mark.parametrize(
    ("bins", "limits", "says"),
    [
        ([0.3], None, "does not divide"),
        ([0.0], None, "does not divide"),
        ([-0.1], None, "does not divide"),
        ([float("nan")], None, "does not divide"),
        ([1e-5], None, "no more than 1000"),
        ([0, 0.5, 0.5], None, "increase"),
        ([0, 0.5], (0.0, 1.0), "a range cannot be given"),
        ([0.1], (1.0, 0.0), "smaller"),
    ],
)
def test_bad_bins(bins, limits, says):
    with pytest.raises(HeadflowError, match=says):
        bin_edges(bins, limits)
