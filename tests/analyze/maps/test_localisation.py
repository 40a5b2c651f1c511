"""Oracles: pandas on the rows of `maps` and `samples`, map by map; parts = whole; `share_interval` one by one."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from analyze.maps.grids import read_grid
from analyze.maps.measures import LEAST_SHARE
from analyze.maps.pointing import p_of_chance
from analyze.maps.results import localise
from analyze.prune.halves import divide
from analyze.statistics.bootstrap import Bootstrap
from analyze.statistics.clusters import Clusters
from analyze.statistics.intervals import share_interval, share_intervals
from analyze.statistics.reliability import halves
from analyze.tables.frames import open_heads
from schemas.columns import MAPS
from schemas.errors import HeadflowError
from schemas.store import writer as writer_module
from tests.simulations.maps import WORLDS, simulate
from tests.support.looking import GRIDS, POINTER, write_looking
from tests.support.prunable import World, measure, singles
from tests.support.runs import edit_manifest, put, rewrite, write_run

FEW = {"resamples": 300}
KEPT = [(0, 1), (1, 0), (1, 2)]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = write_looking(tmp_path_factory.mktemp("looking") / "run", images=44)
    measure(path, World.of(2, 3), "single", singles(World.of(2, 3)))
    return path


@pytest.fixture(scope="module")
def found(run):
    return localise(open_heads(run)[0], **FEW)


@pytest.fixture(scope="module")
def rows(run):
    """The rows of `maps` with those of `samples`."""
    samples = pd.read_parquet(run / "samples").drop(columns="category")
    return pd.read_parquet(run / MAPS).astype({"sample_id": str}).merge(samples.astype({"sample_id": str}), "left")


def hit(row) -> float:
    """The share of the largest patches whose centre is in the box."""
    x0, y0, x1, y1 = row.grid_box
    (a, b, c, d), hits = row.boxes[0], []
    for patch in np.flatnonzero(row.map == row.map.max()):
        down, right = divmod(patch, row.grid_columns)
        x = x0 + (right + 0.5) / row.grid_columns * (x1 - x0)
        y = y0 + (down + 0.5) / row.grid_rows * (y1 - y0)
        hits.append(a <= x <= c and b <= y <= d)
    return float(np.mean(hits))


def shares_in_box(row) -> tuple[float, float]:
    """The share of the map in the box, and that of its area."""
    x0, y0, x1, y1 = row.grid_box
    wide, high = (x1 - x0) / row.grid_columns, (y1 - y0) / row.grid_rows
    (a, b, c, d), covered = row.boxes[0], []
    for patch in range(row.grid_rows * row.grid_columns):
        down, right = divmod(patch, row.grid_columns)
        left, top = x0 + right * wide, y0 + down * high
        across = max(0, min(c, left + wide) - max(a, left))
        covered.append(across * max(0, min(d, top + high) - max(b, top)) / (wide * high))
    return float((row.map / row.map.sum() * covered).sum()), float(np.mean(covered))


def test_means_of_heads_are_those_of_pandas(found, rows):
    table = found.tables()["heads.csv"].set_index(["layer", "head"])
    groups = rows.groupby(["layer", "head"])
    sums = groups[["mass", "sink"]].sum()
    expected = {
        "mass": groups["mass"].mean(),
        "entropy": groups["entropy"].mean(),
        "sink_share": sums["sink"] / sums["mass"],
        "pointing": rows.assign(hit=[hit(row) for row in rows.itertuples()]).groupby(["layer", "head"])["hit"].mean(),
    }
    pairs = pd.DataFrame([shares_in_box(row) for row in rows.itertuples()], columns=["map", "area"])
    of_box = pairs.groupby([rows["layer"], rows["head"]]).sum()
    expected["inside"] = of_box["map"] / of_box["area"]
    for name, values in expected.items():
        assert np.allclose(table[name], values.reindex(table.index), atol=1e-5), name
        if name != "sink_share":  # made the same in each sample
            assert ((table[f"{name}_low"] < table[name]) & (table[name] < table[f"{name}_high"])).all(), name


def test_sink_share_by_layer(found, rows):
    sums = rows.groupby("layer")[["mass", "sink"]].sum()
    layers = found.looks.layers
    assert np.allclose(layers["sink_share"], sums["sink"] / sums["mass"], atol=1e-6)
    assert np.allclose(layers["mass"], rows.groupby("layer")["mass"].mean(), atol=1e-6)
    assert layers["sink_share"].round(5).tolist() == [0.2, 0]
    assert "most in layer 0: 20.0%" in found.verdict()[1]


def test_the_three_that_localise_best(tmp_path):
    found = localise(open_heads(write_looking(tmp_path / "run", images=20, layers=4, heads=5))[0], **FEW)
    table = found.looks.table
    quarter = table.nlargest(5, "mass")
    assert table["candidate"].sum() == 5
    assert set(quarter.index) == set(table.index[table["candidate"]])
    best = quarter.nsmallest(3, "spatial_entropy")
    assert found.looks.localising == list(zip(best["layer"], best["head"], strict=True))
    assert table["chosen"].sum() == pytest.approx(3)
    most = table.nlargest(6, "mass", keep="all")
    assert found.looks.lead.images == 10
    assert found.verdict()[0].startswith("no head localises better than the others, as far as can be told; lowest, of")
    drawn = [*found.looks.localising, *zip(most["layer"], most["head"], strict=True)]
    assert found.drawn_heads(5) == list(dict.fromkeys(drawn))[:5]


def test_the_head_that_points_is_found(found):
    assert found.pointing.best == POINTER
    points = found.pointing.table.query("points")
    assert list(zip(points["layer"], points["head"], strict=True)) == [POINTER]
    tested = found.pointing.tested.set_index("point")
    assert tested.loc["best head", "accuracy"] > 0.6
    assert (tested["lead_low"].drop("best head") > 0).sum() >= 3


def test_the_best_head_is_chosen_on_one_half_and_tested_on_the_other(found, rows):
    pointing, tests = found.pointing, divide(found.samples, 0)
    assert (pointing.samples, pointing.images, pointing.tested_images) == (88, 44, 22)
    hits = pd.DataFrame(
        [hit(row) for row in rows.itertuples()], index=pd.MultiIndex.from_frame(rows[["sample_id", "layer", "head"]])
    )[0].unstack(["layer", "head"])
    hits = hits.loc[found.samples["sample_id"].astype(str)]
    assert hits[~tests].mean().idxmax() == pointing.best
    own = rows.drop_duplicates("sample_id")
    centre = np.array([a <= 30 <= c and b <= 20 <= d for a, b, c, d in own["boxes"].str[0]])
    chance = np.array(
        [np.mean([hit(one_patch(row, patch)) for patch in range(len(row.map))]) for row in own.itertuples()]
    )
    accuracy = hits[tests].mean()
    expected = [
        accuracy[pointing.best], centre[tests].mean(), chance[tests].mean(),
        accuracy[hits[~tests].mean().sort_values(ascending=False, kind="stable").index[3]],
    ]  # fmt: skip
    assert pointing.tested["point"].tolist() == ["best head", "image centre", "random patch", "median head"]
    assert np.allclose(pointing.tested["accuracy"], expected)
    assert np.allclose(pointing.tested["lead"][1:], expected[0] - np.array(expected[1:]))


def one_patch(row, patch):
    """A row whose map is one patch."""
    return row._replace(map=np.arange(len(row.map)) == patch)


def test_pointing_and_the_measured_effect(run, found, rows):
    relation, knocked = (
        found.relation,
        pd.read_parquet(run / "jobs" / "single" / "knockouts").astype({"sample_id": str}),
    )
    answers = pd.read_parquet(run / "samples").astype({"sample_id": str}).set_index("sample_id")["answer"]
    y = knocked["sample_id"].map(answers).map({"Yes": 1, "No": -1})
    effects = (
        (y * (knocked["margin_untouched"] - knocked["margin"])).groupby([knocked["layer"], knocked["head"]]).mean()
    )
    assert np.allclose(relation.effects, effects, atol=1e-5)
    half = halves(Clusters.of(found.samples).category, np.random.default_rng(0))[np.repeat(np.arange(44), 2)]
    own = rows.assign(hit=[hit(row) for row in rows.itertuples()], half=np.repeat(half, 6))
    pointing = own[own["half"] == 0].groupby(["layer", "head"])["hit"].mean()
    tests = knocked["sample_id"].isin(own.loc[own["half"] == 1, "sample_id"])
    effects_there = (y * (knocked["margin_untouched"] - knocked["margin"]))[tests]
    effects_there = effects_there.groupby([knocked["layer"], knocked["head"]]).mean()
    assert relation.agreement.correlation == pytest.approx(spearmanr(pointing, effects_there)[0])
    assert 0 < relation.agreement.p <= 1
    assert "(job single, kind edge, 88 questions on 44 images)" in found.verdict()[-2]
    most = effects.idxmax()
    assert f"whose knock-out costs most (L{most[0]}H{most[1]}, " in found.verdict()[-1]


def test_the_hits_of_random_patches_are_counted_exactly():
    """Oracle: all outcomes of four images, one of them with two questions."""
    image, chance = np.array([0, 1, 1, 2, 3]), np.array([0.1, 0.5, 0.5, 0.3, 0.2])
    samples = pd.DataFrame({"image": image.astype(str), "category": "a"})
    hits = np.array([[0, 1, 1, 0, 0], [1, 1, 1, 0, 1], [0, 0, 0, 0, 0]]).T.astype(float)
    p = p_of_chance(Clusters.by_name(samples["image"], samples["category"]), hits, chance)
    expected = np.zeros(3)
    for outcome in product([0, 1], repeat=4):
        likely = np.prod(np.where(outcome, [0.1, 0.5, 0.3, 0.2], [0.9, 0.5, 0.7, 0.8]))
        expected += likely * (np.dot(outcome, [1, 2, 1, 1]) >= hits.sum(axis=0))
    assert np.allclose(p, np.minimum(1, 3 * expected))


@pytest.mark.parametrize("place", range(2))
def test_sentences_are_seldom_false_where_nothing_is_there(place):
    """At most 5% are, as the simulation measures at size; of 12 runs more than 3 with a probability of 0.002 then."""
    false = simulate(WORLDS[place], 12)
    assert len(false) >= 8
    assert max(false.values()) <= 3, false


@pytest.mark.filterwarnings("error")
def test_flat_maps_localise_nothing(tmp_path):
    path = write_looking(tmp_path / "run", images=24, kept=KEPT)  # heads without a map have no draws to warn of
    rewrite(path, MAPS, lambda table: put(table, "entropy", slice(None), [0.9995] * len(table)))
    assert localise(open_heads(path)[0], **FEW).verdict()[0] == (
        "localising heads cannot be told: the maps of all 3 heads are flat (entropy from 0.9995)"
    )


def test_one_image_tells_no_share_of_resamples(tmp_path):
    found = localise(open_heads(write_looking(tmp_path / "run", images=1))[0], **FEW)
    assert found.looks.table["chosen"].isna().all()
    assert "resamples" not in found.verdict()[0]
    assert "%" not in found.verdict()[0]


def test_boxes_outside_of_the_image_are_counted(tmp_path):
    path = write_looking(tmp_path / "run", images=4)
    rewrite(path, "samples", lambda table: put(table, "boxes", slice(3), [[[60.0, 0.0, 70.0, 9.0]]] * 3))
    found = localise(open_heads(path)[0], **FEW)
    assert found.pointing.outside == 3
    assert "warning: in 3 questions all boxes lie outside of the image; none can be hit" in found.verdict()


def test_what_a_job_measured_is_said(tmp_path):
    path, world = write_looking(tmp_path / "run", images=8), World.of(2, 3)
    ids = pd.read_parquet(path / "samples")["sample_id"].tolist()[:3]
    measure(path, world, "single", singles(world), query="last", key="image", ids=ids)
    found = localise(open_heads(path)[0], **FEW)
    assert "(job single, kind edge, query last, key image, 3 questions on 2 images)" in found.verdict()[-2]


def test_maps_of_parts_are_those_of_the_whole(tmp_path, monkeypatch):
    whole = localise(open_heads(write_looking(tmp_path / "whole", images=8, kept=KEPT))[0], **FEW)
    monkeypatch.setattr(writer_module, "ROWS_PER_PART", 18)
    run = write_looking(tmp_path / "parts", images=8, kept=KEPT)
    assert len(list((run / MAPS).glob("*.parquet"))) > 3
    parts = localise(open_heads(run)[0], **FEW)
    for name, table in whole.tables().items():
        pd.testing.assert_frame_equal(table, parts.tables()[name])
    assert np.array_equal(whole.measures.means.shares, parts.measures.means.shares)


def test_heads_without_maps_have_no_spatial_entropy(tmp_path):
    found = localise(open_heads(write_looking(tmp_path / "run", images=8, kept=KEPT))[0], **FEW)
    table = found.tables()["heads.csv"]
    has = [place in KEPT for place in zip(table["layer"], table["head"], strict=True)]
    assert table["spatial_entropy"].notna().tolist() == has
    assert table["pointing"].notna().tolist() == has
    assert table["mass"].notna().all()
    assert set(found.drawn_heads(9)) == set(KEPT)


def test_no_boxes_no_sinks_and_few_images(tmp_path):
    path = write_looking(tmp_path / "run", images=2, boxes=False, sink=None)
    rewrite(path, MAPS, lambda table: put(table, "entropy", slice(0, 4), [None] * 4))
    found = localise(open_heads(path)[0], **FEW)
    assert found.pointing is None
    assert list(found.tables()) == ["heads.csv", "layers.csv"]
    table = found.tables()["heads.csv"]
    assert table["sink_share"].isna().all()
    assert table["mass_low"].isna().all()  # two images
    assert table["entropy"].notna().all()
    assert found.verdict()[1:] == [
        "visual sinks: cannot be told; only in a model wider than 400 can a state exceed 20 times its root mean square",
        "pointing: no question says where its answer lies, so it cannot be told",
    ]
    rewrite(path, "samples", lambda table: put(table, "n_bos", slice(0, 4), [0] * 4))
    assert localise(open_heads(path)[0], **FEW).verdict()[1] == (
        "visual sinks: not known, as the prompt begins with the image"
    )
    none = localise(open_heads(write_looking(tmp_path / "none", images=2, sink=0))[0], **FEW)
    assert none.verdict()[1] == "visual sinks: none was found in any layer"


def test_one_image_in_each_category_cannot_be_divided(tmp_path):
    found = localise(open_heads(write_looking(tmp_path / "run", images=2))[0], **FEW)
    assert found.pointing.tested is None
    assert any("no category has two images with boxes" in line for line in found.verdict())


def test_wordings_and_categories_are_read_apart(tmp_path):
    run = write_looking(tmp_path / "run", images=6, wordings=True)
    own = localise(open_heads(run, "two")[0].of(["color"]), **FEW)
    rows = pd.read_parquet(run / MAPS)
    rows = rows[rows["sample_id"].astype(str).str.endswith("@two") & (rows["category"] == "color")]
    assert set(own.samples["prompt"]) == {"two"}
    mass = rows.groupby(["layer", "head"])["mass"].mean()
    assert np.allclose(own.looks.table["mass"], mass, atol=1e-6)
    with pytest.raises(HeadflowError, match="asks in 2 wordings"):
        open_heads(run)


def test_the_mean_map_and_the_debiased_map_of_one_grid(tmp_path):
    """On one grid of the whole image they are plain means and logarithms."""
    run = write_looking(tmp_path / "run", images=5, grids=GRIDS[:1])
    found = localise(open_heads(run)[0], **FEW)
    rows = pd.read_parquet(run / MAPS).query("layer == 1 and head == 0")
    maps = np.stack(rows["map"].to_list()).astype(float)
    shares = maps / maps.sum(axis=1, keepdims=True)
    assert np.allclose(found.measures.means.relative(3).ravel(), shares.mean(axis=0) * 24)
    grid = read_grid(found.samples.iloc[4])
    own, mean = (np.maximum(each, LEAST_SHARE / 24) for each in (shares[4], shares.mean(axis=0)))
    assert np.allclose(found.measures.means.debiased(3, maps[4], grid).ravel(), np.log(own / mean), atol=1e-5)
    assert (own == LEAST_SHARE / 24).any()


def test_what_a_crop_hides_is_nowhere_in_the_debiased_map(tmp_path):
    found = localise(open_heads(write_looking(tmp_path / "run", images=3, grids=GRIDS[1:2]))[0], **FEW)
    relative = found.measures.means.relative(0)
    assert np.isfinite(relative).all()  # five columns of 12 pixels: the outer ones are partly seen
    assert np.average(relative, weights=found.measures.means.seen[0]) == pytest.approx(1)


def test_the_intervals_of_many_shares_are_those_of_each():
    random = np.random.default_rng(0)
    samples = pd.DataFrame({"image": np.repeat(np.arange(30), 2), "category": np.repeat(["a", "b"], 30)})
    clusters = Clusters.by_name(samples["image"], samples["category"])
    hits = random.random((60, 6)) < [0, 0.02, 0.3, 0.6, 0.97, 1]
    counts = np.ones_like(hits, float)
    counts[:, 2] = random.random(60) < 0.1
    counts[:, 3] = 0
    counts[0, 3] = 1
    bootstrap = Bootstrap(clusters, 300, 0)
    sums, numbers = clusters.sums(hits * counts), clusters.sums(counts)
    low, high = share_intervals(bootstrap, sums, numbers)
    for place in range(6):
        one = share_interval(bootstrap, sums[:, place], numbers[:, place])
        expected = [np.nan if each is None else each for each in (one.low, one.high)]
        assert np.allclose([low[place], high[place]], expected, atol=1e-7, equal_nan=True)


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("grid_rows", 5, "have 24 patches, and its grid 5 x 6; run validate"),
        ("grid_box", None, r"the grid of OCR/0 is 4 x 6 patches on \[\]"),
    ],
)
def test_grids_that_do_not_fit_are_one_line(tmp_path, column, value, says):
    path = write_looking(tmp_path / "run", images=2)
    rewrite(path, "samples", lambda table: put(table, column, 0, value))
    with pytest.raises(HeadflowError, match=says):
        localise(open_heads(path)[0], **FEW)


def test_a_run_without_maps_is_refused(tmp_path):
    with pytest.raises(HeadflowError, match="has no maps"):
        localise(open_heads(write_run(tmp_path / "run"))[0])


def test_boxes_of_counterfactual_images_are_said_to_be_of_the_originals(tmp_path):
    path = write_looking(tmp_path / "run", images=4)
    edit_manifest(path, images="swap")
    assert any("the model was given swap images" in line for line in localise(open_heads(path)[0], **FEW).verdict())
