"""Oracle: the same files given by their path; the download itself is a stand-in, as no test has a network."""

import json

import pandas as pd
import pytest

from extract.__main__ import main
from extract.questions.hub import local_path
from extract.questions.question_set import read_questions
from schemas.errors import HeadflowError
from schemas.store.run import open_run
from tests.support.shards import hub_rows, write_shards

MME = "hf://datasets/lmms-lab/MME"


@pytest.fixture
def snapshot(tmp_path, questions):
    """The hub's cache, with shards and another form of the same questions."""
    folder = tmp_path / "snapshot"
    rows = json.loads((questions / "MME_test.json").read_text())
    write_shards(folder / "data", hub_rows(rows, questions / "images"), shards=2)
    (folder / "MME_test.json").write_text(json.dumps(rows))
    return folder


@pytest.fixture
def asked(monkeypatch, snapshot):
    """What the hub was asked for."""
    calls = []

    def download(repo_id, **options):
        calls.append((repo_id, options))
        return str(snapshot)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    return calls


@pytest.mark.parametrize(
    ("name", "revision", "wanted", "found"),
    [
        (MME, None, ["*.parquet"], ""),
        (f"{MME}/", None, ["*.parquet"], ""),
        (f"{MME}/data", None, ["data", "data/*"], "data"),
        (f"{MME}/data/*.parquet", None, ["data/*.parquet", "data/*.parquet/*"], "data/*.parquet"),
        (f"{MME}@abc/MME_test.json", "abc", ["MME_test.json", "MME_test.json/*"], "MME_test.json"),
    ],
)
def test_what_is_fetched(snapshot, asked, name, revision, wanted, found):
    assert local_path(name) == snapshot / found
    assert asked == [("lmms-lab/MME", {"repo_type": "dataset", "revision": revision, "allow_patterns": wanted})]
    assert read_questions(local_path(name)).samples == read_questions(snapshot / "MME_test.json").samples


def test_a_run_on_the_hub_s_questions(tmp_path, snapshot, asked, checkpoint_path, extracted):
    argv = ["--model-path", checkpoint_path, "--question-file", MME, "--output-dir", tmp_path / "run"]
    argv += ["--device", "cpu"]
    assert main([str(each) for each in argv]) == 0
    assert pd.read_parquet(tmp_path / "run" / "heads").equals(pd.read_parquet(extracted / "heads"))
    manifest = open_run(tmp_path / "run").manifest
    assert manifest.question_file == MME
    assert manifest.question_file_sha256 == read_questions(snapshot / "data").sha256
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (f"{MME}/data/val-*", "is not there: the dataset, or its copy in the cache, has no data/val-*"),
        (f"{MME}/images", "has no images"),
        ("hf://lmms-lab/MME", "it names a model; write hf://datasets/OWNER/NAME"),
        ("hf://datasets/MME", "cannot be fetched"),
        ("hf://", "cannot be fetched"),
    ],
)
def test_what_is_wrong_is_said(asked, name, says):
    with pytest.raises(HeadflowError) as error:
        local_path(name)
    assert says in str(error.value)
    assert f"question file {name} " in str(error.value)


def test_without_a_network(capsys, tmp_path):
    argv = ["--model-path", "m", "--question-file", "hf://datasets/no-one/nothing", "--output-dir", str(tmp_path / "r")]
    assert main(argv) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: question file hf://datasets/no-one/nothing cannot be fetched: ")
    assert error.count("\n") == 1


def test_shards_that_were_not_all_fetched(snapshot, asked):
    next((snapshot / "data").iterdir()).unlink()
    with pytest.raises(HeadflowError, match=r"has 1 of the 2 files test-\*"):
        local_path(MME)


def test_other_names_are_paths():
    assert str(local_path("MME/MME_test.json")) == "MME/MME_test.json"
