"""Oracle: scipy, closed forms, and simulations in which nothing is there.

The numbers of more worlds, with many heads, are in `tests/simulations/heads.py`.
"""

import numpy as np
import pytest
from scipy import stats

from analyze.statistics.clusters import Clusters
from analyze.statistics.heads.means import ABOVE, BELOW, MOST_GROUPS, UNCLEAR, UNTOLD, Groups, GroupSums, HeadMeans
from tests.simulations.heads import NOISES, none_there, one_first


def of_images(values):
    """Each image is a group."""
    return HeadMeans.of(values, np.ones_like(values), len(values))


def test_the_interval_of_one_head_is_student_s():
    values = np.random.default_rng(0).normal(0.3, 1, (30, 4))
    low, high = of_images(values).interval()
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    np.testing.assert_allclose([low, high], [expected.low, expected.high], rtol=1e-12)


def test_corrected_intervals_reach_at_least_as_far_as_bonferroni_s():
    values = np.random.default_rng(1).normal(0.3, 1, (100, 40))
    low, high = of_images(values).corrected
    expected = stats.ttest_1samp(values, 0).confidence_interval(1 - 0.05 / 40)
    assert (low <= expected.low).all()
    assert (high >= expected.high).all()
    assert (high - low).max() < 1.25 * (expected.high - expected.low).max()


def test_effects_of_either_sign_are_told():
    values = np.random.default_rng(2).normal(0, 1, (200, 12))
    values[:, 3] += 1
    values[:, 7] -= 1
    found = of_images(values)
    assert found.told.tolist() == [ABOVE if cell == 3 else BELOW if cell == 7 else UNCLEAR for cell in range(12)]
    assert set(np.argsort(-found.sureness)[:2]) == {3, 7}
    lead, last = found.lead(), found.lead(lowest=True)
    assert (lead.first, lead.told, lead.rivals) == (3, True, 0)
    assert (last.first, last.told) == (7, True)


def test_two_that_are_equally_high_are_not_told_apart():
    values = np.random.default_rng(3).normal(0, 1, (200, 12))
    values[:, [3, 5]] += 2
    found = of_images(values).lead()
    assert {found.first, found.second} == {3, 5}
    assert (found.told, found.rivals) == (False, 1)
    assert found.images > 200


@pytest.mark.parametrize("values", [np.zeros((40, 3)), np.full((40, 3), 1e-6), np.full((40, 3), 1.0)])
def test_rounding_and_constants_tell_nothing(values):
    assert of_images(values).told.tolist() == [UNCLEAR] * 3


def test_few_images_tell_nothing_and_say_how_many_it_takes():
    found = of_images(np.random.default_rng(4).normal(5, 1, (19, 3)))
    assert found.told.tolist() == [UNTOLD] * 3
    assert (found.lead().told, found.lead().images) == (None, 20)
    assert (of_images(np.random.default_rng(4).normal(5, 1, (20, 3))).told == ABOVE).all()


def test_heads_without_values_are_left_out():
    values = np.random.default_rng(5).normal(1, 1, (60, 4))
    counts = np.ones_like(values)
    counts[:, 2] = 0
    found = HeadMeans.of(values * counts, counts, 60)
    assert found.heads == 3
    assert np.isnan(found.mean[2])
    assert found.told[2] == UNTOLD
    assert found.lead().first != 2
    assert np.isnan(found.reliabilities()[2])


def test_reliability_of_a_head_is_the_share_that_is_no_noise():
    """Heads' means spread by 1, and have errors of 1 / 10 or of 1: shares 100/101 and 1/2."""
    random, heads = np.random.default_rng(6), 4_000
    noise = np.where(np.arange(heads) < heads // 2, 1.0, 10.0)
    found = of_images(random.normal(0, 1, heads) + random.normal(0, 1, (100, heads)) * noise).reliabilities()
    assert found[: heads // 2].mean() == pytest.approx(100 / 101, abs=0.01)
    assert found[heads // 2 :].mean() == pytest.approx(0.5, abs=0.06)


def test_groups_are_sums_of_their_images():
    random = np.random.default_rng(7)
    image, values = np.repeat(np.arange(300), 2), random.normal(size=(600, 3))
    values[random.random(values.shape) < 0.1] = np.nan
    clusters = Clusters(image, np.arange(300) % 4, list("abcd"))
    groups = Groups.of(clusters)
    assert groups.number == MOST_GROUPS
    sums = GroupSums(groups, 3)
    for rows in np.array_split(np.arange(600), 7):
        sums.add(rows, values[rows])
    assert sums.images == 300
    np.testing.assert_allclose(sums.means().mean, np.nanmean(values, axis=0))
    own = groups.group[image] == 5
    np.testing.assert_allclose(sums.sums[5], np.nansum(values[own], axis=0))


@pytest.mark.parametrize("noise", NOISES)
def test_nothing_there_is_seldom_told(noise):
    """150 worlds of 60 images and 100 heads: in at most 5% is any head told from 0; up to 12 by chance then, at 1%."""
    random = np.random.default_rng(8)
    found = sum(none_there(random, noise, images=60, heads=100)["any head is told from 0"] for _ in range(150))
    assert found <= 12


def test_the_wrong_head_is_seldom_said_to_be_first():
    """Two heads are equally high, others lower: in 200 worlds one is said to be first in at most 5%, here 10."""
    random = np.random.default_rng(9)
    assert sum(one_first(random, images=60, heads=30)["one of two is first"] for _ in range(200)) <= 10


def test_a_skewed_world_breaks_bonferroni_without_the_slack():
    """So that the worlds above can tell: Student's intervals at the same level are wrong in most."""
    random, wrong = np.random.default_rng(10), 0
    for _ in range(40):
        values = NOISES["skewed"](random, (60, 100))
        p = stats.ttest_1samp(values, 0).pvalue
        wrong += p.min() <= 0.05 / 100
    assert wrong > 10
