"""Oracles: Garwood's exact interval of a Poisson count, and simulated images whose loss is known."""

import numpy as np
import pytest
from scipy import stats

from analyze.statistics.clusters import Clusters
from analyze.statistics.losses import change_bounds

LEVEL = 0.95


def images_of(category: np.ndarray) -> Clusters:
    """Images with a question each."""
    return Clusters(np.arange(len(category)), category, [str(each) for each in np.unique(category)])


def events(number: int, images: int, points: float = 100.0) -> np.ndarray:
    values = np.zeros((images, 1))
    values[:number] = points
    return values


@pytest.mark.parametrize("number", [0, 1, 3, 10])
def test_equal_losses_have_the_exact_interval_of_a_count(number):
    low, high = change_bounds(events(number, 50), np.full((50, 1), 100.0), images_of(np.zeros(50, int)), LEVEL)
    weight = 100 / 50
    assert high[0] == pytest.approx(weight * stats.chi2.ppf(LEVEL, 2 * number + 2) / 2)
    # Below, that of gains, which were none but may be some, is joined
    gain = weight * stats.chi2.ppf(LEVEL, 2) / 2
    own = weight * (number - stats.chi2.ppf(1 - LEVEL, 2 * number) / 2) if number else 0.0
    assert low[0] == pytest.approx(weight * number - np.hypot(own, gain))


def test_gains_mirror_losses():
    values, category = np.random.default_rng(0).choice([-100, 0, 0, 0, 150], (40, 5)), np.repeat([0, 1], 20)
    low, high = change_bounds(values, np.full((40, 1), 200.0), images_of(category), LEVEL)
    mirrored = change_bounds(-values, np.full((40, 1), 200.0), images_of(category), LEVEL)
    assert -mirrored[1] == pytest.approx(low)
    assert -mirrored[0] == pytest.approx(high)


def simulated(random: np.random.Generator, sizes: list[int], flips: float, repeats: int) -> np.ndarray:
    """Points that images lose where each right answer is lost, and each wrong one mended, with this chance."""
    before = random.random((sum(sizes), 2, repeats)) < 0.9
    after = before ^ (random.random(before.shape) < flips)
    points = [100 * (each.mean(axis=1) + each.all(axis=1)) for each in (before, after)]
    return points[0] - points[1]


@pytest.mark.parametrize("sizes", [[15] * 6, [60] * 3, [10, 90, 90]])
@pytest.mark.parametrize("flips", [0.003, 0.02, 0.1])
def test_bounds_hold_as_often_as_they_say(sizes, flips):
    random = np.random.default_rng(1)
    category = np.repeat(np.arange(len(sizes)), sizes)
    truth = len(sizes) * simulated(random, [200_000], flips, 1).mean()
    values = simulated(random, sizes, flips, 1000)
    low, high = change_bounds(values, np.full((len(category), 1), 200.0), images_of(category), LEVEL)
    assert (high >= truth).mean() >= LEVEL - 0.015
    assert (low <= truth).mean() >= LEVEL - 0.015
    # Resampling would not: where no image changed, it has no spread at all
    if flips == 0.003 and sizes == [15] * 6:
        assert (values == 0).all(axis=0).mean() > 0.2
