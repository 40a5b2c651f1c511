"""Oracle: the run on the right images. A command that nearly all samples are skipped by leaves nothing in its way."""

import json
import os
import shutil
import signal

import pandas as pd
import pytest

from extract.models import loading
from extract.models.transformers_model import TransformersModel
from extract.runner import Extractor
from schemas.store.run import open_run
from schemas.validation.run import validate
from tests.support.pictures import READABLE
from tests.support.runs import read_tables


@pytest.fixture
def images(questions, tmp_path):
    """A copy of the images, free to be broken."""
    return shutil.copytree(questions / "images", tmp_path / "images")


def same(run, whole) -> None:
    assert list(validate(run)) == []
    for found, expected in zip(read_tables(run), read_tables(whole), strict=True):
        assert found.equals(expected)


def test_a_wrong_folder_is_refused_before_a_model_is_loaded(tmp_path, extract, extracted, monkeypatch, capsys):
    run, wrong = tmp_path / "run", tmp_path / "wrong"
    wrong.mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(loading, "load_model", None)
        assert extract(run, image_folder=wrong) == 2
    images = pd.read_parquet(extracted / "samples")["image"]
    assert capsys.readouterr().err == (
        f"error: {wrong} has 0 of the {images.nunique()} images that the questions name (it lacks {images.min()!r}); "
        "give the folder that the names are relative to; see --image-folder\n"
    )
    assert not run.exists()
    assert extract(run) == 0
    same(run, extracted)


def test_a_wrong_folder_in_the_middle_of_a_run(tmp_path, extract, extracted, monkeypatch, capsys):
    forward, calls = TransformersModel.forward, iter(range(100))

    def interrupted(self, *inputs, **options):
        if next(calls) == 6:
            os.kill(os.getpid(), signal.SIGTERM)
        return forward(self, *inputs, **options)

    monkeypatch.setattr(TransformersModel, "forward", interrupted)
    assert extract(tmp_path / "run", num_workers=0) == 128 + signal.SIGTERM
    assert extract(tmp_path / "run", image_folder=tmp_path) == 2
    assert f"{tmp_path} has 0 of the " in capsys.readouterr().err
    assert extract(tmp_path / "run") == 0
    same(tmp_path / "run", extracted)


@pytest.mark.parametrize("retry", [False, True])
def test_files_that_are_no_images(tmp_path, extract, extracted, images, capsys, retry):
    """As a clone without Git LFS leaves them."""
    for file in images.rglob("*.png"):
        file.write_text("version https://git-lfs.github.com/spec/v1\n")
    run = tmp_path / "run"
    assert extract(run, image_folder=images) == 2
    number = len(pd.read_parquet(extracted / "samples"))
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"error: {number} of {number} samples were skipped for one reason, image_unreadable")
    assert "not an image in a format that Pillow knows; they are not kept" in error
    assert not open_run(run).complete
    assert list((run / "samples").iterdir()) == []
    assert extract(run, **({"retry_skipped": True} if retry else {})) == 0
    same(run, extracted)


@pytest.fixture
def ten(tmp_path, extract):
    """Ask ten questions, about an image each; so many images can be read."""

    def call(readable, **flags):
        folder = tmp_path / "ten"
        folder.mkdir(exist_ok=True)
        for number in range(10):
            (folder / f"{number}.png").write_bytes(READABLE["rgb"] if number < readable else b"no image")
        rows = [{"image_file": f"{number}.png", "question": "Is it red?"} for number in range(10)]
        (tmp_path / "ten.json").write_text(json.dumps(rows))
        return extract(tmp_path / "run", question_file=tmp_path / "ten.json", image_folder=folder, **flags)

    return call


def test_nearly_all_are_nine_in_ten(ten, tmp_path):
    assert ten(readable=1) == 2
    samples = pd.read_parquet(tmp_path / "run" / "samples")
    assert samples["status"].tolist() == ["ok"]
    assert ten(readable=2) == 0
    samples = pd.read_parquet(tmp_path / "run" / "samples")
    assert samples["status"].tolist() == ["ok"] * 2 + ["skipped"] * 8
    assert list(validate(tmp_path / "run")) == []


def test_a_small_chunk_may_be_skipped_in_a_run_with_others(ten, tmp_path, capsys):
    """The last image is in a chunk of its own: the run stays open until others have shown that the folder is right."""
    chunks = [{"num_chunks": 10, "chunk_idx": index} for index in (9, 0, 1, 9)]
    assert [ten(readable=9, **chunk) for chunk in chunks] == [2, 0, 0, 0]
    assert "1 of 1 sample was skipped" in capsys.readouterr().err
    assert open_run(tmp_path / "run").chunks_complete == [0, 1, 9]


def test_missing_images_of_a_small_chunk(ten, tmp_path, extract):
    assert ten(readable=10, num_chunks=10) == 0
    (tmp_path / "ten" / "9.png").unlink()
    flags = {"question_file": tmp_path / "ten.json", "image_folder": tmp_path / "ten", "num_chunks": 10}
    assert extract(tmp_path / "run", chunk_idx=9, **flags) == 0
    assert pd.read_parquet(tmp_path / "run" / "samples")["status"].tolist() == ["ok", "skipped"]


def test_what_was_skipped_before_a_stop_is_run_again(tmp_path, extract, extracted, images, monkeypatch):
    for file in images.rglob("*.png"):
        file.write_bytes(b"no image")
    prepare, calls = Extractor._write_prompts, iter(range(100))

    def stopping(self, *arguments):
        if next(calls) == 5:
            os.kill(os.getpid(), signal.SIGTERM)
        return prepare(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Extractor, "_write_prompts", stopping)
        assert extract(tmp_path / "run", image_folder=images, num_workers=0) == 128 + signal.SIGTERM
    assert list((tmp_path / "run" / "samples").iterdir()) == []
    assert extract(tmp_path / "run") == 0
    same(tmp_path / "run", extracted)
