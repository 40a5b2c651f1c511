"""Oracles: scipy's Spearman, permutations, pandas on the tables, and worlds in which it is known what matters."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analyze.prune.criteria import Criterion
from analyze.prune.ranking import correlation_interval, finds_top, rank_all, relations
from analyze.prune.results import rank_run
from analyze.statistics.clusters import Clusters
from analyze.tables.frames import open_heads
from schemas.errors import HeadflowError
from tests.support.looking import write_looking
from tests.support.prunable import World, measure, singles, write_world
from tests.support.runs import edit_manifest, put, rewrite

IMAGES = {"existence": 30, "color": 26}


@pytest.fixture(scope="module")
def world():
    return World.of(3, 4)


@pytest.fixture(scope="module")
def run(tmp_path_factory, world):
    path = write_world(
        tmp_path_factory.mktemp("ranking") / "run",
        world,
        categories=IMAGES,
        tables=("contributions", "layers"),
        looks=-1,
    )
    measure(path, world, "single", dict(reversed(singles(world).items())))  # in any order
    measure(path, world, "skips", singles(world, "layers"), kind="skip")
    return path


@pytest.fixture(scope="module")
def found(run):
    return rank_run(open_heads(run)[0], resamples=500)


def test_means_are_those_of_the_ranking_half(run, found):
    ids = set(found.samples["sample_id"][found.ranks].astype(str))
    assert not ids & set(found.samples["sample_id"][found.tests].astype(str))
    tables = {name: pd.read_parquet(run / name) for name in ("heads", "contributions", "layers", "knockouts")}
    tables = {name: table[table["sample_id"].astype(str).isin(ids)] for name, table in tables.items()}
    answers = pd.read_parquet(run / "samples").set_index("sample_id")["answer"]
    knocked = tables["knockouts"]
    y = knocked["sample_id"].astype(str).map(answers).map({"Yes": 1, "No": -1}).astype(float)
    effect = (y * (knocked["margin_untouched"] - knocked["margin"])).rename("effect")
    knocked = knocked.assign(effect=effect)
    expected = {
        ("heads", "a2v"): tables["heads"].groupby(["layer", "head"])["a2v"].mean(),
        ("heads", "direct"): tables["contributions"].eval("d2v = abs(d2v)").groupby(["layer", "head"])["d2v"].mean(),
        ("heads", "effect"): knocked[knocked["job"] == "single"].groupby(["layer", "head"])["effect"].mean(),
        ("layers", "bi_image"): tables["layers"].groupby("layer")["bi_image"].mean(),
        ("layers", "effect"): knocked[knocked["job"] == "skips"].groupby("layer")["effect"].mean(),
    }  # fmt: skip
    for (unit, name), values in expected.items():
        own = found.tables()[f"{unit}.csv"]
        own = own[own["criterion"] == name]
        assert own["value"].to_numpy() == pytest.approx(values.to_numpy(), abs=1e-5)
        assert own["rank"].tolist() == stats.rankdata(own["value"]).tolist()
        assert (own["low"] < own["value"]).all()
        assert (own["value"] < own["high"]).all()
        if name != "effect":
            assert not np.allclose(own["value"], _of_all(run, name), atol=1e-6)  # the test half is left out


def _of_all(run, name):
    table, column = {"a2v": ("heads", "a2v"), "direct": ("contributions", "d2v"), "bi_image": ("layers", "bi_image")}[
        name
    ]
    rows = pd.read_parquet(run / table)
    return rows[column].abs().groupby([rows[each] for each in ("layer", "head") if each in rows]).mean().to_numpy()


def test_effects_are_of_those_who_matter(found, world):
    effect = next(each for each in found.ranked if each.criterion.measured and each.criterion.unit == "heads")
    assert effect.means == pytest.approx(world.heads.ravel(), abs=0.1)
    assert effect.reliability > 0.9


def test_relations_are_scipy_s_and_have_the_right_sign(found):
    heads = {each.criterion.name: each.means for each in found.ranked if each.criterion.unit == "heads"}
    rows = found.relations[found.relations["unit"] == "heads"].set_index(["criterion", "other"])
    for (one, other), row in rows.iterrows():
        assert row["correlation"] == pytest.approx(stats.spearmanr(heads[one], heads[other]).statistic)
        assert row["low"] <= row["correlation"] <= row["high"]
    assert rows.loc[("a2v", "effect"), "high"] < 0 < rows.loc[("direct", "effect"), "low"]
    assert rows.loc[("a2v", "effect"), "auroc"] < 0.2
    assert rows.loc[("direct", "effect"), "auroc"] == 1
    assert rows.loc[("direct", "effect"), "auroc_p"] < 0.05
    lines = found.verdict()
    assert "images rank" in lines[0]
    assert any(line.startswith("heads, a2v and the measured effect: rank correlation -0.") for line in lines)
    assert any("matter less; finds the quarter" in line for line in lines)
    assert any("matter more; finds the quarter" in line for line in lines)


def test_the_auroc_and_its_p_are_those_of_permutations():
    random = np.random.default_rng(0)
    values, effects = random.normal(size=(2, 16))
    top = np.argsort(effects)[-4:]

    def auroc(order):
        rest = np.delete(order, top)
        return (order[top][:, None] > rest).mean()

    found = finds_top(values, effects)
    assert found["auroc"] == pytest.approx(auroc(values))
    drawn = np.array([auroc(random.permutation(values)) for _ in range(20_000)])
    assert found["auroc_p"] == pytest.approx((np.abs(drawn - 0.5) >= abs(auroc(values) - 0.5) - 1e-9).mean(), abs=0.02)


def seen(random: np.random.Generator, truth: np.ndarray, noise: float, images: int = 40) -> list[Criterion]:
    """Two criteria as some images show them, whose values are the truth [2, cells] with noise."""
    values = truth[:, None] + random.normal(0, noise, (2, images, truth.shape[1]))
    return [
        Criterion("heads", name, "", own.astype(np.float32)) for name, own in zip(("a2v", "q2v"), values, strict=True)
    ]


def clusters(images: int = 40) -> Clusters:
    return Clusters(np.arange(images), np.zeros(images, int), ["OCR"])


def correlated(random: np.random.Generator, cells: int) -> np.ndarray:
    return random.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], cells).T


def test_the_interval_of_a_correlation_holds_what_so_many_images_show():
    """It is a little too short where ranks are noisy, as here; a correlation of 0 is not held to be another one."""
    random = np.random.default_rng(3)
    truth = correlated(random, 30)
    shown = [
        stats.spearmanr(*(each.values.mean(axis=0) for each in seen(random, truth, 2.0))).statistic for _ in range(500)
    ]
    held = []
    for _ in range(50):
        one, other = rank_all(seen(random, truth, 2.0), clusters(), 30, 200, 0)
        found = stats.spearmanr(one.means, other.means).statistic
        low, high = correlation_interval(found, one.ranks, other.ranks)
        assert low <= found <= high
        held.append(low <= np.mean(shown) <= high)
    assert np.mean(held) > 0.75


def test_the_interval_of_a_perfect_correlation_of_few_cells():
    """Fisher's z of 1 is infinite: some perfect draws among others must not make the interval reach below 0."""
    ordered = np.tile(np.arange(1.0, 7), (200, 1)).astype(np.float32)
    swapped = ordered.copy()
    swapped[:100, :2] = [2, 1]
    low, high = correlation_interval(33 / 35, ordered, swapped)  # that of two neighbours exchanged
    assert 0.8 < low < 33 / 35 < high < 1
    assert correlation_interval(1.0, ordered, ordered) == (pytest.approx(1 - 6 / 210), 1)


