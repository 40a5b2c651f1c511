"""Every analysis command on a run on an S3 server: the same tables as on a disk, written to this machine."""

import filecmp

import pandas as pd
import pytest

from analyze.__main__ import main
from tests.support.runs import write_run
from tests.support.texts import WRITTEN

pytestmark = pytest.mark.usefixtures("undrawn")

HEADS = ["--heads", "L0H0"]


@pytest.fixture(scope="module")
def on_disk(tmp_path_factory):
    folder = tmp_path_factory.mktemp("disk")
    return [write_run(folder / name, tables=["contributions", "maps", *WRITTEN], seed=n) for n, name in enumerate("ab")]


@pytest.fixture
def runs(on_disk, tmp_path, store, monkeypatch):
    """Two runs on a disk, and the same on the store; the working directory is empty."""
    on_store = [store.put_folder(run, f"bucket/{run.name}") for run in on_disk]
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return on_disk, on_store


@pytest.mark.parametrize(
    "command",
    [
        ["summary"],
        ["compare", "--resamples", "100", "--dpi", "20"],
        ["maps", "--resamples", "100", "--dpi", "20", "--top", "1"],
        ["words", "--dpi", "20"],
        ["export-pt"],
        ["report"],
    ],
    ids=lambda command: command[0],
)
def test_commands(runs, tmp_path, command):
    """Pictures are files of this machine: `plots`, `verify` and `diagnose` read what `summary` and `compare` do."""
    name, *flags = command
    both = name == "compare"
    codes = []
    for places, output in zip(runs, ("from_disk", "from_store"), strict=True):
        codes.append(main([name, *map(str, places if both else places[:1]), *flags, "--output-dir", output]))
    assert codes[0] == codes[1]
    work = tmp_path / "work"
    names = sorted(file.name for file in (work / "from_disk").iterdir())
    assert names == sorted(file.name for file in (work / "from_store").iterdir())
    tables = [file for file in names if file.endswith(".csv")]
    assert filecmp.cmpfiles(work / "from_disk", work / "from_store", tables, shallow=False)[0] == tables


def test_files_go_into_a_folder_of_the_runs_name(runs, tmp_path, capsys):
    assert main(["summary", runs[1][0]]) == 0
    (folder,) = (tmp_path / "work").glob("a-*")
    assert f"written: {folder.name}/summary.csv, {folder.name}/scores.csv" in capsys.readouterr().out
    assert main(["compare", *runs[1], "--resamples", "100", "--dpi", "20"]) == 0
    assert len([*(tmp_path / "work").glob("b-*/compared_with_a/answers.csv")]) == 1
    assert main(["plots", runs[1][0], "--output-dir", "s3://bucket/pictures"]) == 2
    assert "s3://bucket/pictures is not a path on this machine" in capsys.readouterr().err


def test_runs_of_one_name_do_not_share_a_folder(runs, tmp_path, store):
    places = [store.put_folder(run, f"bucket/{run.name}/run") for run in runs[0]]
    for place, run in zip(places, runs[0], strict=True):
        assert main(["summary", place, "--metrics", "a2v"]) == 0
        assert main(["summary", str(run), "--metrics", "a2v"]) == 0
    found = [(folder / "summary.csv").read_text() for folder in (tmp_path / "work").glob("run-*")]
    assert sorted(found) == sorted((run / "summary.csv").read_text() for run in runs[0])


def test_derived_runs(runs):
    """A run on the store from runs on the store."""
    assert main(["subset", runs[1][0], "s3://bucket/ocr", "--categories", "OCR"]) == 0
    assert main(["subset", runs[1][0], "s3://bucket/color", "--categories", "color"]) == 0
    assert main(["merge", "s3://bucket/ocr", "s3://bucket/color", "s3://bucket/merged"]) == 0
    assert main(["validate", "s3://bucket/merged"]) == 0
    for table in ("heads", "maps"):
        read = pd.read_parquet(f"s3://bucket/merged/{table}")
        assert read.equals(pd.read_parquet(runs[0][0] / table))
    assert main(["subset", runs[1][0], runs[1][0] + "/heads", "--categories", "OCR"]) == 2


def test_a_damaged_run_is_said_in_a_line(runs, store, capsys):
    from schemas.files.locations import location

    (location(runs[1][0]) / "heads" / "part-00000-00000.parquet").unlink()
    assert main(["validate", runs[1][0]]) == 1
    assert "part-00000-00000.parquet is missing: its ledger names it" in capsys.readouterr().out
    assert main(["summary", runs[1][0]]) == 2
    assert "part-00000-00000.parquet is missing: its ledger names it" in capsys.readouterr().err
