"""Oracle: the run that has all samples, extracted or made up at once."""

import shutil

import pandas as pd
import pytest

from analyze.__main__ import main
from schemas.store.run import open_run
from schemas.validation.run import validate
from tests.support.runs import LEDGER, edit_json, edit_manifest, put, read_tables, rewrite, write_run


@pytest.fixture
def halves(made_up, tmp_path):
    """A run whose halves are runs."""
    edit_manifest(made_up, question_file="q.json", question_file_sha256="abc")
    for name in ("OCR", "color"):
        assert main(["subset", str(made_up), str(tmp_path / name), "--categories", name]) == 0
    return tmp_path / "OCR", tmp_path / "color"


def merge(*runs):
    return main(["merge", *map(str, runs)])


def assert_same_rows(one, other):
    for tables in zip(read_tables(one), read_tables(other), strict=True):
        keys = [name for name in ("sample_id", "layer", "head") if name in tables[0]]
        first, second = (
            table.astype({"sample_id": str, "category": str}).sort_values(keys, ignore_index=True) for table in tables
        )
        pd.testing.assert_frame_equal(first, second, check_exact=True)


def test_halves_make_the_whole(made_up, halves, tmp_path, capsys):
    capsys.readouterr()
    assert merge(*halves, tmp_path / "out") == 0
    assert capsys.readouterr().out == f"10 samples of 2 runs in {tmp_path / 'out'}\n"
    assert list(validate(tmp_path / "out")) == []
    assert_same_rows(tmp_path / "out", made_up)
    before, after = open_run(made_up).manifest, open_run(tmp_path / "out").manifest
    assert {name for name, value in vars(after).items() if value != getattr(before, name)} <= {"derived", "started"}
    assert after.derived == "merge"
    for run in (made_up, tmp_path / "out"):
        assert main(["summary", str(run)]) == 0
    one, other = (pd.read_csv(run / "summary.csv") for run in (made_up, tmp_path / "out"))
    pd.testing.assert_frame_equal(one, other, rtol=1e-12)
    for command in ("plots --dpi 20 --layers 0 --metrics t2v --categories OCR", "export-pt"):
        name, *flags = command.split()
        assert main([name, str(tmp_path / "out"), *flags]) == 0


def test_chunks_in_directories_of_their_own(extract, extracted, tmp_path, capsys):
    chunks = [tmp_path / str(chunk) for chunk in range(2)]
    for chunk, path in enumerate(chunks):
        assert extract(path, num_chunks=2, chunk_idx=chunk) == 0
    capsys.readouterr()
    assert merge(*chunks, tmp_path / "out") == 0
    assert capsys.readouterr().err == ""
    assert list(validate(tmp_path / "out")) == []
    heads, samples = read_tables(tmp_path / "out")
    expected_heads, expected = read_tables(extracted)
    assert sorted(samples["sample_id"]) == sorted(expected["sample_id"])
    assert sorted(samples["row"]) == list(range(len(expected)))
    means = [table.groupby(["layer", "head"])["a2v"].mean() for table in (heads, expected_heads)]
    pd.testing.assert_series_equal(*means, rtol=1e-4)
    assert len(open_run(tmp_path / "out").ledgers[0].sessions) == 3
    assert merge(chunks[1], tmp_path / "one") == 0
    assert capsys.readouterr().err == "warning: chunks 0 of 2 are not complete in any of the runs\n"


def test_runs_on_other_question_files(halves, tmp_path):
    edit_manifest(halves[1], question_file="other.json", question_file_sha256="def")
    assert merge(*halves, tmp_path / "out") == 0
    run = open_run(tmp_path / "out")
    assert (run.manifest.question_file, run.manifest.question_file_sha256) == (None, None)
    assert run.samples()["row"].null_count == 10
    assert list(validate(tmp_path / "out")) == []
    assert main(["export-pt", str(tmp_path / "out")]) == 0


SETTINGS = {
    "model": "made/down", "revision": "x", "dtype": "float16", "conv_mode": "v1", "system_span": "original",
    "prompt_suffix": "!", "image_preprocessing": {"aspect": "pad"}, "text_scope": "no-system", "causal": True,
    "source": "legacy-pt", "sequences": "packed", "format": "released", "architecture": "X",
}  # fmt: skip


@pytest.mark.parametrize("name", SETTINGS)
def test_runs_of_other_settings(halves, tmp_path, capsys, name):
    edit_manifest(halves[1], **{name: SETTINGS[name]})
    assert merge(*halves, tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert f"{halves[0]} and {halves[1]} cannot be merged: `{name}` is " in error
    assert repr(SETTINGS[name]) in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_runs_of_other_sizes(tmp_path, capsys):
    runs = write_run(tmp_path / "a", categories={"a": 2}), write_run(tmp_path / "b", categories={"b": 2}, layers=3)
    assert merge(*runs, tmp_path / "out") == 2
    assert "`layers` is 2 in the one and 3 in the other" in capsys.readouterr().err


def test_samples_in_two_runs(halves, made_up, tmp_path, capsys):
    assert merge(*halves, made_up, tmp_path / "out") == 2
    says = f"{halves[0]} and {made_up} both have OCR/0, OCR/0#2, OCR/1, OCR/1#2; take these samples out"
    assert says in capsys.readouterr().err
    assert merge(made_up, made_up, tmp_path / "out") == 2
    rewrite(made_up, "samples", lambda content: put(content, "question", 0, "Is it another one?"))
    assert merge(halves[0], made_up, tmp_path / "out") == 2
    assert "both have OCR/0, OCR/0#2, OCR/1, OCR/1#2, which are other questions: give" in capsys.readouterr().err


def test_other_weights_and_images_of_the_same_names(halves, tmp_path, capsys):
    images = {"OCR/0.png": "1:a", "OCR/1.png": "1:a"}
    edit_json(halves[0] / LEDGER, weights="a", images=images)
    edit_json(halves[1] / LEDGER, weights="b", images=images)
    assert merge(*halves, tmp_path / "out") == 2
    assert "they were computed with different weights of that name" in capsys.readouterr().err
    edit_json(halves[1] / LEDGER, weights="a", images={"OCR/0.png": "1:b", "OCR/1.png": "1:a"})
    assert merge(*halves, tmp_path / "out") == 0  # one image was mended
    edit_json(halves[1] / LEDGER, images={"OCR/0.png": "1:b", "OCR/1.png": "1:b"})
    assert merge(*halves, tmp_path / "other") == 2
    assert "the runs had other images of the same names: OCR/0.png, OCR/1.png" in capsys.readouterr().err
    edit_json(halves[1] / LEDGER, images={})
    rewrite(halves[1], "samples", lambda content: put(content, "image", 0, "OCR/0.png"))
    rewrite(halves[1], "samples", lambda content: put(content, "image_sha256", 0, "f" * 64))
    assert merge(*halves, tmp_path / "other") == 2
    assert "other images of the same names: OCR/0.png" in capsys.readouterr().err


def test_where_it_is_written(halves, tmp_path, capsys):
    assert merge(*halves, halves[0]) == 2
    assert "which is read, or lies in it; choose another directory" in capsys.readouterr().err
    shutil.copytree(halves[0], tmp_path / "out")
    assert merge(*halves, tmp_path / "out") == 2
    assert "holds a run; choose another directory, or overwrite it; see --overwrite" in capsys.readouterr().err
