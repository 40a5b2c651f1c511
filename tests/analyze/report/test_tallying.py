"""The measures of heads against pandas: means, intervals, histograms, highest samples, effects."""

import shutil

import numpy as np
import pandas as pd
import pytest

from analyze.knockouts.jobs import knocked, knocked_parts
from analyze.report.measures import CONTRIBUTING, LOOKING, MATTERING, measure
from analyze.report.tallying import HIGHEST, Dealt, Tallied, ranks
from analyze.statistics.clusters import Clusters, ImageSums
from analyze.statistics.heads.means import MOST_GROUPS, Groups
from analyze.statistics.intervals import mean_interval
from analyze.tables.bins import EDGES
from analyze.tables.frames import open_heads
from schemas.errors import HeadflowError
from schemas.store.jobs import open_job
from tests.support.prunable import measure as measure_job
from tests.support.prunable import singles
from tests.support.report import JOB, WORLD, write_whole_run
from tests.support.runs import LEDGER, edit_json


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_whole_run(tmp_path_factory.mktemp("run") / "run")


@pytest.fixture(scope="module")
def measured(run):
    heads, _ = open_heads(run)
    return measure(heads, heads.scope(None))


def found(measured, kind, name):
    (one,) = [each.found for each in measured.measures if (each.kind, each.name) == (kind, name)]
    return one


def by_cell(table: pd.DataFrame, column: str) -> pd.Series:
    return table.astype({column: float}).groupby(["layer", "head"])[column].mean()


@pytest.mark.parametrize("flow", ["t2v", "a2v", "v2bos"])
def test_masses_are_those_of_the_table(run, measured, flow):
    table, own = pd.read_parquet(run / "heads"), found(measured, LOOKING, flow)
    means = own.means()
    np.testing.assert_allclose(means[0], by_cell(table, flow), rtol=1e-9)
    for place, category in enumerate(own.dealt.categories):
        np.testing.assert_allclose(means[place + 1], by_cell(table[table["category"] == category], flow), rtol=1e-9)
    ids = measured.samples["sample_id"].astype(str)
    for cell, (_, rows) in enumerate(table.groupby(["layer", "head"])):
        np.testing.assert_array_equal(own.bins[cell], np.histogram(rows[flow].astype(float), EDGES)[0])
        highest = rows.nlargest(HIGHEST, flow)
        np.testing.assert_allclose(own.values[:, cell], highest[flow], rtol=1e-6)
        assert set(ids[own.top[:, cell]]) == set(highest["sample_id"])


def test_contributions_are_towards_the_right_answer(run, measured):
    table = pd.read_parquet(run / "contributions").merge(pd.read_parquet(run / "samples")[["sample_id", "answer"]])
    table["d2v"] *= np.where(table["answer"] == "Yes", 1, -1)
    np.testing.assert_allclose(found(measured, CONTRIBUTING, "d2v").means()[0], by_cell(table, "d2v"), rtol=1e-5)


def test_effects_are_losses_of_margin(run, measured):
    table = pd.read_parquet(run / "jobs" / JOB / "knockouts").merge(
        pd.read_parquet(run / "samples")[["sample_id", "answer"]]
    )
    table["effect"] = (table["margin_untouched"] - table["margin"]) * np.where(table["answer"] == "Yes", 1, -1)
    np.testing.assert_allclose(found(measured, MATTERING, JOB).means()[0], by_cell(table, "effect"), rtol=1e-4)


def test_a_job_on_some_heads_leaves_the_others_unknown(tmp_path):
    run = write_whole_run(tmp_path / "run")
    measure_job(run, WORLD, "some", dict(list(singles(WORLD).items())[:5]))
    heads, _ = open_heads(run)
    own = found(measure(heads, heads.scope(None)), MATTERING, "some")
    assert np.isfinite(own.means()[0]).tolist() == [True] * 5 + [False] * 7
    assert (ranks(own.means()[0]) == 0).sum() == 7
    assert (own.top[:, 5:] == -1).all()


