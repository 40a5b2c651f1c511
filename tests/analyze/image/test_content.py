"""Oracle: `scipy.spatial.distance.jensenshannon` on the maps as pandas reads them, averaged by pandas; for intervals,
the cluster-robust variance written out for one head."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.spatial.distance import jensenshannon

from analyze.__main__ import main
from analyze.image.content import content_by_head
from analyze.image.pairs import pair_runs
from analyze.tables.frames import open_heads
from schemas.columns import MAPS
from tests.support.runs import edit_manifest, write_run


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("content")
    one, other = (write_run(folder / name, tables=[MAPS], seed=seed) for seed, name in enumerate(("run", "swap")))
    edit_manifest(other, images="swap")
    return one, other


def test_means_and_intervals_are_those_of_scipy_and_pandas(runs):
    found = content_by_head(pair_runs(*(open_heads(run)[0] for run in runs), resamples=20, seed=0))
    key = ["sample_id", "layer", "head"]
    one, other = (pd.read_parquet(run / MAPS).astype({"sample_id": str}) for run in runs)
    both = one.merge(other, on=key, suffixes=("", "_other"))
    both["content"] = [
        jensenshannon(a.astype(float), b.astype(float), base=2) ** 2
        for a, b in zip(both["map"], both["map_other"], strict=True)
    ]
    means = both.groupby(["layer", "head"])["content"].mean()
    assert found["content"].is_monotonic_decreasing
    indexed = found.set_index(["layer", "head"])
    assert (indexed["content"] - means).abs().max() <= 1e-12
    assert set(found["samples"]) == {10}
    samples = pd.read_parquet(runs[0] / "samples").astype({"sample_id": str}).set_index("sample_id")
    own = both[(both["layer"] == 1) & (both["head"] == 2)].set_index("sample_id")["content"]
    residuals = (own - own.mean()).groupby(samples["image_sha256"] + samples["category"].astype(str)).sum()
    error = np.sqrt((residuals**2).sum() * len(residuals) / (len(residuals) - 1)) / len(own)
    half = stats.t.ppf(0.975, len(residuals) - 1) * error
    low, high = indexed.loc[(1, 2), ["low", "high"]]
    assert 0 <= low <= own.mean() - half + 1e-9  # Student's interval, or further where values are skewed
    assert own.mean() + half - 1e-9 <= high <= 1


def test_runs_without_maps_have_none(runs, tmp_path):
    plain = write_run(tmp_path / "plain", tables=["layers"])
    edit_manifest(plain, images="swap")
    assert content_by_head(pair_runs(open_heads(runs[0])[0], open_heads(plain)[0], resamples=20, seed=0)) is None


def test_the_command_writes_and_prints_them(runs, tmp_path, capsys):
    flags = ["--resamples", "100", "--output-dir", str(tmp_path), "--dpi", "20"]
    assert main(["image", str(runs[0]), "--without", str(runs[1]), *flags]) == 0
    table = pd.read_csv(tmp_path / "heads.csv")
    assert table.columns.tolist() == ["layer", "head", "content", "low", "high", "samples"]
    assert len(table) == 6
    printed = capsys.readouterr().out
    assert "heads whose maps differ most between the images, 5 of 6" in printed
    assert f"{table['content'][0]:.3f}" in printed
