"""Oracles: numpy.histogram, and pandas on the whole table."""

import numpy as np
import pandas as pd
import pytest

from analyze.drawing.histograms import bin_edges
from analyze.tables.blocks import open_heads
from analyze.tables.counts import bin_index, count
from schemas.errors import HeadflowError
from schemas.store import writer
from tests.support.runs import put, rewrite, write_run

EDGES = bin_edges([0.05], None)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run in several parts, with more than one block in view."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer, "ROWS_PER_PART", 70)
        return write_run(tmp_path_factory.mktemp("run") / "run", layers=4, heads=5)


@pytest.fixture(scope="module")
def table(run):
    return pd.read_parquet(run / "heads")


def counted(run, flows=("t2v", "v2t"), scope=None, edges=EDGES):
    heads, _ = open_heads(run)
    return count(heads, flows, heads.scope(scope), edges)


@pytest.mark.parametrize(
    "edges", [EDGES, bin_edges([0.1], (0.2, 0.7)), np.array([0.0, 0.01, 0.5, 1.0])], ids=["fine", "range", "edges"]
)
def test_bins_are_those_of_numpy(edges):
    random = np.random.default_rng(0)
    values = np.concatenate([random.random(10_000).astype(np.float32), EDGES, EDGES.astype(np.float32), [0, 1, 1.5]])
    found = np.bincount(bin_index(values, edges), minlength=len(edges))
    expected, _ = np.histogram(values, edges)
    assert (found[:-1] == expected).all()
    assert found[-1] == len(values) - expected.sum()


def test_nan_is_outside():
    assert bin_index(np.array([np.nan, -0.1, 1.0]), EDGES).tolist() == [20, 20, 19]


def test_shares_are_counts_over_rows(run, table):
    counts = counted(run)
    for flow in ("t2v", "v2t"):
        expected = np.histogram(table[flow].astype(float), EDGES)[0]
        assert np.array_equal(counts.shares()[flow], expected / len(table))
        for layer in range(4):
            some = table[table["layer"] == layer]
            expected = np.histogram(some[flow].astype(float), EDGES)[0] / len(some)
            assert np.array_equal(counts.shares(layer=layer)[flow], expected)
        for code, name in enumerate(counts.categories):
            some = table[table["category"] == name]
            expected = np.histogram(some[flow].astype(float), EDGES)[0] / len(some)
            assert np.array_equal(counts.shares(category=code)[flow], expected)
    assert sum(share.sum() for share in counts.shares().values()) == pytest.approx(2)


def test_shares_count_what_lies_outside(run, table):
    counts = counted(run, edges=bin_edges([0.1], (0.0, 0.2)))
    outside = (table["t2v"] > 0.2).mean()
    assert counts.outside()["t2v"] == pytest.approx(outside)
    assert counts.shares()["t2v"].sum() == pytest.approx(1 - outside)


def test_head_means(run, table):
    counts = counted(run)
    expected = table.groupby(["layer", "head"])["v2t"].mean().to_numpy().reshape(4, 5)
    assert counts.head_means("v2t") == pytest.approx(expected, abs=1e-6)
    some = table[table["category"] == "color"].groupby(["layer", "head"])["v2t"].mean().to_numpy().reshape(4, 5)
    assert counts.head_means("v2t", counts.categories.index("color")) == pytest.approx(some, abs=1e-6)
    assert counts.samples() == 10
    assert counts.samples(counts.categories.index("color")) == 6


def test_without_the_system_prompt(run, table):
    samples = pd.read_parquet(run / "samples").set_index("sample_id")
    counts = counted(run, ("t2v", "v2t", "q2v"), "no-system")
    joined = table.join(samples[["n_bos", "n_system", "n_user", "n_question"]], on="sample_id")
    text = joined["n_bos"] + joined["n_system"] + joined["n_user"] + joined["n_question"]
    t2v = joined["t2v"].astype(float) * text / (text - joined["n_system"])
    v2t = (joined["v2t"].astype(float) - joined["v2sys"].astype(float)).clip(lower=0)
    for flow, values in (("t2v", t2v), ("v2t", v2t), ("q2v", joined["q2v"].astype(float))):
        expected = values.groupby([joined["layer"], joined["head"]]).mean().to_numpy().reshape(4, 5)
        assert counts.head_means(flow) == pytest.approx(expected, abs=1e-12)


def test_a_run_that_contradicts_itself_is_refused(made_up):
    rewrite(made_up, "samples", lambda content: put(content, "sample_id", 0, "other"))
    with pytest.raises(HeadflowError, match="run validate"):
        counted(made_up)


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
        ([0, 0.5], (0.0, 1.0), "--range"),
        ([0.1], (1.0, 0.0), "smaller"),
    ],
)
def test_bad_bins(bins, limits, says):
    with pytest.raises(HeadflowError, match=says):
        bin_edges(bins, limits)
