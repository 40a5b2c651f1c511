"""Oracles: a run on a folder whose files were swapped by hand; the whole run for its chunks; a run before the field."""

import json
import shutil

import pandas as pd
import pytest

from analyze.__main__ import main as analyze_main
from extract.__main__ import main
from tests.support.runs import read_tables

FEW = {"num_samples": 8, "num_workers": 0}


@pytest.fixture(scope="module")
def swapped(extract, tmp_path_factory):
    run = tmp_path_factory.mktemp("swapped") / "run"
    assert extract(run, images="swap", num_workers=0) == 0
    return run


def test_swap_equals_a_folder_whose_files_were_swapped(swapped, extract, questions, tmp_path):
    heads, samples = read_tables(swapped)
    others = samples.drop_duplicates("image").set_index("image")["image_shown"]
    assert (others != others.index).all()
    folder = tmp_path / "images"
    shutil.copytree(questions / "images", folder)
    for name, other in others.items():
        shutil.copyfile(questions / "images" / other, folder / name)
    assert extract(tmp_path / "run", image_folder=folder, num_workers=0) == 0
    by_hand, rows = read_tables(tmp_path / "run")
    keys = ["sample_id", "layer", "head"]
    one, two = (each.astype({"sample_id": str}).set_index(keys).sort_index() for each in (heads, by_hand))
    pd.testing.assert_frame_equal(one.drop(columns="category"), two.drop(columns="category"), atol=2e-6, rtol=0)
    both = samples.merge(rows, on="sample_id", suffixes=("", "_by_hand"))
    assert (both["margin"] - both["margin_by_hand"]).abs().max() < 1e-4
    assert (both["prediction"] == both["prediction_by_hand"]).all()


def test_the_ids_and_the_hashes_stay_those_of_the_original(swapped, extracted):
    names = ["sample_id", "image", "image_sha256", "question"]
    pd.testing.assert_frame_equal(read_tables(swapped)[1][names], read_tables(extracted)[1][names])
    assert read_tables(extracted)[1]["image_shown"].isna().all()
    assert json.loads((swapped / "run.json").read_text())["images"] == "swap"
    assert json.loads((extracted / "run.json").read_text())["images"] == "original"


@pytest.mark.parametrize("kind", ["swap", "noise"])
def test_chunks_equal_the_whole(kind, extract, swapped, tmp_path):
    whole = swapped
    if kind != "swap":
        whole = tmp_path / "whole"
        assert extract(whole, images=kind, num_workers=0) == 0
    for index in range(2):
        assert extract(tmp_path / "run", images=kind, num_chunks=2, chunk_idx=index, num_workers=1) == 0
    one, two = (read_tables(run)[1].set_index("sample_id").sort_index() for run in (whole, tmp_path / "run"))
    assert one["image_shown"].equals(two["image_shown"])
    assert (one["margin"] - two["margin"]).abs().max() < 1e-4
    assert analyze_main(["validate", str(tmp_path / "run")]) == 0


def test_blank_answers_are_the_same_behind_any_images(extract, questions, tmp_path):
    folder = tmp_path / "images"
    shutil.copytree(questions / "images", folder)
    files = sorted(path for path in folder.rglob("*.*") if path.is_file())
    for file, other in zip(files, [*files[1:], files[0]], strict=True):
        shutil.copyfile(questions / "images" / other.relative_to(folder), file)
    for name, images in (("a", questions / "images"), ("b", folder)):
        assert extract(tmp_path / name, images="blank", image_folder=images, num_workers=0) == 0
    one, two = (read_tables(tmp_path / name)[1] for name in ("a", "b"))
    assert (one["image_sha256"] != two["image_sha256"]).all()
    assert (one["margin"] - two["margin"]).abs().max() < 1e-4


def test_a_resume_and_a_merge_compare_the_images(extract, tmp_path, capsys):
    for kind in ("original", "blank"):
        assert extract(tmp_path / kind, images=kind, **FEW) == 0
    capsys.readouterr()
    assert extract(tmp_path / "blank", images="noise", **FEW) == 2
    error = capsys.readouterr().err
    assert "its images is 'blank', this command's is 'noise'" in error.replace('"', "'")
    assert error.count("\n") == 1
    assert (
        analyze_main(["merge", *(str(tmp_path / kind) for kind in ("original", "blank")), str(tmp_path / "out")]) == 2
    )
    assert "`images` is 'original' in the one and 'blank' in the other" in capsys.readouterr().err
    assert main(["knock-out", str(tmp_path / "blank"), "--heads", "all"]) == 2
    assert "is of blank images: knock-outs need the images as they are" in capsys.readouterr().err


def test_a_run_written_before_the_field_is_resumed(extract, tmp_path):
    run = tmp_path / "run"
    assert extract(run, **FEW) == 0
    content = json.loads((run / "run.json").read_text())
    del content["images"]
    (run / "run.json").write_text(json.dumps(content))
    assert extract(run, **FEW | {"num_samples": 10}) == 0
    assert len(read_tables(run)[1]) == 10
