"""Image mass by step while a model writes. Oracles: pandas on the tables as they lie on disk, and `numpy.polyfit`."""

import numpy as np
import pandas as pd
import pytest

from analyze import open_run
from analyze.__main__ import main
from analyze.generated.reading import read_written
from analyze.generated.results import observe_writing
from analyze.generated.steps import by_step, change_along_texts
from analyze.statistics.intervals import skewed_mean_intervals
from analyze.tables.frames import open_heads
from schemas.columns import STEP_NAMES, STEPS
from tests.support.runs import rewrite, write_run
from tests.support.writing import HEADS, LAYERS, made_up_written, write_writing

SOME = ((0, 1), (2, 0), (2, 3))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("writing")
    return {
        "all": write_writing(folder / "all", images=32),
        "every": write_writing(folder / "every", every=3, longest=10),
        "heads": write_writing(folder / "heads", step_heads=SOME),
        "wordings": write_writing(folder / "wordings", images=4, wordings=True),
    }


def read(run, prompt=None):
    """The rows of `steps` with the values of their samples, and of its samples."""
    samples = pd.read_parquet(run / "samples")
    samples = samples if prompt is None else samples[samples["prompt"] == prompt]
    rows = pd.read_parquet(run / STEPS).astype({"sample_id": str, "category": str})
    own = samples.astype({"sample_id": str})[["sample_id", "n_generated", "image_sha256", "row"]]
    return rows.merge(own, on="sample_id"), own


def fixed_set(own, every):
    """Ids of the fixed set, and the last step that all of them have."""
    last = (own["n_generated"] - 1) // every * every
    step = max(each for each in last.unique() if (last >= each).mean() >= 0.5)
    return set(own["sample_id"][last >= step]), step


@pytest.mark.parametrize(("name", "prompt"), [("all", None), ("every", None), ("heads", None), ("wordings", "two")])
def test_tables_are_those_of_pandas(runs, name, prompt):
    heads = open_heads(runs[name], prompt)[0]
    found = observe_writing(heads)
    rows, own = read(runs[name], prompt)
    ids, last = fixed_set(own, heads.run.manifest.every)
    fixed = rows[rows["sample_id"].isin(ids) & (rows["step"] <= last)]
    assert 0 < len(fixed) < len(rows)
    for label, some in (("still writing", rows), ("fixed set", fixed)):
        table = found.steps[found.steps["texts_of"] == label].set_index("step")
        groups = some.groupby("step")
        assert table.index.tolist() == sorted(some["step"].unique())
        assert table["texts"].tolist() == groups["sample_id"].nunique().tolist()
        assert table["images"].tolist() == groups["image_sha256"].nunique().tolist()
        np.testing.assert_allclose(table[list(STEP_NAMES)], groups[list(STEP_NAMES)].mean(), atol=1e-6)
        assert table[list(STEP_NAMES)].sum(axis=1).to_numpy() == pytest.approx(1)
        layers = found.layers[found.layers["texts_of"] == label].set_index(["step", "layer"])["g2v"]
        expected = some.groupby(["step", "layer"])["g2v"].mean()
        assert layers.index.tolist() == expected.index.tolist()
        np.testing.assert_allclose(layers, expected, atol=1e-6)


@pytest.mark.parametrize("name", ["all", "every", "heads"])
def test_sums_by_image_are_those_of_pandas(runs, name):
    heads = open_heads(runs[name])[0]
    written = read_written(heads)
    rows, _ = read(runs[name])
    counts = rows.groupby("sample_id")["step"].nunique()
    rows = rows[rows["sample_id"].map(counts) > 1]
    order = written.texts.samples["image_sha256"].groupby(written.texts.clusters.image).first()
    for values, some in (
        (written.writing, rows[rows["step"] > 0]), (written.prompt, rows[rows["step"] == 0]),
        (written.second, rows[rows["step"] == 1]),
    ):  # fmt: skip
        means = some.groupby(["sample_id", "image_sha256", "layer", "head"])["g2v"].mean()
        expected = np.zeros((len(order), LAYERS, HEADS))
        sums = means.groupby(["image_sha256", "layer", "head"]).sum()
        for (image, layer, head), value in sums.items():
            expected[order.tolist().index(image), layer, head] = value
        assert expected.any() == (name != "every" or values is not written.second)
        np.testing.assert_allclose(values, expected, atol=1e-6)
    assert written.several.sum() == (counts > 1).sum()