def test_the_correlation_without_noise_is_larger():
    random = np.random.default_rng(4)
    truth = correlated(random, 60)
    rows = pd.concat([relations(rank_all(seen(random, truth, 2.0), clusters(), 60, 100, 0), 0) for _ in range(8)])
    true = stats.spearmanr(*truth).statistic
    assert rows["correlation"].mean() < true - 0.03
    assert rows["disattenuated"].mean() == pytest.approx(true, abs=0.06)


def test_criteria_without_noise_correction_where_they_are_not_reliable():
    random = np.random.default_rng(0)
    ranked = rank_all(seen(random, correlated(random, 20), 50.0), clusters(), 20, 200, 0)
    assert np.isnan(relations(ranked, 0)["disattenuated"].iloc[0])


def test_few_images_have_no_interval(tmp_path, world):
    path = write_world(tmp_path / "run", world, categories={"OCR": 12})
    measure(path, world, "single", singles(world))
    found = rank_run(open_heads(path)[0], resamples=200)
    assert found.tables()["heads.csv"][["low", "high"]].isna().all(axis=None)
    assert any(line.endswith("without an interval: too few images") for line in found.verdict())


def test_the_job_of_effects(run, tmp_path, world):
    heads, _ = open_heads(run)
    with pytest.raises(HeadflowError, match="has no job 'x'; its jobs: single, skips"):
        rank_run(heads, effects=["x"])
    path = write_world(tmp_path / "run", world, categories=IMAGES)
    heads, _ = open_heads(path)
    found = rank_run(heads, resamples=200)
    assert [each.criterion.name for each in found.ranked] == ["a2v", "q2v"]
    assert any("no measured effect to compare with" in line for line in found.verdict())
    measure(path, world, "zeroed", singles(world), kind="zero")
    assert rank_run(heads, resamples=200).criteria["job"].tolist()[-1] == "zeroed"
    measure(path, world, "cut", singles(world), kind="edge")
    assert rank_run(heads, resamples=200).criteria["job"].tolist()[-1] == "cut"  # edge before others
    assert rank_run(heads, effects=["zeroed"], resamples=200).criteria["kind"].tolist()[-1] == "zero"
    measure(path, world, "again", singles(world), kind="edge")
    with pytest.raises(HeadflowError, match=r"again \(edge\), cut \(edge\), zeroed \(zero\); choose one"):
        rank_run(heads)
    measure(path, world, "some", {"L0H1": {"heads": [[0, 1]]}})
    with pytest.raises(HeadflowError, match=r"job some of .* did not knock out each single head"):
        rank_run(heads, effects=["some"])
    measure(path, world, "blind", singles(world, "layers"), kind="edge")
    with pytest.raises(HeadflowError, match="nor skip each single layer"):
        rank_run(heads, effects=["blind"])


