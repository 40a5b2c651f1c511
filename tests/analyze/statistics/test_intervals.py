"""Oracle: scipy and statsmodels, brute force, and simulations whose truth is known."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as statsmodels
from scipy import stats

from analyze.statistics.bootstrap import Bootstrap, Draws
from analyze.statistics.clusters import Clusters, ImageSums
from analyze.statistics.intervals import mean_interval, share_interval, skewed_mean_intervals, wilson
from tests.simulations.intervals import LOSSES, MEANS, loss_coverage, mean_coverage, share_coverage

REPEATS = 200  # of simulations; with 1,000, see the README


def clusters(images: int, questions: int = 2, categories: int = 1) -> Clusters:
    image = pd.Series(np.repeat(np.arange(images), questions)).astype(str)
    category = pd.Series(np.repeat(np.arange(images) % categories, questions)).astype(str)
    return Clusters.by_name(image, category)


def weights(bootstrap: Bootstrap) -> np.ndarray:
    """The weight of each image in each resample, [resamples, images]."""
    return bootstrap.totals(np.eye(bootstrap.clusters.images))


def answers(rng: np.random.Generator, images: int, accuracy: float, shared: float) -> np.ndarray:
    """Two answers an image, right so often; with the chance `shared` the second is right if the first is."""
    first, own = (rng.random(images) < accuracy for _ in range(2))
    second = np.where(rng.random(images) < shared, first, own)
    return np.stack([first, second], axis=1).ravel()


def test_sums_are_those_of_pandas():
    rng = np.random.default_rng(0)
    image, category = (pd.Series(rng.integers(0, 7, 50).astype(str)) for _ in range(2))
    of = Clusters.by_name(image, category)
    values = rng.random((50, 3))
    expected = pd.DataFrame(values).groupby([category, image], sort=False).agg(["sum", "mean", "size"])
    assert of.images == len(expected)
    assert of.counts.tolist() == expected[0]["size"].tolist()
    assert of.sums(values) == pytest.approx(expected.xs("sum", axis=1, level=1).to_numpy())
    assert of.means(values) == pytest.approx(expected.xs("mean", axis=1, level=1).to_numpy())
    assert [of.categories[each] for each in of.category] == [name for name, _ in expected.index]


def test_a_mean_s_interval_is_that_of_a_cluster_robust_regression():
    rng = np.random.default_rng(1)
    image = np.repeat(np.arange(40), rng.integers(1, 5, 40))
    values = rng.normal(size=40)[image] + rng.normal(size=len(image))
    of = Clusters.by_name(pd.Series(image), pd.Series(np.zeros(len(image))))
    low, high = mean_interval(ImageSums.of(of.sums(values), of.counts))
    fit = statsmodels.OLS(values, np.ones(len(values))).fit(cov_type="cluster", cov_kwds={"groups": image}, use_t=True)
    # statsmodels also corrects by (N - 1) / (N - 1) for one parameter, which is 1
    assert (low, high) == pytest.approx(fit.conf_int()[0], rel=1e-6)


def test_one_question_an_image_is_student_s_interval_and_parts_add_up():
    values = np.random.default_rng(2).normal(size=(30, 4))
    whole = ImageSums.of(values, np.ones((30, 4)))
    parts = ImageSums.of(values[:11], np.ones((11, 4))) + ImageSums.of(values[11:], np.ones((19, 4)))
    expected = stats.t.interval(0.95, 29, values.mean(axis=0), stats.sem(values, axis=0))
    for sums in (whole, parts):
        for found, bound in zip(mean_interval(sums), expected, strict=True):
            assert found == pytest.approx(bound)
    assert np.isnan(mean_interval(ImageSums.of(values[:1], np.ones((1, 4))))).all()


def test_wilson_is_scipy_s():
    for right, number in ((0, 5), (3, 10), (50, 50)):
        found = stats.binomtest(right, number).proportion_ci(method="wilson")
        normal = stats.norm.ppf(0.975)
        assert wilson(*(np.array([each]) for each in (right / number, number, normal))) == pytest.approx(found)


def test_a_bootstrap_of_single_questions_is_student_s():
    values = np.random.default_rng(3).exponential(size=25)
    of = clusters(25, questions=1)
    found = Bootstrap(of, resamples=20_000).mean(of.sums(values), of.counts)
    expected = stats.t.interval(0.95, 24, values.mean(), stats.sem(values))
    assert (found.low, found.high) == pytest.approx(expected, abs=0.01)


def test_resamples_keep_the_size_of_each_category_and_depend_on_the_seed_alone():
    of = clusters(50, categories=3)
    one, same, other = (weights(Bootstrap(of, 100, seed)) for seed in (0, 0, 1))
    assert (one == same).all()
    assert (one != other).any()
    for category in range(3):
        assert one[:, of.category == category].sum(axis=1) == pytest.approx((of.category == category).sum())


def test_resamples_of_the_same_images_are_drawn_once():
    bootstrap, other = Bootstrap(clusters(20, categories=2), 100, 3), clusters(21, categories=2)
    assert bootstrap.of(clusters(20, categories=2)) is bootstrap
    assert (weights(bootstrap.of(other)) == weights(Bootstrap(other, 100, 3))).all()


@pytest.mark.parametrize("pictures", [None, np.arange(40) % 30])
def test_ratios_are_those_of_one_product_with_all_weights(pictures, monkeypatch):
    """However many resamples are weighed at once; the draws of a seed are those of `multinomial`, 500 at once."""
    of, rng = replace(clusters(40, categories=2), picture=pictures), np.random.default_rng(0)
    strata = of.strata
    whole, draws = np.empty((700, len(strata))), np.random.default_rng(3)
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        for rows in (slice(0, 500), slice(500, 700)):
            drawn = draws.multinomial(len(members) - 1, np.full(len(members), 1 / len(members)), rows.stop - rows.start)
            whole[rows, members] = drawn * len(members) / (len(members) - 1)
    whole = whole if pictures is None else whole[:, pictures]
    monkeypatch.setattr("analyze.statistics.bootstrap._AT_ONCE", 1_000)
    bootstrap, sums, counts = Bootstrap(of, 700, 3), rng.random((40, 2)), rng.integers(1, 4, 40)
    assert weights(bootstrap) == pytest.approx(whole, rel=1e-12)
    for images in (np.ones(40), rng.random(40) < 0.7):
        above, below = sums * images[:, None], counts * images
        assert bootstrap.ratios(above, below) == pytest.approx(whole @ above / (whole @ below)[:, None], rel=1e-12)


@pytest.mark.parametrize("pictures", [None, np.arange(40) % 30])
def test_some_images_by_themselves_are_as_they_are_among_all(pictures):
    """Of 3 categories, with an image that is the only one of a fourth, and images that are in two categories."""
    rng = np.random.default_rng(2)
    image, sets = rng.permutation(np.repeat(np.arange(40), rng.integers(1, 4, 40))), np.repeat(np.arange(40), 2)
    category = np.append(np.arange(39) % 3, 3)
    of = Clusters(image, category, list("abcd"), pictures, (rng.permutation(sets), rng.integers(0, 25, 80)))
    bootstrap, right = Bootstrap(of, 200, 3), rng.integers(0, 2, of.images).astype(float)
    for chosen in (category == 1, category == 3, rng.random(40) < 0.5, np.ones(40, bool)):
        images = np.flatnonzero(chosen)
        some, inside = bootstrap.only(images), chosen[image]
        assert some.clusters.counts.tolist() == of.counts[images].tolist()
        assert (images[some.clusters.image] == image[of.rows(images)]).all()
        assert of.rows(images).tolist() == np.flatnonzero(inside).tolist()
        assert some.clusters.different() == of.different(chosen)
        assert some.clusters.together() == of.together(chosen)
        among = bootstrap.ratios(right * chosen, of.counts * chosen)
        assert (some.ratios(right[images], of.counts[images]) == among).all()
        assert (some.quantiles(chosen[images, None]) == bootstrap.quantiles(chosen[:, None])).all()
        if len(images) > 1:
            own = share_interval(some, right[images], of.counts[images])
            among = share_interval(bootstrap, right * chosen, of.counts * chosen)
            assert (own.low, own.high) == pytest.approx((among.low, among.high), rel=1e-12)
            again = some.only(np.arange(1, len(images)))
            assert (again.totals(np.eye(len(images) - 1)) == weights(bootstrap)[:, images[1:]]).all()


@pytest.mark.parametrize("kept", [0, 2_500, 10**9])
@pytest.mark.parametrize("pictures", [None, np.arange(40) % 30])
def test_draws_that_are_not_kept_are_the_same_when_drawn_again(kept, pictures, monkeypatch):
    """Of 3 categories of 13 or 14 images or, where images are in two of them, of sets of these: 100 resamples each."""
    of = replace(clusters(40, categories=3), picture=pictures)
    whole, last = weights(Bootstrap(of, 100, 3)), np.flatnonzero(of.category == 2)
    monkeypatch.setattr("analyze.statistics.bootstrap._KEPT", kept)
    bootstrap = Bootstrap(of, 100, 3)
    assert (weights(bootstrap.only(last)) == whole[:, last]).all()  # before the strata that come first
    assert (weights(bootstrap) == whole).all()
    assert (weights(bootstrap) == whole).all()
    assert bootstrap._draws._held <= kept


@pytest.mark.parametrize(("kept", "held"), [(2**28, 1.2e6), (0, 0.2e6)])
def test_resampling_holds_a_byte_for_each_draw_or_none(monkeypatch, kept, held):
    monkeypatch.setattr("analyze.statistics.bootstrap._AT_ONCE", 50_000)
    monkeypatch.setattr("analyze.statistics.bootstrap._KEPT", kept)
    of = clusters(1_000)
    bootstrap = Bootstrap(of, 1_000)
    tracemalloc.start()
    try:
        bootstrap.totals(np.ones((1_000, 1)))
        assert tracemalloc.get_traced_memory()[0] < held  # as float32, they were 4 MB
        tracemalloc.reset_peak()
        bootstrap.ratios(np.ones(1_000), of.counts)
        assert tracemalloc.get_traced_memory()[1] < held + 1.8e6  # and a copy of them as much again
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("pictures", [None, np.arange(40) % 30])
@pytest.mark.parametrize(
    ("held", "room", "again", "kept", "once"),
    [
        *((2**26, 10**6, each, each, True) for each in (True, False)),
        (100, 10**6, False, True, True),  # group by group
        (100, 0, False, False, False),
    ],
)
def test_each_image_is_drawn_once_for_several_groups(pictures, held, room, again, kept, once, monkeypatch):
    """Of 3 categories, all of their images, and no image; unless groups are taken one by one and nothing has room."""
    monkeypatch.setattr("analyze.statistics.bootstrap._TOTALS", held)
    monkeypatch.setattr("analyze.statistics.bootstrap._KEPT", room)
    of, rng = replace(clusters(40, categories=3), picture=pictures), np.random.default_rng(0)
    images = [*(np.flatnonzero(of.category == number) for number in range(3)), np.arange(40), np.arange(0)]
    groups = [(each, rng.random((len(each), 2))) for each in images]
    bootstrap, strata, draw = Bootstrap(of, 100, 3), [], Draws._drawn
    monkeypatch.setattr(Draws, "_drawn", lambda self, number, keep: strata.append(number) or draw(self, number, keep))
    found = list(bootstrap.totals_of_groups(groups, again=again))
    assert (len(strata) == len(set(strata))) == once
    assert (bootstrap._draws._held > 0) == kept
    whole = weights(Bootstrap(of, 100, 3))
    for (own, values), totals in zip(groups, found, strict=True):
        assert totals == pytest.approx(whole[:, own] @ values, rel=1e-12)


def test_totals_of_whole_numbers_are_exact_in_any_order():
    """So that neither the order of questions nor the number of threads shows in an interval."""
    of, right = clusters(3_000, categories=7), np.random.default_rng(1).integers(0, 3, (3_000, 1))
    bootstrap = Bootstrap(of, 50)
    parts = [bootstrap.totals(right * (np.arange(3_000) % 21 == part)[:, None]) for part in range(21)]
    each = [np.sum(parts[number::7], axis=0) / (n / (n - 1)) for number, n in enumerate(np.bincount(of.category))]
    assert np.abs(each - np.round(each)).max() < 1e-9
    assert bootstrap.totals(right) == pytest.approx(np.sum(parts, axis=0), rel=1e-14)


def test_many_at_once_are_each_alone():
    of = clusters(30)
    values = np.random.default_rng(4).random((60, 5))
    bootstrap = Bootstrap(of, 500)
    draws = bootstrap.ratios(of.sums(values), of.counts)
    low, high = bootstrap.bounds(values.mean(axis=0), draws, of.counts > 0)
    for column in range(5):
        alone = bootstrap.mean(of.sums(values)[:, column], of.counts)
        assert (alone.low, alone.high) == pytest.approx((low[column], high[column]), abs=1e-6)


def test_draws_without_a_value_are_left_out():
    bootstrap = Bootstrap(clusters(3))
    estimates, images = np.ones(2), np.ones(3, bool)
    left, known = (bootstrap.bounds(estimates, np.array([[1.0, each], [0, 0], [2, 2]]), images) for each in (np.nan, 1))
    assert left[0][1] == pytest.approx(1 - stats.t.ppf(0.975, 2))
    assert left[0][0] == known[0][0] == known[0][1] > left[0][1]


@pytest.mark.parametrize("accuracy", [0.2, 0.5, 0.8])
def test_intervals_of_accuracy_cover_the_truth(accuracy):
    """95% of them, with 60 images; intervals that take questions as units cover it too seldom."""
    rng = np.random.default_rng(5)
    of = clusters(60, categories=3)
    bootstrap = Bootstrap(of, 1_000)
    covered = naive = 0
    for _ in range(REPEATS):
        right = answers(rng, 60, accuracy, shared=0.8).astype(float)
        found = share_interval(bootstrap, of.sums(right), of.counts)
        covered += found.low <= accuracy <= found.high
        error = 1.96 * np.sqrt(right.mean() * (1 - right.mean()) / len(right))
        naive += abs(right.mean() - accuracy) <= error
    assert 0.90 <= covered / REPEATS <= 0.985
    assert naive < covered - 0.04 * REPEATS


def test_intervals_near_0_and_1_and_of_few_images_are_rather_too_long():
    rng = np.random.default_rng(6)
    for images, accuracy in ((10, 0.5), (60, 0.98), (200, 0.999)):
        of = clusters(images)
        bootstrap = Bootstrap(of, 500)
        covered = 0
        for _ in range(REPEATS):
            right = answers(rng, images, accuracy, shared=0.8).astype(float)
            found = share_interval(bootstrap, of.sums(right), of.counts)
            covered += found.low <= accuracy <= found.high
        assert covered / REPEATS >= 0.93


@pytest.mark.parametrize(("accuracy", "images"), [(0.9, 20), (0.75, 40), (0.9, 40)])
def test_intervals_of_shares_and_differences_in_a_category_cover_the_truth(accuracy, images):
    """With 20 images differences are hardly ever told; models that lose answers are told where they lost many."""
    found = share_coverage(accuracy, images, 2_000, resamples=500)
    assert all(0.93 <= found[name] <= 0.985 for name in ("accuracy", "score")), found
    if images == 40:
        assert all(0.935 <= found[f"{name} less, alike"] <= 0.97 for name in ("accuracy", "score")), found
        assert all(found[f"{name} less, C"] >= 0.93 for name in ("accuracy", "score")), found


def test_what_has_no_interval_says_why():
    of = clusters(1)
    bootstrap = Bootstrap(of, 10)
    found = share_interval(bootstrap, np.array([1.0]), np.array([2.0]))
    assert (found.low, found.high, found.why) == (None, None, "1 image")
    with pytest.raises(ValueError, match="no image has a value"):
        share_interval(bootstrap, np.array([0.0]), np.array([0.0]))


def test_images_that_are_alone_in_their_category_are_resampled_together():
    lonely = clusters(30, categories=30)
    found = Bootstrap(lonely).mean(2 * np.arange(30.0), lonely.counts)
    error = stats.sem(np.arange(30.0))
    assert (found.low, found.high) == pytest.approx((14.5 - 1.96 * error, 14.5 + 1.96 * error), abs=0.2)


def test_ratios_of_all_categories_are_those_of_each():
    of, rng = clusters(50, categories=8), np.random.default_rng(0)
    bootstrap, right = Bootstrap(of, 20), rng.integers(0, 3, 50).astype(float)
    images = rng.random(50) < 0.7
    some = [images & (of.category == number) for number in range(8)]
    each = [bootstrap.ratios(right * own, of.counts * own) for own in some]
    found = list(bootstrap.ratios_by_category(right, of.counts, images))
    assert np.stack(found) == pytest.approx(np.stack(each), rel=1e-12, nan_ok=True)


@pytest.mark.parametrize("images", [60, 300])
def test_intervals_of_means_cover_the_truth(images):
    rng = np.random.default_rng(7)
    of = clusters(images)
    covered = 0
    for _ in range(REPEATS):
        values = np.repeat(rng.gamma(2, 0.5, images), 2) + rng.normal(0, 0.1, 2 * images)
        low, high = mean_interval(ImageSums.of(of.sums(values), of.counts))
        covered += low <= 1.0 <= high
    assert 0.90 <= covered / REPEATS <= 0.985


@pytest.mark.parametrize("name", list(MEANS))
def test_intervals_of_skewed_means_hold_where_student_s_are_too_short(name):
    """With 60 images 93% to 97% of them hold; of 1,000, the share is known to 1.4 points."""
    own, student = mean_coverage(name, 60, 1000)
    assert 0.925 <= own <= 0.985
    if name not in ("normal", "heavy tails"):
        assert student <= own - 0.01
    assert mean_coverage(name, 20, 1000)[0] >= {"lognormal": 0.89, "one in ten is far off": 0.85}.get(name, 0.92)


@pytest.mark.parametrize("name", list(LOSSES))
def test_intervals_of_a_loss_hold_where_one_category_changes_and_another_hardly_does(name):
    assert loss_coverage(name, 300) >= 0.925


def test_an_interval_of_skewed_means_is_student_s_or_hall_s_whichever_is_further():
    """Oracle: scipy, and the transformation turned about: at each bound, its g(T) is the quantile."""
    values = np.random.default_rng(8).exponential(size=(30, 1))
    low, high = (each[0] for each in skewed_mean_intervals(values, np.ones((30, 1)), np.zeros(30, int)))
    student = stats.t.interval(0.95, 29, values.mean(), stats.sem(values)[0])
    assert low == pytest.approx(student[0])  # values far above the mean say little of what is below it
    own = (values.mean() - high) / stats.sem(values)[0]
    skew = stats.skew(values, bias=False)[0] / np.sqrt(30)
    assert own + skew / 3 * own**2 + skew**2 / 27 * own**3 + skew / 6 == pytest.approx(-stats.t.ppf(0.975, 29))


def test_images_alone_in_their_categories_are_taken_together():
    values = np.random.default_rng(9).normal(size=(12, 1))
    apart, together = (
        skewed_mean_intervals(values, np.ones((12, 1)), each) for each in (np.arange(12), np.zeros(12, int))
    )
    assert np.allclose(apart, together)
    assert np.isnan(skewed_mean_intervals(values[:1], np.ones((1, 1)), np.zeros(1, int))).all()
