"""Oracles: the same run without maps, for its other tables; pandas, for which heads an earlier run ranks first; Pillow,
for thumbnails; the whole run, for a resumed one and a subset; an eager pass in float64, for which heads localise."""

import json
import shutil
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from analyze.__main__ import main as analyze_main
from analyze.maps.results import localise
from analyze.tables.frames import open_heads
from extract.__main__ import main as extract_main
from extract.images.decoding import load_image
from extract.tables import chosen_heads
from extract.tables.chosen_heads import read_heads
from schemas.columns import MAPS
from schemas.errors import HeadflowError
from schemas.validation.run import validate
from tests.support.runs import put, rewrite, write_run

SAMPLES = {"num_samples": 12, "num_workers": 0}


@pytest.fixture(scope="module")
def run(extract, tmp_path_factory):
    """A run with maps of three heads, and thumbnails."""
    folder = tmp_path_factory.mktemp("run")
    heads = ["L3H1", "L0H2", "L3H0"]
    assert extract(folder, maps=True, maps_heads=heads, thumbnails=True, contributions=True, **SAMPLES) == 0
    return folder


def test_a_run_with_maps(run, extract, tmp_path):
    assert list(validate(run)) == []
    manifest = json.loads((run / "run.json").read_text())
    assert manifest["tables"] == ["contributions", "maps"]
    assert manifest["maps_of"] == "a"
    assert manifest["maps_heads"] == [[0, 2], [3, 0], [3, 1]]
    maps, heads, samples = (pd.read_parquet(run / table) for table in (MAPS, "heads", "samples"))
    assert len(maps) == len(heads) == 12 * 4 * 8
    assert (maps["mass"] - heads["a2v"]).abs().max() <= 1e-6
    kept = maps[maps["map"].notna()]
    assert set(zip(kept["layer"], kept["head"], strict=True)) == {(0, 2), (3, 0), (3, 1)}
    assert len(kept) == 3 * 12
    total = kept["map"].map(np.sum) + kept["rest"]
    assert (total - kept["mass"]).abs().max() <= 1e-6
    assert maps["sink"].isna().all()  # of a width below 400 it cannot be told
    assert (samples[["grid_rows", "grid_columns"]] == 8).all(axis=None)
    assert extract(tmp_path / "plain", contributions=True, **SAMPLES) == 0
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "plain" / "heads"), heads)
    contributions = pd.read_parquet(tmp_path / "plain" / "contributions")
    pd.testing.assert_frame_equal(contributions, pd.read_parquet(run / "contributions"))


def test_the_demo_localises_as_in_float64(tmp_path):
    """Expected: eager attention of the demo's model in float64, and scipy's components of 8 neighbours."""
    demo = Path("data/demo")
    flags = ["--model-path", demo / "tiny-llava", "--question-file", demo / "MME_test.json", "--image-folder"]
    flags += [demo / "images", "--output-dir", tmp_path / "run", "--maps", "--num-samples", 60]
    flags += ["--num-workers", 0, "--device", "cpu"]
    assert extract_main([*map(str, flags)]) == 0
    table = localise(open_heads(str(tmp_path / "run"))[0], resamples=100).looks.table.set_index(["layer", "head"])
    best = table[table["candidate"]].sort_values("spatial_entropy")["spatial_entropy"][:4]
    expected = {(3, 5): 0.0810, (1, 3): 0.1172, (5, 2): 0.1620, (1, 2): 0.1657}
    assert list(best.index) == list(expected)
    assert np.abs(best - list(expected.values())).max() <= 2e-4


def test_thumbnails_are_small_pictures_of_the_images(run, questions):
    samples = pd.read_parquet(run / "samples")
    for name, digest in set(zip(samples["image"], samples["image_sha256"], strict=True)):
        content = (run / "thumbnails" / f"{digest}.jpg").read_bytes()
        assert len(content) < 20_000
        small = Image.open(BytesIO(content))
        image, _ = load_image(questions / "images" / name)
        assert max(small.size) <= 320
        assert abs(small.width / small.height - image.width / image.height) < 0.02
        assert np.abs(np.asarray(small, float) - np.asarray(image.resize(small.size), float)).mean() < 12
    assert len(list((run / "thumbnails").iterdir())) == samples["image_sha256"].nunique()


