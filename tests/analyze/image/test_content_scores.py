"""Oracle: `scipy.spatial.distance.jensenshannon`, head by head, on the maps as pandas reads them."""

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import jensenshannon

from analyze.compare.pairing import pair_samples
from analyze.image.content import content_scores, divergence
from analyze.tables.frames import open_heads
from schemas.columns import MAPS
from schemas.errors import HeadflowError
from tests.support.runs import edit_manifest, put, rewrite, write_run


def runs(tmp_path, **second):
    one = write_run(tmp_path / "one", tables=[MAPS], seed=1)
    other = write_run(tmp_path / "other", tables=[MAPS], seed=2, **second)
    return one, other


def test_scores_are_those_of_scipy(tmp_path):
    one, other = runs(tmp_path, maps_heads=[(0, 2), (1, 0)])
    a, b = (open_heads(run)[0] for run in (one, other))
    scores, heads = content_scores(a, b, pair_samples(a, b).table)
    assert np.argwhere(heads).tolist() == [[0, 2], [1, 0]]
    tables = [pd.read_parquet(run / MAPS).set_index(["sample_id", "layer", "head"])["map"] for run in (one, other)]
    for row, sample in enumerate(a.samples["sample_id"]):
        for place, head in enumerate([(0, 2), (1, 0)]):
            maps = [table[(sample, *head)].astype(float) for table in tables]
            assert abs(scores[row, place] - jensenshannon(*maps, base=2) ** 2) <= 1e-9


def test_the_same_maps_score_0_and_maps_apart_1():
    one = np.array([[1, 2, 0, 0], [5, 0, 0, 1], [0, 0, 0, 0]], np.float32)
    other = np.array([[0, 0, 9, 1], [5, 0, 0, 1], [1, 1, 1, 1]], np.float32)
    score = divergence(one, other)
    assert score[:2] == pytest.approx([1, 0])
    assert np.isnan(score[2])


def test_other_grids_have_no_score(tmp_path):
    one, other = runs(tmp_path)
    rewrite(other, "samples", lambda table: put(put(table, "grid_rows", 3, 6), "grid_columns", 3, 4))
    a, b = (open_heads(run)[0] for run in (one, other))
    scores, _ = content_scores(a, b, pair_samples(a, b).table)
    assert np.isnan(scores).all(axis=1).tolist() == [row == 3 for row in range(len(scores))]


def test_runs_that_cannot_be_compared(tmp_path):
    one, other = runs(tmp_path)
    plain = write_run(tmp_path / "plain", seed=3)
    a = open_heads(one)[0]
    with pytest.raises(HeadflowError, match="plain has no maps"):
        content_scores(a, open_heads(plain)[0], pair_samples(a, open_heads(plain)[0]).table)
    edit_manifest(other, maps_of="q")
    with pytest.raises(HeadflowError, match="are of other queries"):
        content_scores(a, open_heads(other)[0], pair_samples(a, open_heads(other)[0]).table)
    edit_manifest(other, maps_of="a", maps_heads=[[0, 1]])
    edit_manifest(one, maps_heads=[[1, 1]])
    a, b = (open_heads(run)[0] for run in (one, other))
    with pytest.raises(HeadflowError, match="no head has a map in both"):
        content_scores(a, b, pair_samples(a, b).table)
