"""Oracles: numpy.histogram, and pandas on the whole table."""

import re

import numpy as np
import pandas as pd
import pytest

from analyze.tables import tallies
from analyze.tables.bins import EDGES, FINE, bin_edges
from analyze.tables.frames import open_heads
from analyze.tables.tallies import tally
from schemas.errors import HeadflowError
from schemas.store import writer
from schemas.workers import work
from tests.support.runs import put, rewrite, write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run in five parts."""
    with pytest.MonkeyPatch.context() as small:
        small.setattr(writer, "ROWS_PER_PART", 40)
        path = tmp_path_factory.mktemp("run") / "run"
        return write_run(path, layers=4, heads=5, categories={"color": 6, "OCR": 4})


@pytest.fixture(scope="module")
def table(run):
    return pd.read_parquet(run / "heads")


def tallied(run, flows=("t2v", "v2t"), scope=None, edges=EDGES):
    heads, _ = open_heads(run)
    return tally(heads, flows, heads.scope(scope), edges)


def histogram(values, edges=EDGES):
    return np.histogram(values.astype(float), edges)[0] / len(values)


def test_tables_are_those_of_pandas_on_all_rows(run, table):
    found = tallied(run)
    values = table.astype({"layer": int, "head": int, "t2v": float, "v2t": float})
    groups = values.groupby(["category", "layer", "head"], observed=True, sort=False)[["t2v", "v2t"]]
    assert found.sums.index.get_level_values("category").tolist() == ["color"] * 20 + ["OCR"] * 20
    assert found.sums.index.is_monotonic_increasing  # so that all ways of indexing work
    assert found.rows.tolist() == groups.size().tolist()
    pd.testing.assert_frame_equal(found.sums, groups.sum())
    pd.testing.assert_frame_equal(found.spread.minima, groups.min(), check_exact=True)
    pd.testing.assert_frame_equal(found.spread.maxima, groups.max(), check_exact=True)
    squares = groups.agg(lambda group: (group**2).sum())
    pd.testing.assert_frame_equal(found.spread.squares, squares)
    assert found.samples().to_dict() == {"color": 6, "OCR": 4}


@pytest.mark.parametrize("edges", [EDGES, bin_edges([0.1], (0.2, 0.7)), np.array([0.0, 0.01, 0.123456, 1.0])])
def test_bins_are_those_of_numpy(run, table, edges):
    found = tallied(run, edges=edges)
    for (category, layer), some in table.groupby(["category", "layer"], observed=True):
        for flow in ("t2v", "v2t"):
            counts = found.bins.loc[(category, layer), flow]
            expected = np.histogram(some[flow].astype(float), edges)[0]
            assert counts.tolist() == [*expected, len(some) - expected.sum()]


def test_fine_bins_are_those_of_numpy(run, table):
    found = tallied(run)
    for level, tables in (("layer", found.spread.fine_by_layer), ("category", found.spread.fine_by_category)):
        for name, some in table.groupby(level, observed=True):
            expected = np.histogram(some["t2v"].astype(float), np.append(np.arange(FINE + 1) / FINE, 2))[0]
            assert tables.loc[name, "t2v"].tolist() == expected.tolist()


def test_shares_are_counts_over_rows(run, table):
    found = tallied(run)
    for flow in ("t2v", "v2t"):
        assert np.array_equal(found.shares()[flow], histogram(table[flow]))
        for layer in range(4):
            assert np.array_equal(
                found.shares("layer").loc[layer, flow], histogram(table.loc[table["layer"] == layer, flow])
            )
        for name in found.grid.categories:
            some = table.loc[table["category"] == name, flow]
            assert np.array_equal(found.shares("category").loc[name, flow], histogram(some))
    assert found.shares().to_numpy().sum() == pytest.approx(2)


def test_shares_count_what_lies_outside(run, table):
    found = tallied(run, edges=bin_edges([0.1], (0.0, 0.2)))
    outside = (table["t2v"] > 0.2).mean()
    assert found.outside()["t2v"] == pytest.approx(outside)
    assert found.shares()["t2v"].sum() == pytest.approx(1 - outside)


def test_means(run, table):
    found = tallied(run)
    expected = table.groupby(["layer", "head"])["v2t"].mean()
    assert found.means()["v2t"].to_numpy() == pytest.approx(expected.to_numpy(), abs=1e-6)
    some = table[table["category"] == "color"].groupby(["layer", "head"])["v2t"].mean()
    assert found.means_by_category().loc["color", "v2t"].to_numpy() == pytest.approx(some.to_numpy(), abs=1e-6)


@pytest.mark.parametrize("parts", [1, 2, 3])
def test_a_tally_is_that_of_tasks_of_any_size(run, monkeypatch, parts):
    one = tallied(run)
    monkeypatch.setattr(work, "_PARTS", parts)
    found = tallied(run)
    for name in ("rows", "bins"):
        assert getattr(found, name).equals(getattr(one, name)), name
    for name in ("minima", "maxima", "fine_by_layer", "fine_by_category"):
        assert getattr(found.spread, name).equals(getattr(one.spread, name)), name
    assert np.allclose(found.sums, one.sums, rtol=1e-14, atol=0)
    assert np.allclose(found.spread.squares, one.spread.squares, rtol=1e-14, atol=0)
    for name in vars(one.images):
        assert np.allclose(getattr(found.images, name), getattr(one.images, name), rtol=1e-14, atol=0), name


def test_tallies_of_categories_are_added(run):
    heads, _ = open_heads(run)
    whole = tallied(run).merged()
    some = [tally(heads.of([name]), ("t2v", "v2t"), heads.scope(None)).merged() for name in heads.categories]
    for found in (some[0] + some[1], some[1] + some[0]):
        for name in ("rows", "bins"):
            assert getattr(found, name).equals(getattr(whole, name)), name
        for name in ("minima", "maxima", "fine_by_layer", "fine_by_category"):
            assert getattr(found.spread, name).equals(getattr(whole.spread, name)), name
        assert np.allclose(found.sums, whole.sums, rtol=1e-14, atol=0)


def test_the_example_of_the_module_runs(made_up):
    example = re.findall(r"^    (.*)$", tallies.__doc__, re.MULTILINE)
    assert len(example) == 4
    names = vars(tallies) | {"open_heads": open_heads, "Path": lambda path: made_up}
    exec("\n".join(example[:2]), names)
    means, histograms = (eval(line, names) for line in example[2:])
    assert means.shape == (6, 2)
    assert histograms.loc[0].sum().tolist() == [30, 30]


def test_without_the_spread_all_else_is_the_same(run):
    heads, _ = open_heads(run)
    found = tally(heads, ("t2v", "v2t"), heads.scope(None), spread=False)
    assert found.spread is None
    for name in ("rows", "sums", "bins"):
        assert getattr(found, name).equals(getattr(tallied(run), name)), name


def test_a_tally_does_not_grow_with_the_run(run, tmp_path):
    larger = write_run(tmp_path / "larger", layers=4, heads=5, categories={"color": 60, "OCR": 40})

    def size(found):
        return sum(
            table.memory_usage(index=False, deep=True).sum()
            for table in (found.bins, found.sums, found.spread.fine_by_layer)
        )

    assert size(tallied(larger)) == size(tallied(run))


def test_without_the_system_prompt(run, table):
    samples = pd.read_parquet(run / "samples").set_index("sample_id")
    found = tallied(run, ("t2v", "v2t", "q2v"), "no-system").means()
    joined = table.join(samples[["n_bos", "n_system", "n_user", "n_question"]], on="sample_id")
    text = joined["n_bos"] + joined["n_system"] + joined["n_user"] + joined["n_question"]
    t2v = joined["t2v"].astype(float) * text / (text - joined["n_system"])
    v2t = (joined["v2t"].astype(float) - joined["v2sys"].astype(float)).clip(lower=0)
    for flow, values in (("t2v", t2v), ("v2t", v2t), ("q2v", joined["q2v"].astype(float))):
        expected = values.groupby([joined["layer"], joined["head"]]).mean().to_numpy()
        assert found[flow].to_numpy() == pytest.approx(expected, abs=1e-12)


def test_a_run_that_contradicts_itself_is_refused(made_up):
    rewrite(made_up, "samples", lambda content: put(content, "sample_id", 0, "other"))
    with pytest.raises(HeadflowError, match="has rows of OCR/0, not among the observed samples"):
        tallied(made_up)
