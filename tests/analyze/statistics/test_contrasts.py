"""Oracle: brute force over all pairs and permutations, scipy, and simulations with planted and with no effects."""

import itertools

import numpy as np
import pytest
from scipy import stats

from analyze.statistics.contrasts import (
    BOTH_RIGHT,
    BOTH_WRONG,
    NEITHER,
    NO_BIASED,
    YES_BIASED,
    contrast_reliability,
    pair_states,
    polarity_free_contrast,
)
from analyze.statistics.multiplicity import false_discovery_rate

REPEATS = 60  # of simulations


def test_pair_states():
    """Of answers, not of right and wrong: `M` and `No` are both no answer Yes, and yet no bias."""
    to_first = np.array([0, 0, 1, 1, np.nan, 0, np.nan, np.nan])
    to_second = np.array([1, 0, 1, 0, 1, np.nan, 0, np.nan])
    assert pair_states(to_first, to_second).tolist() == [BOTH_RIGHT, YES_BIASED, NO_BIASED, BOTH_WRONG, *[NEITHER] * 4]


def statistic(differences: np.ndarray, state: np.ndarray) -> float:
    """The polarity-free contrast as it is written."""
    up, down = differences[state == YES_BIASED], differences[state == NO_BIASED]
    shares = [[(d > 0) + 0.5 * (d == 0) for d in up], [(d < 0) + 0.5 * (d == 0) for d in down]]
    return float(np.mean([np.mean(each) for each in shares if each]))


def test_the_polarity_free_contrast_by_brute_force():
    """All permutations of the biased images within categories, 4 of 5 and 6 of 6 images."""
    rng = np.random.default_rng(0)
    state = np.array([YES_BIASED, NO_BIASED, BOTH_RIGHT, YES_BIASED, NO_BIASED, *[YES_BIASED, NO_BIASED] * 3])
    category = np.array([0] * 5 + [1] * 6)
    differences = rng.integers(-2, 3, (11, 3)).astype(float)
    found = polarity_free_contrast(differences, state, category)
    members = [[0, 1, 3, 4], [5, 6, 7, 8, 9, 10]]
    orders = [{tuple(state[list(order)]) for order in itertools.permutations(each)} for each in members]
    for column in range(3):
        own = statistic(differences[:, column], state)
        assert found.statistic[column] == pytest.approx(own)
        biased = differences[np.concatenate(members), column]
        permuted = np.array([statistic(biased, np.array([*one, *other])) for one in orders[0] for other in orders[1]])
        assert found.expected[column] == pytest.approx(permuted.mean())
        p = (abs(permuted - permuted.mean()) >= abs(own - permuted.mean()) - 1e-9).mean()
        assert found.p[column] == pytest.approx(p)


def test_a_head_that_is_nearly_always_lower_has_no_p_value_of_a_normal_distribution():
    """Above 0 in 5 of 100 images, 3 of them yes-biased: that is chance in one of 1,700 permutations."""
    state = np.array([YES_BIASED] * 5 + [NO_BIASED] * 95)
    differences = np.full((100, 1), -1.0)
    differences[[0, 1, 2, 50, 51]] = 1
    found = polarity_free_contrast(differences, state, np.zeros(100, int))
    assert found.p[0] == pytest.approx(stats.hypergeom.sf(2, 100, 5, 5))


def test_tails_that_permutations_do_not_reach():
    """A planted difference of many spreads: p far below what the permutations resolve, yet not 0."""
    rng = np.random.default_rng(3)
    state = np.array([YES_BIASED, NO_BIASED] * 30)
    differences = np.where(state == YES_BIASED, 1.0, -1.0)[:, None] + rng.normal(0, 0.2, (60, 1))
    found = polarity_free_contrast(differences, state, np.zeros(60, int))
    assert found.statistic[0] == 1
    assert 0 < found.p[0] < 1e-6


def test_false_discoveries_where_nothing_differs():
    """At 5%, 5% of simulated runs have a finding: here at most twice as many."""
    rng = np.random.default_rng(4)
    category = np.arange(80) % 4
    found = 0
    for _ in range(REPEATS):
        state = rng.choice([BOTH_RIGHT, YES_BIASED, NO_BIASED], 80, p=[0.5, 0.2, 0.3])
        shared = rng.normal(size=(80, 1))
        differences = shared + rng.normal(size=(80, 40)) + category[:, None]  # heads correlate, categories differ
        found += (false_discovery_rate(polarity_free_contrast(differences, state, category).p) <= 0.05).any()
    assert found <= 0.1 * REPEATS


