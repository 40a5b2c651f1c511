"""Oracle: pandas on the rows of the run that samples are taken from."""

import shutil

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from analyze.__main__ import main
from schemas.columns import arrow_schema
from schemas.errors import HeadflowError
from schemas.store import writer as writer_module
from schemas.store.run import open_run
from schemas.validation.run import validate
from tests.support.runs import LEDGER, PART, edit_json, flows, manifest, put, read_tables, rewrite, sample, start

pytestmark = pytest.mark.usefixtures("undrawn")


@pytest.fixture
def run(tmp_path, monkeypatch):
    """In several parts, with a skipped sample."""
    monkeypatch.setattr(writer_module, "ROWS_PER_PART", 12)
    writer = start(tmp_path / "run", 11, weights="w", images={"OCR/0.png": "1:a"})
    for number in range(10):
        values = flows(np.random.default_rng(number), 2, 3)
        writer.add(sample(number, "OCR" if number < 4 else "color") | {"row": number}, {"heads": values})
    writer.skip({"sample_id": "lost", "category": "color", "row": 10}, "image_missing", "there is none")
    writer.finish()
    return tmp_path / "run"


def subset(run, out, **flags):
    argv = []
    for name, value in flags.items():
        argv += [f"--{name.replace('_', '-')}", ",".join(value) if isinstance(value, list) else value]
    return main(["subset", str(run), str(out), *argv])


CONDITIONS = {
    "categories": {"categories": ["color"]},
    "query": {"query": "n_question > 22 and answer == 'Yes'"},
    "text": {"query": "question.str.contains('[2-5]')"},
    "null": {"query": "p_yes > 0.5"},
    "heads": {"heads_query": "layer == 1 and head == 2 and t2v > 0.1"},
    "all": {"categories": ["OCR", "color"], "query": "row >= 2", "heads_query": "t2v > 0.2"},
    "none": {},
}


@pytest.mark.parametrize("flags", CONDITIONS.values(), ids=CONDITIONS)
def test_it_has_the_rows_that_pandas_selects(run, tmp_path, flags):
    heads, samples = read_tables(run)
    wanted = samples if "categories" not in flags else samples[samples["category"].isin(flags["categories"])]
    wanted = wanted.query(flags["query"]) if "query" in flags and "str" not in flags["query"] else wanted
    if "str" in flags.get("query", ""):
        wanted = wanted[wanted["question"].str.contains("[2-5]").eq(True)]
    if "heads_query" in flags:
        wanted = wanted[wanted["sample_id"].isin(heads.query(flags["heads_query"])["sample_id"])]
    assert len(wanted) > 1
    assert subset(run, tmp_path / "out", **flags) == 0
    assert list(validate(tmp_path / "out")) == []
    kept, described = (table.astype({"sample_id": str, "category": str}) for table in read_tables(tmp_path / "out"))
    expected = heads[heads["sample_id"].isin(wanted["sample_id"])].astype({"sample_id": str, "category": str})
    pd.testing.assert_frame_equal(kept, expected.reset_index(drop=True), check_exact=True)
    wanted = wanted.astype({"sample_id": str, "category": str}).reset_index(drop=True)
    pd.testing.assert_frame_equal(described, wanted, check_exact=True, check_dtype=False)


def test_every_command_reads_it(run, tmp_path, capsys):
    assert subset(run, tmp_path / "out", categories=["color"]) == 0
    assert capsys.readouterr().out == f"7 of 11 samples in {tmp_path / 'out'}\n"
    for command in ("summary", "export-pt", "plots --dpi 20 --layers 0 --metrics t2v", "verify --dpi 20", "validate"):
        name, *flags = command.split()
        assert main([name, str(tmp_path / "out"), *flags]) == (2 if name == "verify" else 0)
        assert capsys.readouterr().err.count("error") == 0
    assert subset(tmp_path / "out", tmp_path / "again", query="row == 4") == 0
    assert list(validate(tmp_path / "again")) == []


def test_what_it_says_of_itself(run, tmp_path):
    before = open_run(run)
    assert subset(run, tmp_path / "out", query="row < 3") == 0
    after = open_run(tmp_path / "out")
    changed = {name for name, value in vars(after.manifest).items() if value != getattr(before.manifest, name)}
    assert changed <= {"derived", "started"}
    assert after.manifest.derived == "subset"
    (ledger,) = after.ledgers.values()
    assert (ledger.samples, ledger.samples_in_run, ledger.complete) == (3, 3, True)
    assert (ledger.weights, ledger.images) == ("w", {"OCR/0.png": "1:a"})
    computed, selected = ledger.sessions
    assert computed == before.ledgers[0].sessions[0]
    assert selected.arguments["query"] == "row < 3"
    with pytest.raises(HeadflowError, match="its derived is 'subset'"):
        start(tmp_path / "out", 11)


def test_extraction_does_not_resume_it(extracted, extract, tmp_path, capsys):
    assert subset(extracted, tmp_path / "out", categories=["OCR"]) == 0
    capsys.readouterr()
    assert extract(tmp_path / "out") == 2
    assert "holds another run: its derived is 'subset'" in capsys.readouterr().err