def test_samples_that_a_job_could_not_compute_are_left_out(tmp_path, world):
    path = write_world(tmp_path / "run", world, categories=IMAGES)
    measure(path, world, "single", singles(world), null=["L0H1"])
    with pytest.raises(HeadflowError, match="has no margins of the samples that rank"):
        rank_run(open_heads(path)[0], resamples=200)


def test_criteria_that_are_asked_for(run):
    heads, _ = open_heads(run)
    found = rank_run(heads, criteria=["direct", "a2v"], resamples=200)
    assert [each.criterion.name for each in found.ranked] == ["direct", "a2v"]
    with pytest.raises(HeadflowError, match="has no criterion v2v; it has a2v, q2v, direct, bi_last"):
        rank_run(heads, criteria=["v2v"])


@pytest.mark.parametrize("sink", [0.3, None])
def test_attention_without_sinks(tmp_path, sink):
    path = write_looking(tmp_path / "run", images=8, sink=sink)
    heads = open_heads(path)[0]
    found = rank_run(heads, resamples=200)
    assert [each.criterion.name for each in found.ranked] == ["a2v", "q2v", *(["a2v_nosink"] if sink else [])]
    if sink is None:
        with pytest.raises(HeadflowError, match="has no criterion a2v_nosink; it has a2v, q2v"):
            rank_run(heads, criteria=["a2v_nosink"])
        return
    rows = pd.read_parquet(path / "maps")
    rows = rows[rows["sample_id"].astype(str).isin(set(found.samples["sample_id"][found.ranks].astype(str)))]
    expected = rows.assign(left=rows["mass"] - rows["sink"]).groupby(["layer", "head"])["left"].mean()
    assert np.allclose(found.ranked[-1].means, expected, atol=1e-6)


@pytest.mark.parametrize("null", [slice(0, 6), slice(None)], ids=["one sample", "all"])
def test_sinks_that_are_null_in_some_samples(tmp_path, null):
    path = write_looking(tmp_path / "run", images=8)
    rows = range(len(pd.read_parquet(path / "maps")))[null]
    rewrite(path, "maps", lambda table: put(table, "sink", null, [None] * len(rows)))
    names = [each.criterion.name for each in rank_run(open_heads(path)[0], resamples=200).ranked]
    assert ("a2v_nosink" in names) == (len(rows) == 6)


def test_maps_of_question_tokens_say_nothing_of_the_last_one(tmp_path):
    path = write_looking(tmp_path / "run", images=8)
    edit_manifest(path, maps_of="q")
    assert [each.criterion.name for each in rank_run(open_heads(path)[0], resamples=200).ranked] == ["a2v", "q2v"]