def test_thumbnails_that_come_late_are_warned_of(run, extract, tmp_path, capsys):
    assert extract(tmp_path / "late", **SAMPLES) == 0
    capsys.readouterr()
    assert extract(tmp_path / "late", thumbnails=True, **SAMPLES) == 0
    number = pd.read_parquet(tmp_path / "late" / "samples")["image_sha256"].nunique()
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert f"has no thumbnails of {number} images that were observed without them" in line
    heads = ["L3H1", "L0H2", "L3H0"]
    assert extract(run, maps=True, maps_heads=heads, thumbnails=True, contributions=True, **SAMPLES) == 0
    assert capsys.readouterr().err == ""


def test_a_resumed_run_has_the_same_maps(run, extract, tmp_path):
    flags = {"maps": True, "maps_heads": ["L0H2", "L3H0", "L3H1"], "contributions": True, "num_workers": 0}
    assert extract(tmp_path / "run", **flags, num_samples=6) == 0
    assert extract(tmp_path / "run", **flags, num_samples=12) == 0
    assert tables_equal(run, tmp_path / "run")


def tables_equal(one, other):
    """Whether the maps of two runs are the same, with how they lie in the images."""
    for table in (MAPS, "samples"):
        pd.testing.assert_frame_equal(pd.read_parquet(one / table), pd.read_parquet(other / table))
    return True


def test_maps_of_the_question(extract, tmp_path):
    assert extract(tmp_path / "run", maps=True, maps_of="question", **SAMPLES) == 0
    assert list(validate(tmp_path / "run")) == []
    maps, heads = (pd.read_parquet(tmp_path / "run" / table) for table in (MAPS, "heads"))
    assert set(maps["of"]) == {"q"}
    assert (maps["mass"] - heads["q2v"]).abs().max() <= 1e-6


def test_an_earlier_run_is_read_once(run, extract, tmp_path, monkeypatch):
    paths, read = [], chosen_heads._sums
    monkeypatch.setattr(chosen_heads, "_sums", lambda run, *of: paths.append(run.path) or read(run, *of))
    shutil.copytree(run, tmp_path / "earlier")
    for number in (1, 2):  # a new run, and a longer one
        settings = SAMPLES | {"num_samples": number}
        assert extract(tmp_path / "run", maps=True, maps_heads=[f"{tmp_path / 'earlier'}:3"], **settings) == 0
        assert paths == [tmp_path / "earlier"] * number


def test_other_settings_are_another_run(run, extract, capsys):
    assert extract(run, maps=True, maps_heads=["L0H2"], contributions=True, **SAMPLES) == 2
    assert "its maps_heads is [[0, 2], [3, 0], [3, 1]], this command's is [[0, 2]]" in capsys.readouterr().err
    assert extract(run, contributions=True, **SAMPLES) == 2
    assert "its tables is ['contributions', 'maps']" in capsys.readouterr().err


@pytest.mark.parametrize(("column", "name"), [("a2v", "{}:5"), ("v2bos", "{}:5:v2bos")])
def test_the_heads_of_an_earlier_run_that_look_most(run, column, name):
    means = pd.read_parquet(run / "heads").groupby(["layer", "head"])[column].mean()
    expected = sorted(means.sort_values(ascending=False).index[:5])
    assert read_heads([name.format(run)], "a2v") == [list(each) for each in expected]


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({"maps_heads": ["L0H1"]}, "without `maps` it does nothing; see --maps-heads"),
        ({"maps_of": "last"}, "without `maps` it does nothing; see --maps-of"),
        ({"maps": True, "maps_heads": ["head 3"]}, "'head 3' is neither a head such as L3H5 nor RUN:K"),
        ({"maps": True, "maps_heads": ["L0H9"]}, "names head 9 of layer 0, and the model has 4 layers x 8 heads"),
        ({"maps": True, "maps_heads": ["nowhere:3"]}, "nowhere does not exist"),
        ({"maps": True, "maps_heads": ["{run}:33"]}, ":33' asks for 33 heads; of "),
        ({"maps": True, "maps_heads": ["L3H1", "{run}:2"]}, ":2' stands alone, or heads are named without it"),
        ({"maps": True, "maps_heads": ["{run}:3:loss"]}, "is not RUN:K, with a number of heads"),
    ],
)
def test_what_is_wrong_is_one_line(run, extract, tmp_path, capsys, flags, says):
    values = {
        name: [each.format(run=run) for each in value] if isinstance(value, list) else value
        for name, value in flags.items()
    }
    assert extract(tmp_path / "new" / "deep", **values, **SAMPLES) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert says in lines[0]
    assert not (tmp_path / "new").exists()


