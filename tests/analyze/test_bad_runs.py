"""Every command says in one line what it cannot read, and reads what it can of a run that is not complete."""

import json
import shutil

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from analyze.__main__ import main
from tests.support.runs import LEDGER, PART, edit_json, edit_ledger, edit_manifest, put, recast, rewrite

COMMANDS = ("plots", "summary", "export-pt")


def empty(run):
    shutil.rmtree(run)
    run.mkdir()


def not_a_run(run):
    empty(run)
    (run / "notes.txt").write_text("hello")


def no_parts_yet(run):
    for table in ("heads", "samples"):
        (run / table / PART).unlink()
    edit_ledger(run, state="running", parts=[])


def truncate(run):
    path = run / "heads" / PART
    path.write_bytes(path.read_bytes()[:-100])


def damage(run):
    """Zeros in the pages of every column, the footer left whole."""
    path = run / "heads" / PART
    content = bytearray(path.read_bytes())
    content[4:2000] = bytes(1996)
    path.write_bytes(content)


def skip_all(run):
    rows = json.loads((run / LEDGER).read_text())["samples"]
    for row in range(rows):
        rewrite(run, "samples", lambda content, row=row: put(content, "status", row, "skipped"))


def double(run):
    """The rows of one sample twice, those of another one of its category not at all."""
    rewrite(
        run, "heads", lambda content: pa.concat_tables([content.slice(0, 6), content.slice(0, 6), content.slice(12)])
    )


def spoil(run, name, value):
    """One value in all rows of a column of `heads`."""
    rewrite(run, "heads", lambda content: put(content, name, slice(None), [value] * len(content)))


FAULTS = {
    shutil.rmtree: "does not exist",
    empty: "has no run.json: it is not a run",
    not_a_run: "has no run.json: it is not a run",
    no_parts_yet: "has no part yet",
    truncate: "cannot be read as Parquet",
    damage: "cannot be read as Parquet",
    skip_all: "no sample was observed",
    lambda run: (run / "heads" / PART).unlink(): "is missing: its ledger names it",
    lambda run: (run / "samples" / PART).unlink(): "is missing: its ledger names it",
    lambda run: (run / "run.json").unlink(): "it has parts, but its manifest is gone",
    lambda run: (run / "run.json").write_text("{"): "is not JSON",
    lambda run: edit_manifest(run, schema_version=3): "has schema version 3, this headflow reads 2",
    lambda run: edit_manifest(run, layers=2**15, heads=2**15, attending=[]): (
        "its ledgers name 60 rows of `heads`, not 32768 x 32768 for each of 10 samples; run validate"
    ),
    lambda run: edit_manifest(run, layers=1, attending=[0]): "is beyond the manifest's 1; run validate",
    lambda run: spoil(run, "head", 0): (
        "lacks rows of OCR/0, OCR/0#2, OCR/1, OCR/1#2, color/0 and 5 more (the first has 2 of 6, and none for layer 0, "
        "head 1), repeats rows of OCR/0, OCR/0#2, OCR/1, OCR/1#2, color/0 and 5 more; a run keeps all rows"
    ),
    lambda run: spoil(run, "t2v", float("nan")): "`t2v` is not finite in 60 rows; run validate",
    lambda run: rewrite(run, "samples", lambda content: put(content, "status", 0, "skipped")): (
        "has rows of OCR/0, not among the observed samples of `samples/part-00000-00000.parquet`"
    ),
    lambda run: rewrite(run, "heads", lambda content: content.slice(6)): "has no rows of OCR/0;",
    double: "has no rows of OCR/0#2, repeats rows of OCR/0; a run keeps all rows of a sample or none",
    lambda run: rewrite(run, "heads", lambda content: content.filter(pc.field("layer") == 0)): (
        "lacks rows of OCR/0, OCR/0#2, OCR/1, OCR/1#2, color/0 and 5 more (the first has 3 of 6, and none for layer 1, "
    ),
    lambda run: rewrite(run, "samples", lambda content: put(content, "sample_id", 1, "OCR/0")): (
        "samples has more than one row of OCR/0; run validate"
    ),
    lambda run: rewrite(run, "heads", lambda content: content.append_column("t2v", content["t2v"])): (
        "has 2 columns `t2v`; write it again with one of them"
    ),
    lambda run: rewrite(run, "samples", lambda content: content.append_column("status", content["status"])): (
        "has 2 columns `status`; write it again with one of them"
    ),
    lambda run: rewrite(run, "heads", lambda content: put(content, "t2v", 3, None)): "`t2v` is null in 1 row",
    lambda run: rewrite(run, "heads", lambda content: recast(content, "layer", pa.string())): (
        "the column `layer` has type string, not int16"
    ),
    lambda run: rewrite(run, "heads", lambda content: put(recast(content, "layer", pa.int64()), "layer", 3, 2**40)): (
        "`layer` is not int16 in some rows: Integer value 1099511627776 not in range"
    ),
}


