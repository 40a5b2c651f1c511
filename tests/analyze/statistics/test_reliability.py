"""Oracle: data whose reliability is known, scipy; and the real LLaVA-1.5-7B."""

import numpy as np
import pytest
from scipy import stats

from analyze.statistics.clusters import places_of_each
from analyze.statistics.reliability import (
    between_halves,
    disattenuated,
    halves,
    paired_reliability,
    rank_correlation,
    samples_needed,
    spearman_brown,
    split_half,
)


def measured(rng: np.random.Generator, images: int, heads: int, noise: float, truth: np.ndarray) -> np.ndarray:
    return truth + rng.normal(0, noise, (images, heads))


def test_halves_divide_each_category():
    category = np.array([0] * 9 + [1] * 4 + [2])
    half = halves(category, np.random.default_rng(0))
    assert [int(half[category == each].sum()) for each in (0, 1)] in ([4, 2], [5, 2])


def test_places_are_sorted_once_however_many_codes(monkeypatch):
    codes, sorts = np.random.default_rng(6).integers(0, 50, 200), []
    sort = np.argsort
    monkeypatch.setattr("numpy.argsort", lambda *args, **named: sorts.append(1) or sort(*args, **named))
    found = places_of_each(codes)
    assert len(sorts) == 1
    assert all((one == np.flatnonzero(codes == each)).all() for one, each in zip(found, np.unique(codes), strict=True))


def test_a_rank_correlation_is_scipy_s():
    one, other = np.random.default_rng(1).integers(0, 5, (2, 40)).astype(float)
    assert rank_correlation(one, other) == pytest.approx(stats.spearmanr(one, other).statistic)
    assert rank_correlation(one, np.ones(40)) is None


def test_split_halves_and_spearman_brown_give_the_known_reliability():
    """Noise of variance 4 over 40 images against a truth of variance 1: half 1 / 1.2, whole 1 / 1.1."""
    rng = np.random.default_rng(2)
    truth = rng.normal(size=3000)
    values = measured(rng, 40, 3000, 2.0, truth)
    half = split_half(values, np.zeros(40, int), repeats=20)
    assert half == pytest.approx(1 / 1.2, abs=0.02)
    assert spearman_brown(half) == pytest.approx(1 / 1.1, abs=0.02)
    assert samples_needed(half, 20, 1 / 1.1) == pytest.approx(40, rel=0.1)
    assert samples_needed(0.0, 20, 0.9) == float("inf")


def test_noise_that_two_runs_share_is_no_agreement():
    """Truths that correlate at 0.5, and the same noise in both: the plain correlation is too high, this one is not."""
    rng = np.random.default_rng(3)
    one, own = rng.normal(size=(2, 2000))
    other = 0.5 * one + np.sqrt(0.75) * own
    noise = rng.normal(0, 4.0, (40, 2000))
    a, b = one + noise, other + noise
    category = np.zeros(40, int)
    plain = rank_correlation(a.mean(axis=0), b.mean(axis=0))
    assert plain is not None
    assert plain > 0.6
    assert disattenuated(a, b, category, repeats=20) == pytest.approx(0.5, abs=0.06)
    assert disattenuated(a, a, category, repeats=20) == pytest.approx(1.0, abs=0.02)


def test_halves_are_those_taken_one_by_one():
    """Oracle: the means of each half by itself, and scipy's ranks."""
    rng = np.random.default_rng(5)
    a, b = rng.normal(size=30) + rng.normal(size=(2, 21, 30))
    category = np.arange(21) % 2
    rng, across, own = np.random.default_rng(0), [], []
    for _ in range(10):
        half = halves(category, rng) == 0
        means = [each[chosen].mean(axis=0) for each in (a, b) for chosen in (half, ~half)]
        across.append(stats.spearmanr(means[0], means[3]).statistic)
        own.append([stats.spearmanr(*each).statistic for each in (means[:2], means[2:])])
    assert between_halves(a, b, category, repeats=10) == pytest.approx(np.mean(across))
    alone = np.mean(own, axis=0)
    assert [split_half(each, category, repeats=10) for each in (a, b)] == pytest.approx(alone)
    found = disattenuated(a, b, category, repeats=10)
    assert paired_reliability(a, b, category, repeats=10) == pytest.approx(
        (found, split_half(b - a, category, repeats=10))
    )
    assert found == (pytest.approx(np.mean(across) / np.sqrt(alone.prod())) if min(alone) > 0 else None)


def test_what_cannot_be_told_is_none():
    assert split_half(np.ones((3, 5)), np.zeros(3, int)) is None
    assert split_half(np.ones((10, 5)), np.zeros(10, int)) is None
    noise = np.random.default_rng(4).normal(size=(10, 5)) * np.array([[1.0], [-1.0]] * 5)
    assert disattenuated(noise - noise.mean(axis=0), noise, np.zeros(10, int)) is None  # halves are opposite
    assert spearman_brown(-1.0) == -1.0
    assert samples_needed(0.5, 10, 1.0) == float("inf")


def test_ranks_of_the_real_model_s_heads(real_run):
    """Published here before: one sample against another 0.88, ten against ten 0.986, halves 0.997."""
    from analyze.tables.frames import open_heads
    from analyze.tables.values import sample_values

    heads, _ = open_heads(real_run)
    values = sample_values(heads, ["t2v"], heads.scope(None))["t2v"].reshape(len(heads.samples), -1).astype(float)
    rng = np.random.default_rng(0)
    for number, expected in ((1, 0.88), (10, 0.986), (50, 0.997)):
        found = []
        for _ in range(200):
            chosen = rng.permutation(len(values))[: 2 * number]
            found.append(between_halves(values[chosen], values[chosen], np.zeros(2 * number, int), repeats=1,
                         seed=int(rng.integers(2**31))) if number > 1 else
                         rank_correlation(*values[chosen]))  # fmt: skip
        assert np.mean(found) == pytest.approx(expected, abs=0.005)