def test_heads_of_a_run_of_two_masses(tmp_path):
    run = write_run(tmp_path / "run")
    with pytest.raises(HeadflowError, match=r"asks for 0 heads; of .* give 1 to 6"):
        read_heads([f"{run}:0"], "a2v")


@pytest.mark.parametrize(
    ("table", "name", "row", "value", "says"),
    [
        (MAPS, "mass", 3, 0.9, "`map`, with `rest`, does not add up to `mass` in 1 row"),
        (MAPS, "rest", 2, float("nan"), "`rest` is not finite in 1 row"),
        (MAPS, "map", 2, [1, 2, 3], "`map` has another length than `grid_rows` times `grid_columns` in 1 row"),
        (MAPS, "map", 2, None, "`map` is null, or not, in 1 row against `maps_heads` of the manifest"),
        (MAPS, "map", 2, [1, None, 3], "`map` has null in its lists, 1 time"),
        (MAPS, "of", 2, "q", "`of` is q, and the manifest's maps are of a"),
        (MAPS, "entropy", 2, 1.5, "`entropy` is outside 0..1 in 1 row"),
        (MAPS, "head", 3, 1, "repeats rows of"),
        ("samples", "grid_rows", 3, None, "grid_rows is null in rows of observed samples"),
    ],
)
def test_validate_holds_the_maps(tmp_path, table, name, row, value, says):
    run = write_run(tmp_path / "run", tables=[MAPS])
    rewrite(run, table, lambda content: put(content, name, row, value))
    assert any(says in line for line in validate(run)), list(validate(run))


def test_a_subset_keeps_maps_and_thumbnails(run, tmp_path):
    assert analyze_main(["subset", str(run), str(tmp_path / "some"), "--query", "row < 4"]) == 0
    assert list(validate(tmp_path / "some")) == []
    some, whole = (pd.read_parquet(folder / MAPS) for folder in (tmp_path / "some", run))
    expected = whole[whole["sample_id"].isin(some["sample_id"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(some, expected, check_categorical=False)
    assert len(list((tmp_path / "some" / "thumbnails").iterdir())) == 2


def test_an_overwritten_run_loses_its_thumbnails(run, extract, tmp_path):
    copy = shutil.copytree(run, tmp_path / "copy")
    (copy / "thumbnails" / "mine.jpg").write_bytes(b"mine")
    assert extract(copy, overwrite=True, **SAMPLES) == 0
    assert [file.name for file in (copy / "thumbnails").iterdir()] == ["mine.jpg"]


def test_boxes_outside_the_image_are_said(questions, extract, tmp_path, capsys):
    row = json.loads((questions / "MME_test.json").read_text())[0]
    for x, said in ((8, False), (99999, True)):
        objects = [{"name": "dog", "boxes": [[0, 0, x, 8]]}]
        (tmp_path / "questions.json").write_text(json.dumps([row | {"objects": objects}]))
        for maps in ({}, {"maps": True, "maps_heads": ["L0H0"]}):
            run = tmp_path / f"{x}{len(maps)}"
            assert extract(run, question_file=tmp_path / "questions.json", **maps) == 0
            assert ("1 sample has boxes outside the image" in capsys.readouterr().err) == said