def test_planted_heads_are_found_among_others():
    rng = np.random.default_rng(5)
    state = rng.choice([BOTH_RIGHT, YES_BIASED, NO_BIASED], 200, p=[0.4, 0.3, 0.3])
    differences = rng.normal(size=(200, 60))
    differences[:, :5] += np.select([state == YES_BIASED, state == NO_BIASED], [1, -1])[:, None]
    significant = false_discovery_rate(polarity_free_contrast(differences, state, np.arange(200) % 3).p) <= 0.05
    assert significant[:5].all()
    assert significant[5:].sum() <= 3


def test_what_cannot_be_told_says_why():
    found = polarity_free_contrast(np.zeros((3, 2)), np.array([BOTH_RIGHT] * 3), np.zeros(3, int))
    assert (found.why, len(found.p)) == ("0 images are yes-biased and 0 no-biased; at least 5 of each are needed", 0)
    one_sided = np.array([YES_BIASED] * 9)  # polarity would not cancel
    assert "0 no-biased" in polarity_free_contrast(np.ones((9, 2)), one_sided, np.zeros(9, int)).why


def test_contrasts_that_are_there_are_reliable_and_others_are_not():
    """400 biased images and 60 heads, which tell in different strength, or do not."""
    rng = np.random.default_rng(2)
    state = np.array([YES_BIASED, NO_BIASED, BOTH_RIGHT, BOTH_WRONG] * 200)
    category = np.arange(800) // 100
    sign, strength = np.where(state == YES_BIASED, 1.0, -1.0)[:, None], np.linspace(-1, 1, 60)
    noise, more = rng.normal(size=(2, 800, 60))
    assert contrast_reliability(noise + sign * strength, state, category) > 0.95
    assert abs(contrast_reliability(noise, state, category)) < 0.35
    weak = [each + sign * strength / 8 for each in (noise, more)]
    across = [polarity_free_contrast(each, state, category).statistic for each in weak]
    expected = stats.spearmanr(*across).statistic  # of other images of the kind
    assert contrast_reliability(weak[0], state, category) == pytest.approx(expected, abs=0.15)
    assert contrast_reliability(noise[:3], state[:3], category[:3]) is None


def test_what_tells_biased_images_from_others_is_not_found():
    """A quantity that is higher in one question of biased images, whichever was answered wrong."""
    rng = np.random.default_rng(3)
    found = 0
    for _ in range(REPEATS):
        state = rng.permutation(np.array([YES_BIASED] * 20 + [NO_BIASED] * 60 + [BOTH_RIGHT] * 200))
        differences = rng.normal(size=(280, 10)) - np.where(state == BOTH_RIGHT, -1.0, 1.0)[:, None]
        found += (false_discovery_rate(polarity_free_contrast(differences, state, np.zeros(280, int)).p) <= 0.05).any()
    assert found <= 0.15 * REPEATS


def test_many_small_categories_are_as_exact_as_few():
    """Those with equal counts are taken together; by the sum over all ways to draw, one category at a time."""
    rng = np.random.default_rng(3)
    state, category = np.tile([YES_BIASED, NO_BIASED, YES_BIASED], 20), np.repeat(np.arange(20), 3)
    differences = np.stack([rng.normal(size=60), rng.integers(-1, 2, 60)], axis=1)
    found = polarity_free_contrast(differences, state, category)
    for column in range(2):
        halves = 1 + np.sign(differences[:, column]).astype(int).reshape(20, 3)
        chances = {0: 1.0}
        for one, two, three in halves.tolist():
            sums = [one + two, one + three, two + three]  # which two are yes-biased
            chances = {
                total: sum(chances.get(total - each, 0) / 3 for each in sums)
                for total in {before + each for before in chances for each in sums}
            }
        mean, own = 2 / 3 * halves.sum(), halves[:, ::2].sum()
        p = sum(chance for total, chance in chances.items() if abs(total - mean) >= abs(own - mean) - 1e-9)
        assert found.p[column] == pytest.approx(p, rel=1e-12)
