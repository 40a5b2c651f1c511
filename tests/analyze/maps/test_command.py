"""`maps` as a user sees it. Oracles: the tables of `localise`, and the files on the disk."""

import json

import pandas as pd
import pytest

from analyze.__main__ import main
from analyze.maps.results import localise
from analyze.tables.frames import open_heads
from schemas.columns import MAPS
from tests.support.looking import write_looking
from tests.support.runs import put, rewrite, write_run

pytestmark = pytest.mark.usefixtures("undrawn")

FEW = ["--resamples", "100", "--dpi", "30"]


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return tmp_path_factory.mktemp("images")


@pytest.fixture(scope="module")
def run(tmp_path_factory, images):
    return write_looking(
        tmp_path_factory.mktemp("command") / "run", images=8, kept=[(0, 1), (1, 0), (1, 2)], folder=images
    )


def said(capsys, *words) -> str:
    assert main(["maps", *map(str, words), *FEW]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    return error


def test_files_and_words(run, images, capsys):
    assert main(["maps", str(run), *FEW, "--image-folder", str(images)]) == 0
    out, error = capsys.readouterr()
    folder = run / "localisation"
    assert {file.name for file in folder.iterdir()} == {
        "heads.csv", "layers.csv", "pointing.csv", "looks.png", "sinks.png", "sample_OCR_0.png", "sample_color_4.png",
        *(f"{kind}_{head}.png" for kind in ("head", "mean") for head in ("L0H1", "L1H0", "L1H2")),
    }  # fmt: skip
    recorded = json.loads((run / ".outputs.json").read_text())
    assert set(recorded) == {f"localisation/{file.name}" for file in folder.iterdir()}
    found = localise(open_heads(run)[0], resamples=100)
    for name, table in found.tables().items():
        pd.testing.assert_frame_equal(pd.read_csv(folder / name), table, check_dtype=False)
    assert all(line in out.splitlines() for line in found.verdict())
    assert error == ""
    assert main(["validate", str(run)]) == 0


def test_patches_count_from_a_distance_above_the_mean_on(run, tmp_path):
    assert main(["maps", str(run), *FEW, "--above-mean", "0.05", "--output-dir", str(tmp_path / "out")]) == 0
    expected = localise(open_heads(run)[0], above=0.05, resamples=100).looks.table["spatial_entropy"]
    assert pd.read_csv(tmp_path / "out" / "heads.csv")["spatial_entropy"].to_numpy() == pytest.approx(
        expected.to_numpy(), nan_ok=True
    )
    assert not expected.equals(localise(open_heads(run)[0], resamples=100).looks.table["spatial_entropy"])


def test_what_is_drawn(run, tmp_path, capsys):
    flags = ["--samples", "OCR/1,OCR/0#2", "--heads", "L1H2", "--output-dir", tmp_path / "out", "--format", "svg"]
    assert main(["maps", str(run), *FEW, *map(str, flags)]) == 0
    names = {file.stem for file in (tmp_path / "out").glob("*.svg")}
    assert names == {"looks", "sinks", "sample_OCR_1", "sample_OCR_0_2", "head_L1H2", "mean_L1H2"}
    error = capsys.readouterr().err
    assert error == (
        "warning: 2 of 2 samples that are drawn have no image, and grey in its place: there is neither an image folder "
        "nor a thumbnail\n"
    )


def test_top_and_categories(run, tmp_path):
    flags = ["--top", "1", "--categories", "color", "--output-dir", tmp_path / "out"]
    assert main(["maps", str(run), *FEW, *map(str, flags)]) == 0
    assert len(list((tmp_path / "out").glob("head_*.png"))) == 1
    assert [file.stem for file in (tmp_path / "out").glob("sample_*.png")] == ["sample_color_4"]
    expected = localise(open_heads(run)[0].of(["color"]), resamples=100).looks.table["mass"]
    assert pd.read_csv(tmp_path / "out" / "heads.csv")["mass"].tolist() == pytest.approx(expected.tolist())


def test_a_wording_has_a_folder_of_its_own(tmp_path, capsys):
    run = write_looking(tmp_path / "run", images=4, wordings=True)
    assert main(["maps", str(run), *FEW, "--prompt", "two"]) == 0
    assert (run / "prompt_two" / "localisation" / "sample_OCR_0_two.png").is_file()
    capsys.readouterr()
    assert "asks in 2 wordings: choose one of one, two; see --prompt" in said(capsys, run)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--heads", "5"], "'5' is no head, such as L3H5; see --heads"),
        (
            ["--heads", "L2H0"],
            "L2H0 names head 0 of layer 2, and the model has 2 layers x 3 heads, from 0",
        ),
        (["--heads", "L0H0"], "L0H0 has no map; 3 of 6 heads have one; see --heads"),
        (["--samples", "nope"], "no sample 'nope' was observed here; there are OCR/0, OCR/0#2, OCR/1 and 13 more"),
        (["--samples", "OCR/0", "--categories", "color"], "no sample 'OCR/0' was observed here"),
        (["--categories", "nope"], "there is no category 'nope'; this run has OCR, color; see --categories"),
        (["--image-folder", "/nowhere"], "/nowhere is not a directory; see --image-folder"),
        (["--effects", "nope"], "see --effects"),
        (["--output-dir", "RUN/maps"], "is for parts of a table, and pandas reads all of it; see --output-dir"),
        (["--prompt", "nope"], "has no wording 'nope'"),
    ],
)
def test_errors_are_one_line(run, capsys, flags, says):
    assert says in said(capsys, run, *(flag.replace("RUN", str(run)) for flag in flags))


def test_runs_that_cannot_be_read(tmp_path, capsys):
    assert "has no maps: extract it again with them" in said(capsys, write_run(tmp_path / "none"))
    assert "has no job 'nope'" in said(capsys, write_run(tmp_path / "maps", tables=[MAPS]), "--effects", "nope")
    path = write_looking(tmp_path / "run", images=2)
    (path / MAPS / "part-00000-00000.parquet").write_bytes(b"broken")
    assert "part-00000-00000.parquet" in said(capsys, path)
    path = write_looking(tmp_path / "other", images=2)
    rewrite(path, "samples", lambda table: put(table, "grid_columns", 0, None))
    assert "the grid of OCR/0" in said(capsys, path)


@pytest.mark.parametrize("at_once", [1, 100])
def test_maps_of_several_sizes_are_one_line(tmp_path, capsys, monkeypatch, at_once):
    """In rows that are read together, and in those that are not."""
    monkeypatch.setattr("analyze.tables.rows.BATCH", at_once)
    run = write_looking(tmp_path / "run", images=2)
    rewrite(run, MAPS, lambda table: put(table, "map", 0, table["map"][0].as_py()[:-1]))
    assert "part-00000-00000.parquet: `map` of one image has several sizes; run validate" in said(capsys, run)
