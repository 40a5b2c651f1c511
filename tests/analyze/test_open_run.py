"""Oracle: what the commands print and write, and pandas on the run's own files."""

import re
import subprocess
import sys
from base64 import b64decode

import pandas as pd
import pytest

from analyze import open_run
from analyze.__main__ import main
from schemas.errors import HeadflowError
from tests.support.runs import write_run

FEW = {"resamples": 200}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("opened") / "run", categories={"OCR": 6, "color": 4})


def test_its_tables_are_those_of_the_files(path):
    run, files = open_run(str(path)), pd.read_parquet(path / "heads")
    rows = run.heads(["a2v"])
    assert list(rows) == ["sample_id", "category", "layer", "head", "a2v"]
    assert rows["a2v"].tolist() == files["a2v"].tolist()
    assert run.heads("a2v").equals(rows)
    assert set(run.heads()) == set(files)
    assert run.samples["sample_id"].tolist() == pd.read_parquet(path / "samples")["sample_id"].tolist()
    assert "10 samples" in run._repr_html_()


def test_what_is_found_is_what_the_command_writes(path, tmp_path, capsys):
    before = sorted(path.rglob("*"))
    found = open_run(path).diagnose(seed=3, metrics=["q2v"], **FEW)
    assert sorted(path.rglob("*")) == before  # nothing is written in a notebook
    flags = ["--seed", "3", "--metrics", "q2v", "--resamples", "200", "--output-dir", str(tmp_path), "--dpi", "20"]
    assert main(["diagnose", str(path), *flags]) == 0
    printed = capsys.readouterr().out
    assert all(line in printed for line in found.statements)
    for name, table in found.tables.items():
        assert (tmp_path / name).read_text() == table.to_csv(index=False)
    assert f"<p>{found.statements[0]}</p>" in found._repr_html_()
    assert "<table" in found._repr_html_()


def test_pictures_are_shown_as_they_are_written(path, tmp_path):
    run = open_run(path)
    found = run.diagnose(dpi=20, column=True, **FEW)
    flags = ["--resamples", "200", "--dpi", "20", "--column", "--output-dir", str(tmp_path)]
    assert main(["diagnose", str(path), *flags]) == 0
    html = found._repr_html_()
    shown = re.findall(r'<img alt="(\w+)" style="width: 3.3in" src="data:image/png;base64,([^"]+)">', html)
    written = {file.stem: file.read_bytes() for file in tmp_path.glob("*.png")}
    assert {name: b64decode(content) for name, content in shown} == written
    assert written
    assert found._repr_html_() == html  # also when it is shown again
    assert "<img" not in run.summary()._repr_html_()


def test_every_command_of_a_notebook(path, tmp_path):
    run, other = open_run(path), open_run(write_run(tmp_path / "other", seed=1, categories={"OCR": 6, "color": 4}))
    for found in (run.summary(), run.compare(other, **FEW)):
        assert found.tables
        assert "<table" in found._repr_html_()


def test_a_wrong_setting_is_refused_as_a_flag_is(path):
    run = open_run(path)
    for settings, says in (
        ({"seed": -1}, "seed: -1 is not a whole number from 0"),
        ({"run": "other"}, "run: this run, as it was opened, is read"),
        ({"colour": 1}, "there is no setting colour"),
        ({"metrics": ["v2t"]}, "image tokens see nothing of the question"),
    ):
        with pytest.raises(HeadflowError, match=says):
            run.diagnose(**settings)
    for path, says in (("nowhere", "does not exist"), (3, "3 is not a path")):
        with pytest.raises(HeadflowError, match=says):
            open_run(path)
    for prompt in ("x", 3, ["x"]):
        with pytest.raises(HeadflowError, match=r"has no wording .*: each question is asked in one"):
            open_run(run.path, prompt=prompt)
    with pytest.raises(HeadflowError, match="runs: 3 is not a path"):
        run.compare(3)
    with pytest.raises(HeadflowError, match="nowhere does not exist"):
        run.image("nowhere")


def test_the_packages_are_found_from_any_directory(path, tmp_path):
    code = f"from analyze import open_run; print(len(open_run({str(path)!r}).samples))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("10\n", "")