def in_parts_of(samples, path, monkeypatch):
    """A run with a job in parts of some samples."""
    run = write_whole_run(path)
    shutil.rmtree(run / "jobs")
    monkeypatch.setattr("schemas.store.writer.ROWS_PER_PART", samples * 12)
    measure_job(run, WORLD, JOB, singles(WORLD))
    return run


def test_a_job_is_read_part_by_part(tmp_path, monkeypatch):
    """Parts of a few samples are the whole, each sample in one of them; a job without a part has no measure."""
    run = in_parts_of(5, tmp_path / "run", monkeypatch)
    heads, _ = open_heads(run)
    samples = pd.read_parquet(run / "samples")
    job = open_job(heads.run, JOB)
    parts, whole = list(knocked_parts(job, samples)), knocked(job, samples)
    assert [len(chosen) for chosen, _ in parts] == [5] * 8
    chosen = np.concatenate([chosen for chosen, _ in parts])
    assert sorted(chosen) == list(range(40))
    for name in ("there", "lead", "untouched", "says"):
        np.testing.assert_array_equal(
            np.concatenate([getattr(part, name) for _, part in parts]), getattr(whole, name)[chosen]
        )
    test_effects_are_losses_of_margin(run, measure(heads, heads.scope(None)))
    for path in job.paths:
        path.unlink()
    edit_json(run / "jobs" / JOB / LEDGER, parts=[], state="running")
    assert MATTERING not in {each.kind for each in measure(heads, heads.scope(None)).measures}


def test_a_sample_that_is_in_two_parts_of_a_job_is_refused(tmp_path, monkeypatch):
    run = in_parts_of(20, tmp_path / "run", monkeypatch)
    heads, _ = open_heads(run)
    first, second = open_job(heads.run, JOB).paths
    shutil.copy(first, second)
    with pytest.raises(HeadflowError, match="has not one row for each knock-out of OCR/0"):
        measure(heads, heads.scope(None))


def test_with_few_images_intervals_are_those_of_single_images(run, measured):
    """As many groups as images: the same sums, the same interval."""
    samples, own = measured.samples, found(measured, LOOKING, "a2v")
    clusters = Clusters.of(samples)
    assert clusters.images == own.dealt.groups.number <= MOST_GROUPS
    table = pd.read_parquet(run / "heads").set_index("sample_id")["a2v"]
    values = np.stack([table.loc[name].to_numpy(np.float64) for name in samples["sample_id"]])
    sums, counts = clusters.sums(values), clusters.counts[:, None] + np.zeros(values.shape[1])
    expected = mean_interval(ImageSums.of(sums, counts))
    for one, other in zip(own.of_heads.interval(), expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9)


def test_parts_are_the_whole():
    random = np.random.default_rng(1)
    values = random.uniform(size=(57, 6))
    values[random.uniform(size=values.shape) < 0.1] = np.nan
    dealt = Dealt(["a", "b"], np.arange(57) % 2, Groups(np.arange(57), np.arange(57) % 7, 7))
    whole, parts = Tallied(dealt, 6, EDGES), Tallied(dealt, 6, EDGES)
    whole.add(np.arange(57), values)
    for rows in [*np.array_split(np.arange(57), 9), np.arange(0)]:
        parts.add(rows, values[rows])
    for name in ("sums", "counts", "bins", "top", "values"):
        np.testing.assert_allclose(getattr(whole, name), getattr(parts, name), err_msg=name)
    assert parts.counts.sum() == np.isfinite(values).sum() == parts.bins.sum()


def test_images_are_dealt_evenly():
    images = [f"{number // 2}" for number in range(600)]
    samples = pd.DataFrame({"sample_id": range(600), "category": np.repeat(["a", "b"], 300), "image_sha256": images})
    samples = samples.assign(image=None, question_id=None)
    dealt = Dealt.of(samples, ["a", "b"])
    group = dealt.groups.group[dealt.groups.image]
    table = pd.crosstab(dealt.category, group)
    assert table.shape == (2, dealt.groups.number)
    assert np.ptp(table.to_numpy(), axis=1).max() <= 2
    assert samples.assign(group=group).groupby("image_sha256")["group"].nunique().max() == 1
