"""Oracle: what the commands print and write, and pandas on the run's own files."""

import re
import subprocess
import sys
from base64 import b64decode

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analyze import open_run
from analyze.__main__ import main
from analyze.drawing.figures import FigureFiles
from schemas.errors import HeadflowError
from schemas.store import writer
from tests.support.asked import HEADS, LAYERS, knock_out_choices, write_choices
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


def test_rows_of_several_parts_have_the_types_of_pandas_own(tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "ROWS_PER_PART", 12)  # two samples
    path = write_run(tmp_path / "run", categories={"OCR": 3, "color": 3})
    assert len(list((path / "heads").iterdir())) > 2
    assert open_run(path).heads().equals(pd.read_parquet(path / "heads"))


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


def test_one_picture_is_drawn_and_no_other(path, tmp_path, monkeypatch):
    found = open_run(path).plots(dpi=20, two_columns=True)
    drawn = []
    monkeypatch.setattr(
        FigureFiles, "png", lambda self, figure, png=FigureFiles.png: drawn.append(1) or png(self, figure)
    )
    picture = found.picture("mme_head_map_t2v")
    assert found.picture("mme_head_map_t2v") is picture
    assert len(drawn) == 1
    flags = ["--dpi", "20", "--two-columns", "--layers", "0", "--categories", "OCR"]
    assert main(["plots", str(path), *flags, "--output-dir", str(tmp_path)]) == 0
    assert picture._repr_png_() == (tmp_path / "mme_head_map_t2v.png").read_bytes()
    assert picture.width == pytest.approx(6.9)
    assert len(repr(picture)) < 100
    for kind in ("png", "svg"):
        own = (
            open_run(path)
            .plots(dpi=20, two_columns=True, format=kind)
            .save_picture("mme_head_map_t2v", tmp_path / "one")
        )
        assert own == tmp_path / "one" / f"mme_head_map_t2v.{kind}"
    assert picture.png == own.with_suffix(".png").read_bytes()
    assert own.read_text().startswith("<?xml")
    with pytest.raises(HeadflowError, match="there is no picture 'answers'; there are mme_overall_stacked_hist, "):
        found.picture("answers")
    with pytest.raises(HeadflowError, match="there is no picture 'answers'"):
        found.save_picture("answers", tmp_path)
    with pytest.raises(HeadflowError, match="there are none"):
        open_run(path).summary().picture("answers")


def test_what_is_printed_is_the_verdict(path):
    found = open_run(path).diagnose(**FEW)
    assert str(found).splitlines() == [*found.statements]
    assert str(open_run(path).summary()) == "\n".join(open_run(path).summary().about)
    assert str(open_run(path).plots()).startswith("pictures: mme_overall_stacked_hist, ")


def test_effects_are_those_of_pandas(tmp_path):
    path = write_choices(tmp_path / "run", images=24)
    run = open_run(path)
    with pytest.raises(HeadflowError, match="has no job that knocked out each single head: knock out all"):
        run.effects()
    sets = {f"L{layer}H{head}": {"heads": [[layer, head]]} for layer in range(LAYERS) for head in range(HEADS)}
    knock_out_choices(path, "heads_edge", sets)
    found, rows = run.effects(), pd.read_parquet(path / "jobs" / "heads_edge" / "knockouts")
    assert found.equals(run.effects("heads_edge"))
    image = rows["sample_id"].map(run.samples.set_index("sample_id")["image_sha256"])
    by_image = (
        (rows["lead_untouched"] - rows["lead"]).astype(float).groupby([rows["layer"], rows["head"], image]).mean()
    )
    by_head = by_image.groupby(level=[0, 1])
    assert list(zip(found["layer"], found["head"], strict=True)) == list(by_head.groups)
    np.testing.assert_allclose(found["effect"], by_head.mean(), rtol=1e-5)
    half = stats.t.ppf(0.975, 23) * by_head.std() / 24**0.5
    np.testing.assert_allclose(found["high"] - found["effect"], half, rtol=1e-4)
    assert (found["low_all"] < found["low"]).all()
    assert (found["high"] < found["high_all"]).all()
    with pytest.raises(HeadflowError, match="has no job 'x'; its jobs: heads_edge"):
        run.effects("x")


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
    unread = "x" * 300, "cannot be read: .*File name too long|does not exist"  # as Python's `exists` raises or not
    for path, says in (("nowhere", "does not exist"), (3, "3 is not a path"), unread):
        with pytest.raises(HeadflowError, match=says):
            open_run(path)
    for prompt in ("x", 3, ["x"]):
        with pytest.raises(HeadflowError, match=r"has no wording .*: each question is asked in one"):
            open_run(run.path, prompt=prompt)
    with pytest.raises(HeadflowError, match="runs: 3 is not a path"):
        run.compare(3)
    with pytest.raises(HeadflowError, match="is of the images as they are"):
        run.diagnose(without=run)
    with pytest.raises(HeadflowError, match="nowhere does not exist"):
        run.image("nowhere")
    with pytest.raises(HeadflowError, match="nowhere does not exist"):
        run.report("nowhere")


def test_the_packages_are_found_from_any_directory(path, tmp_path):
    code = f"from analyze import open_run; print(len(open_run({str(path)!r}).samples))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("10\n", "")