def test_parts_get_the_types_of_the_contract(made_up, tmp_path):
    for table in ("heads", "samples"):
        pd.read_parquet(made_up / table / PART).sample(frac=1, random_state=0).to_parquet(made_up / table / PART)
    assert subset(made_up, tmp_path / "out") == 0
    for table in ("heads", "samples"):
        expected = arrow_schema(open_run(made_up).columns(table))
        assert pq.read_schema(tmp_path / "out" / table / PART).equals(expected)
    assert list(validate(tmp_path / "out")) == []


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({"categories": ["colour"]}, "there is no category 'colour'; this run has OCR, color; see --categories"),
        (
            {"query": "layer == 5"},
            "'layer == 5' cannot be evaluated: name 'layer' is not defined; the columns are sample",
        ),
        ({"query": "row =="}, "cannot be evaluated: "),
        ({"query": ""}, "cannot be evaluated: "),
        ({"query": "@manifest"}, "cannot be evaluated: "),
        ({"query": "row + 1"}, "'row + 1' is not true or false of each row; see --query"),
        ({"query": "x = row"}, "is not true or false of each row"),
        ({"query": "row > 99"}, "no observed sample fits; nothing was written"),
        ({"query": "status == 'skipped'"}, "no observed sample fits"),
        ({"heads_query": "n_image > 3"}, "`heads` has no column n_image; it has sample_id, category, layer, head, t2v"),
        ({"heads_query": "g2v > 0.5"}, "`heads` has no column g2v: `steps` has; it has sample_id"),
        ({"heads_query": "index > 3"}, "`heads` has no column index; it has"),
        ({"heads_query": "t2v > t2v.mean()"}, "is not of one row: compare columns and numbers, without functions; see"),
        ({"heads_query": "t2v > "}, "is no condition: invalid syntax"),
        ({"heads_query": "t2v + 1"}, "'t2v + 1' is not true or false of each row; see --heads-query"),
    ],
)
def test_refused(run, tmp_path, capsys, flags, says):
    assert subset(run, tmp_path / "out", **flags) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_category_after_a_list_is_no_directory(run, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["subset", str(run), "--categories", "OCR", "color"]) == 2
    says = "color is a category of the run, and would be a directory; a list has commas: --categories A,B; see OUT"
    assert says in capsys.readouterr().err
    assert not (tmp_path / "color").exists()
    assert main(["subset", str(run), "--categories", "OCR", "OCR"]) == 0
    assert main(["subset", str(run), "color"]) == 0


def test_where_it_is_written(run, tmp_path, capsys):
    assert main(["subset", str(run), str(run / ".." / "run"), "--overwrite"]) == 2
    assert "which is read, or lies in it; choose another directory" in capsys.readouterr().err
    assert subset(run, run / "heads") == 2
    assert "lies in it; choose another directory" in capsys.readouterr().err
    assert subset(run, tmp_path / "out") == 0
    assert subset(run, tmp_path / "out", categories=["OCR"]) == 2
    assert "holds a run; choose another directory, or overwrite it; see --overwrite" in capsys.readouterr().err
    assert main(["subset", str(run), str(tmp_path / "out"), "--categories", "OCR", "--overwrite"]) == 0
    assert len(read_tables(tmp_path / "out")[1]) == 4


def test_a_run_that_cannot_be_read_leaves_no_half_of_another(run, tmp_path, capsys):
    (run / "heads" / "part-00000-00003.parquet").write_bytes(b"")
    assert subset(run, tmp_path / "out") == 2
    assert "part-00000-00003.parquet cannot be read as Parquet" in capsys.readouterr().err
    assert not (tmp_path / "out" / "run.json").exists()
    assert subset(run, tmp_path / "out", categories=["OCR"]) == 0  # its parts can be read


def test_values_that_cannot_be(made_up, tmp_path, capsys):
    whole = tmp_path / "whole"
    shutil.copytree(made_up, whole)
    rewrite(made_up, "heads", lambda content: put(content, "q2q", 3, float("nan")))
    assert subset(made_up, tmp_path / "out") == 2
    assert "`q2q` is not finite in 1 row; run validate" in capsys.readouterr().err
    rewrite(whole, "samples", lambda content: put(content, "status", 3, "lost"))
    rewrite(whole, "heads", lambda content: content.filter([n // 6 != 3 for n in range(60)]))
    assert subset(whole, tmp_path / "out") == 2
    assert "OCR/1#2 is neither observed nor has a reason" in capsys.readouterr().err


def test_an_incomplete_run_is_taken_as_far_as_it_goes(run, tmp_path, capsys):
    edit_json(run / LEDGER, state="running", samples=20, samples_in_run=20)
    assert subset(run, tmp_path / "out", categories=["color"]) == 0
    assert "is not complete: this covers 11 of 20 samples" in capsys.readouterr().err
    assert list(validate(tmp_path / "out")) == []
    assert manifest().derived is None
