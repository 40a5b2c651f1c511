"""Heads that look most while a model writes. Oracles: pandas on the tables, and scipy's rank correlation."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analyze.__main__ import main
from analyze.generated.heads import most_of, rank_heads
from analyze.generated.reading import read_written
from analyze.generated.results import observe_writing
from analyze.generated.verdict import of_heads
from analyze.tables.frames import open_heads
from schemas.columns import STEPS
from tests.support.writing import made_up_written, write_writing

SHAPE = (4, 5)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_writing(tmp_path_factory.mktemp("heads") / "run", images=24)


def ranked(random, *, images=48, prompt=None, noise=0.02, order=None):
    """Heads whose mass while writing is 0.1, 0.11, ..., and at the prompt that of `order`, with noise that images give.

    Args:
        prompt: noise at the prompt, if it is another one.
        order: of the heads at the prompt; None: the same.
    """
    written = made_up_written(random, images=images, steps=3, heads=SHAPE)
    true = 0.1 + 0.01 * np.arange(20)
    shared = random.normal(0, noise, (images, 20))  # of the same images
    writing = true + shared + random.normal(0, noise, (images, 20))
    own = (true if order is None else true[order]) * 0.5
    at_prompt = own + shared + random.normal(0, prompt or noise, (images, 20))
    shape = (images, *SHAPE)
    return rank_heads(replace(written, writing=2 * writing.reshape(shape), prompt=2 * at_prompt.reshape(shape)))


def test_the_table_is_that_of_pandas(run):
    found = rank_heads(read_written(open_heads(run)[0]))
    rows = pd.read_parquet(run / STEPS).astype({"sample_id": str})
    rows = rows[rows.groupby("sample_id")["step"].transform("max") > 0]
    heads = ["layer", "head"]
    texts = rows[rows["step"] > 0].groupby(["sample_id", *heads])["g2v"].mean().groupby(heads).mean()
    assert found.table[heads].to_numpy().tolist() == [list(each) for each in texts.index]
    np.testing.assert_allclose(found.table["writing"], texts, atol=1e-6)
    for step, name in enumerate(("prompt", "first_token")):
        np.testing.assert_allclose(
            found.table[name], rows[rows["step"] == step].groupby(heads)["g2v"].mean(), atol=1e-6
        )
    assert found.table["writing_rank"].tolist() == stats.rankdata(-texts).astype(int).tolist()
    assert (found.table["writing_low"] < found.table["writing"]).all()
    assert (found.texts, found.images) == (rows["sample_id"].nunique(), 24)


def test_heads_by_step_are_those_of_pandas(run):
    found = observe_writing(open_heads(run)[0]).tables()["heads_by_step.csv"]
    samples = pd.read_parquet(run / "samples").astype({"sample_id": str}).set_index("sample_id")["n_generated"]
    length = max(each for each in samples.unique() if (samples >= each).mean() >= 0.5)
    rows = pd.read_parquet(run / STEPS).astype({"sample_id": str})
    rows = rows[(rows["sample_id"].map(samples) >= length) & (rows["step"] < length)]
    expected = rows.groupby(["layer", "head", "step"])["g2v"].mean()
    assert found["step"].tolist() == list(range(length))  # of the first head that looks most
    keys = pd.MultiIndex.from_frame(found[["layer", "head", "step"]])
    np.testing.assert_allclose(found["g2v"], expected[keys], atol=1e-6)


def test_heads_in_another_order_are_told():
    order = np.arange(20)[::-1]
    found = ranked(np.random.default_rng(3), order=order)
    assert found.crossing.told
    assert found.crossing.apart == 2 * found.crossing.chosen == 2 * most_of(20)
    assert found.correlation.low < found.correlation.high < -0.8
    lines = list(of_heads(found))
    assert lines[-1].startswith("other heads look most while writing than at the prompt: of 2 heads chosen for each")
    assert lines[0].startswith("look most while writing: L3H4, L3H3;")


def test_in_the_same_order_a_claim_is_rare(monkeypatch):
    monkeypatch.setattr("analyze.generated.heads._correlate", lambda *_: (None, None))  # which is not tested here
    random, claims, runs = np.random.default_rng(7), 0, 60
    for _ in range(runs):
        claims += ranked(random, prompt=0.2).crossing.told
    assert claims <= 0.05 * runs + 2 * np.sqrt(0.05 * 0.95 * runs)


def test_noise_that_both_share_is_no_agreement():
    random = np.random.default_rng(5)
    written = made_up_written(random, images=60, steps=3, heads=SHAPE)
    noise = random.normal(0.5, 0.1, (60, *SHAPE))
    found = rank_heads(replace(written, writing=2 * noise, prompt=2 * noise))
    assert stats.spearmanr(found.table["writing"], found.table["prompt"]).statistic == 1
    assert abs(found.correlation.estimate) < 0.4


@pytest.mark.parametrize("every", [1, 2])
def test_step_1_has_no_rows_where_steps_are_apart(tmp_path, every):
    run = write_writing(tmp_path / "run", images=3, longest=5, every=every)
    table = rank_heads(read_written(open_heads(run)[0])).table
    assert table["first_token"].isna().all() == (every == 2)


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"texts": [[" a"]]}, "heads while writing: cannot be told, as no text has a step after step 0"),
        ({"step_heads": [(0, 1), (2, 3)]}, "nothing is said of ranks of fewer than 10 heads"),
        (
            {},
            "whether the heads that look most while writing are others than at the prompt cannot be told",
        ),
    ],
)
def test_what_cannot_be_told(tmp_path, capsys, options, says):
    run = write_writing(tmp_path / "run", images=4, **options)
    assert main(["words", str(run)]) == 0
    assert says in capsys.readouterr().out
    assert ("heads.csv" in observe_writing(open_heads(run)[0]).tables()) == ("texts" not in options)
