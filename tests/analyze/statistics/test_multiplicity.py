"""Oracle: all sign flips of few images, scipy, statsmodels, and simulations with planted and with no effects."""

import itertools

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats import multitest

from analyze.statistics.multiplicity import FLOOR, _sign_bits, _signs, false_discovery_rate, sign_flip_maximum

REPEATS = 60


def test_all_flips_of_few_images():
    differences = np.random.default_rng(0).normal(0.5, 1, (8, 3))
    found = sign_flip_maximum(differences, flips=40_000)
    observed = abs(stats.ttest_1samp(differences, 0).statistic)
    largest = [
        abs(stats.ttest_1samp(differences * np.array(signs)[:, None], 0).statistic).max()
        for signs in itertools.product((-1, 1), repeat=8)
    ]
    for column in range(3):
        assert found.p[column] == pytest.approx(np.mean(np.array(largest) >= observed[column] - 1e-9), abs=0.01)
    assert found.mean == pytest.approx(differences.mean(axis=0))


@pytest.mark.parametrize("spreads", [3, 10])
def test_strong_effects_on_few_images_have_the_exact_p(spreads):
    """Both signs of all images alike reach the observed maximum, and nothing else does: 2 of 2^7 flips."""
    rng = np.random.default_rng(4)
    for _ in range(20):
        found = sign_flip_maximum(rng.normal(spreads, 1, (7, 1)) * 1e-3, flips=4_000)
        assert found.p[0] == pytest.approx(2 / 2**7, abs=0.008)


def test_one_head_is_scipy_s_permutation_test():
    differences = np.random.default_rng(1).normal(0.3, 1, (12, 1))
    found = sign_flip_maximum(differences, flips=20_000)
    expected = stats.permutation_test(
        (differences[:, 0],), np.mean, permutation_type="samples", n_resamples=np.inf, alternative="two-sided"
    )
    assert found.p[0] == pytest.approx(expected.pvalue, abs=0.01)


def test_false_findings_where_nothing_differs_and_planted_ones_where_something_does():
    rng = np.random.default_rng(2)
    false = 0
    for _ in range(REPEATS):
        differences = rng.normal(size=(60, 1)) + rng.normal(size=(60, 100)) * np.linspace(0.1, 3, 100)
        false += sign_flip_maximum(differences, flips=500).significant.any()
    assert false <= 0.12 * REPEATS
    differences[:, 7] += 3
    assert sign_flip_maximum(differences, flips=500).significant[7]


def test_rounding_is_never_significant():
    """However regular it is, as if each image gave 1e-6 more."""
    differences = np.full((50, 2), FLOOR / 10)
    differences[:, 1] = 2 * FLOOR
    found = sign_flip_maximum(differences, flips=2_000)
    assert found.p[0] < 0.01
    assert found.significant.tolist() == [False, True]
    assert sign_flip_maximum(np.zeros((50, 1)), flips=100).p.tolist() == [1.0]


def test_adjusted_p_values_are_statsmodels():
    p = np.random.default_rng(3).random((4, 6)) ** 2
    assert false_discovery_rate(p).ravel() == pytest.approx(multitest.multipletests(p.ravel(), method="fdr_bh")[1])
    some = np.array([np.nan, *p[0], np.nan])  # NaN: not tested
    assert false_discovery_rate(some)[1:-1] == pytest.approx(false_discovery_rate(p[0]))
    assert np.isnan(false_discovery_rate(some)[[0, -1]]).all()


@pytest.mark.parametrize("number", [1, 2, 7, 300])
def test_false_discovery_rates_are_scipy_s(number):
    p = np.random.default_rng(number).random(number).round(2)
    assert (false_discovery_rate(p) == stats.false_discovery_control(p)).all()


def test_signs_are_drawn_once_for_the_same_images():
    _sign_bits.cache_clear()
    differences = np.random.default_rng(2).normal(0.2, 1, (37, 3))
    found = [sign_flip_maximum(each, flips=600, seed=5).p for each in (differences, differences)]
    assert (found[0] == found[1]).all()
    assert _sign_bits.cache_info().misses == 1
    signs = np.concatenate(list(_signs(_sign_bits(37, 600, 5), 37, np.float64)))
    assert (signs == np.random.default_rng(5).choice([-1.0, 1.0], size=(600, 37))).all()


@pytest.mark.parametrize("kind", ["values", "answers", "alike", "heavy tails", "one far image"])
def test_p_values_are_those_of_flips_computed_in_float64(kind):
    """The flips one by one; of answers, and of images that are alike, many reach a test exactly."""
    rng = np.random.default_rng(6)
    differences = {
        "values": rng.normal(0.2, 1, (40, 30)) * np.geomspace(1e-9, 10, 30),
        "answers": rng.integers(-2, 3, (40, 30)).astype(float),
        "alike": np.where(np.arange(30) % 3, 0.1, 0.0) * np.ones((40, 30)),
        "heavy tails": np.exp(4 * rng.normal(size=(40, 30))) * rng.choice([-1, 1], (40, 30)),
        "one far image": rng.normal(size=(40, 30)) + 1e6 * (np.arange(40) == 7)[:, None],
    }[kind]
    signs = np.random.default_rng(5).choice([-1.0, 1.0], size=(600, 40))
    mean, squares = signs @ differences / 40, (differences**2).sum(axis=0)
    own = np.append(mean, differences.mean(axis=0)[None], axis=0)
    variance = np.maximum(squares - 40 * own**2, 1e-12 * squares) / 39
    t = np.abs(np.divide(own, np.sqrt(variance / 40), np.zeros(own.shape), where=variance > 0))
    reached = (t[:-1].max(axis=1)[:, None] >= t[-1] * (1 - 1e-9)).sum(axis=0)
    assert (sign_flip_maximum(differences, flips=600, seed=5).p == (1 + reached) / 601).all()