def test_intervals_are_by_image(runs):
    rows, _ = read(runs["all"])
    table = by_step(read_written(open_heads(runs["all"])[0]))
    step = rows[rows["step"] == 1].groupby(["category", "image_sha256", "sample_id"])["g2v"].mean()
    groups = step.groupby(["category", "image_sha256"])
    category = pd.factorize(groups.sum().index.get_level_values("category"))[0]
    low, high = skewed_mean_intervals(groups.sum().to_numpy()[:, None], groups.size().to_numpy()[:, None], category)
    assert table.loc[1, ["g2v_low", "g2v_high"]].tolist() == pytest.approx([low[0], high[0]], abs=1e-6)
    assert table["g2v_low"].isna().tolist() == (table["images"] < 20).tolist()
    assert table["g2v_low"].isna().any()


def test_the_change_is_that_of_a_line_through_each_text(runs):
    rows, own = read(runs["all"])
    ids, last = fixed_set(own, 1)
    rows = rows[rows["sample_id"].isin(ids) & rows["step"].between(1, last)]
    lines = rows.groupby(["sample_id", "step"])["g2v"].mean().unstack()
    slopes = np.polyfit(lines.columns, lines.to_numpy().T, 1)[0]
    found = change_along_texts(read_written(open_heads(runs["all"])[0]))
    assert (found.first, found.last, found.texts) == (1, last, len(ids))
    assert found.mean == pytest.approx(slopes.mean() * (last - 1), abs=1e-6)
    assert [found.begin, found.end] == pytest.approx(lines.mean()[[1, last]].tolist(), abs=1e-6)
    own = rows.groupby("sample_id")[["category", "image_sha256"]].first().assign(slope=slopes * (last - 1))
    images = own.groupby(["category", "image_sha256"])["slope"]
    category = pd.factorize(images.sum().index.get_level_values("category"))[0]
    bounds = skewed_mean_intervals(images.sum().to_numpy()[:, None], images.size().to_numpy()[:, None], category)
    assert [found.low, found.high] == pytest.approx(np.ravel(bounds), abs=1e-6)


def test_a_fall_that_is_there_is_said(tmp_path):
    run = write_writing(tmp_path / "run", images=32, fall=0.2, longest=6)
    found = observe_writing(open_heads(run)[0])
    assert found.change.direction == -1
    assert any(line.startswith("image mass falls along the text: -0.") for line in found.verdict())


def test_without_a_trend_a_claim_is_rare():
    random, claims, runs = np.random.default_rng(11), 0, 200
    for _ in range(runs):
        claims += change_along_texts(made_up_written(random, images=25, steps=8)).direction != 0
    assert claims <= 0.05 * runs + 2 * np.sqrt(0.05 * 0.95 * runs)


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    ("texts", "says"),
    [
        ([[" a"]], "cannot be told, as half of the texts have fewer than two steps after step 0"),
        ([[" a", " b", " c", " d"]], "cannot be told on fewer than 20 images"),
    ],
)
def test_what_cannot_be_told(tmp_path, capsys, texts, says):
    run = write_writing(tmp_path / "run", images=3, texts=texts)
    assert main(["words", str(run)]) == 0
    assert f"image mass along the text: {says}" in capsys.readouterr().out


def test_a_run_without_steps(tmp_path, capsys):
    assert main(["words", str(write_run(tmp_path / "run"))]) == 2
    assert "has no table `steps`: extract it again with generated tokens" in capsys.readouterr().err


def test_rows_that_are_missing_are_said(tmp_path, capsys):
    run = write_writing(tmp_path / "run", images=2)
    rewrite(run, STEPS, lambda table: table.slice(1))
    assert main(["words", str(run)]) == 2
    error = capsys.readouterr().err
    assert "lacks rows of OCR/0 (the first has" in error
    assert error.count("\n") == 1


def test_a_notebook_has_the_command(runs):
    found = open_run(str(runs["wordings"]), "two").words()
    assert set(found.tables) == {"steps.csv", "layers.csv", "heads.csv", "heads_by_step.csv"}


@pytest.mark.usefixtures("undrawn")
def test_files_and_words(runs, capsys):
    assert main(["words", str(runs["heads"])]) == 0
    out, error = capsys.readouterr()
    assert error == ""
    assert "48 texts on 24 images, rows of 7 steps; of 3 of 12 heads" in out
    assert "fixed set: the 27 texts that are written to step 3 or further" in out
    found = observe_writing(open_heads(runs["heads"])[0])
    for name, table in found.tables().items():
        pd.testing.assert_frame_equal(pd.read_csv(runs["heads"] / "words" / name), table, check_dtype=False)
    assert all(line in out.splitlines() for line in found.verdict())
    assert main(["validate", str(runs["heads"])]) == 0