# `plots` and `verify` read tallies as `summary` does
@pytest.mark.parametrize(
    ("command", "fault"),
    [
        *((command, fault) for command in ("summary", "export-pt") for fault in FAULTS),
        *((command, fault) for command in ("plots", "verify") for fault in (empty, damage, skip_all, double)),
    ],
    ids=lambda value: FAULTS.get(value, value),
)
def test_one_line_and_exit_code_2(made_up, capsys, command, fault):
    fault(made_up)
    assert main([command, str(made_up)]) == 2
    error = capsys.readouterr().err
    assert FAULTS[fault] in error
    assert error.startswith("error: ")
    assert error.count("\n") == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_a_half_written_run_is_read_as_far_as_it_goes(made_up, capsys, command, tmp_path):
    edit_ledger(made_up, state="running", samples=99, samples_in_run=99)
    flags = ["--dpi", "20"] if command == "plots" else []
    assert main([command, str(made_up), "--output-dir", str(tmp_path / "out"), *flags]) == 0
    assert "is not complete: this covers 10 of 99 samples\n" in capsys.readouterr().err
    edit_manifest(made_up, num_chunks=4)
    edit_json(made_up / LEDGER, state="complete")
    assert main(["summary", str(made_up)]) == 0
    assert "this covers 10 of 99 samples; chunks 1, 2, 3 of 4 are not complete\n" in capsys.readouterr().err


@pytest.mark.parametrize("command", [*COMMANDS, "verify"])
def test_an_output_directory_that_cannot_be(made_up, capsys, command, tmp_path):
    (tmp_path / "file").write_text("")
    assert main([command, str(made_up), "--output-dir", str(tmp_path / "file" / "out")]) == 2
    assert "error: " in capsys.readouterr().err


def test_validate(made_up, capsys):
    assert main(["validate", str(made_up)]) == 0
    assert capsys.readouterr().out == f"{made_up}: valid\n"
    edit_ledger(made_up, state="running")
    assert main(["validate", str(made_up)]) == 1
    assert "1 problem" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ("--layers 7", "7 is no layer: this run has the layers 0 to 1; see --layers"),
        ("--layers x", "'x' is no layer: give numbers and ranges, such as 3, 0-7 or 24-; see --layers"),
        ("--layers 1-0", "1-0 is no layer: this run has the layers 0 to 1"),
        ("--categories nothing", "there is no category 'nothing'; this run has OCR, color; see --categories"),
        ("--metrics colour", "colour is not one of t2v, v2t, v2bos, "),
        ("--metrics colour", "; see --metrics"),
        ("--bins 0.3", "does not divide the range"),
        ("--layers 0-99999999999", "this run has the layers 0 to 1"),
        ("--range 0 1e300 --bins 1e-300", "does not divide the range"),
        ("--range 0 inf", "inf is not a number from"),
        ("--bins nan", "nan is not a number from"),
        ("--dpi 9", "9 is not a whole number from 10 to 1200; see --dpi"),
        ("--figsize 0 3", "0 is not a number from 2 to 100; see --figsize"),
        ("--prefix ../x", "'../x' is not up to 80 bytes of letters"),
        (f"--prefix {'数' * 27}", "is not up to 80 bytes of letters"),
        ("--ymax 0", "0 is not a number from 1e-06 to 1e+06; see --ymax"),
        ("--vmax 1.5", "1.5 is not a number from 1e-06 to 1; see --vmax"),
    ],
)
def test_bad_flags(made_up, capsys, flags, says):
    assert main(["plots", str(made_up), *flags.split()]) == 2
    assert says in capsys.readouterr().err
