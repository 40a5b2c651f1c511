"""Oracles: torch.load of what was written, and the records that went in."""

import numpy as np
import pandas as pd
import pytest
import torch

from analyze.__main__ import main
from analyze.commands.legacy import RECORDS
from schemas.validation.run import validate
from tests.support.runs import edit_manifest, put, rewrite, write_run


def record(layers=2, heads=3, seed=0, **fields):
    random = np.random.default_rng(seed)
    values = random.random((layers, 2, heads)).astype(np.float16).astype(float)
    per_layer = [
        {
            "text_to_visual": dict(enumerate(t2v.tolist())),
            "visual_to_text": dict(enumerate(v2t.tolist())),
            "total": dict(enumerate((t2v + v2t).tolist())),
        }
        for t2v, v2t in values
    ]
    return {**fields, "per_layer": per_layer}


@pytest.fixture
def bring(tmp_path):
    """Write records as a .pt, import them; returns the exit code and the run."""

    def call(records, *flags):
        torch.save(records, tmp_path / "records.pt")
        return main(["import-pt", str(tmp_path / "records.pt"), str(tmp_path / "run"), *flags]), tmp_path / "run"

    return call


def test_there_and_back(bring):
    names = ["a", "b", "b", "b#2"]  # two questions on one image share an id
    before = [record(seed=seed, id=name, image_file=f"{name}.png", category="OCR") for seed, name in enumerate(names)]
    code, run = bring(before)
    assert code == 0
    assert list(validate(run)) == []
    assert main(["export-pt", str(run)]) == 0
    after = torch.load(run / RECORDS, weights_only=True)
    assert after == before


def test_the_same_file_once_more_changes_nothing(bring, capsys):
    records = [record(seed=seed, id=f"i{seed}", category="OCR") for seed in range(3)]
    assert bring(records)[0] == 0
    code, run = bring(records)
    assert code == 0
    assert list(validate(run)) == []
    code, run = bring(records[:2])
    assert code == 2
    assert "holds another run: its question_file_sha256 is " in capsys.readouterr().err
    assert bring(records[:2], "--overwrite")[0] == 0
    assert list(validate(run)) == []


def test_older_files_lack_what_they_lack(bring):
    code, run = bring([record(seed=0), record(seed=1, id=7), record(seed=2, id=7)])
    assert code == 0
    samples = pd.read_parquet(run / "samples")
    assert samples["sample_id"].tolist() == ["0", "7", "7#2"]
    assert samples["category"].tolist() == ["unknown"] * 3
    assert samples["question_id"].tolist()[1:] == ["7", "7"]
    for name in ("question", "answer", "n_system", "prediction", "p_yes", "image"):
        assert samples[name].isna().all()
    assert list(pd.read_parquet(run / "heads").columns) == ["sample_id", "category", "layer", "head", "t2v", "v2t"]


def test_ids_are_unique_whatever_they_are(bring):
    code, run = bring([record(id=name) for name in ("a#2", "a", "a", None, "3")])
    assert code == 0
    assert pd.read_parquet(run / "samples")["sample_id"].tolist() == ["a#2", "a", "a#3", "3", "3#2"]


def test_a_run_is_exported_as_its_rows(tmp_path):
    run = write_run(tmp_path / "run")
    assert main(["export-pt", str(run), "--text-scope", "all", "--output-dir", str(tmp_path / "out")]) == 0
    records = torch.load(tmp_path / "out" / RECORDS, weights_only=True)
    heads = pd.read_parquet(run / "heads").set_index(["sample_id", "layer", "head"])
    samples = pd.read_parquet(run / "samples")
    assert [item["id"] for item in records] == samples["sample_id"].tolist()
    assert [item["image_file"] for item in records] == samples["image"].tolist()
    for item in records:
        for layer, values in enumerate(item["per_layer"]):
            for head in range(3):
                row = heads.loc[(item["id"], layer, head)]
                assert values["text_to_visual"][head] == row["t2v"]
                assert values["visual_to_text"][head] == row["v2t"]
                assert values["total"][head] == float(row["t2v"]) + float(row["v2t"])


def test_records_are_in_the_order_of_the_question_file(tmp_path):
    """Rows lie image by image in a run; the earlier tool went by the file, and a `.pt` has no questions."""
    run = write_run(tmp_path / "run", categories={"OCR": 4})
    expected = torch.load(export(run), weights_only=True)
    rows = [2, 0, 3, 1]
    for row, place in enumerate(rows):
        rewrite(run, "samples", lambda table, row=row, place=place: put(table, "row", row, place))
    found = torch.load(export(run), weights_only=True)
    assert [found[place] for place in rows] == expected
    rewrite(run, "samples", lambda table: put(table, "row", slice(None), [None] * 4))  # as in a merge of several files
    assert torch.load(export(run), weights_only=True) == expected


def export(run):
    assert main(["export-pt", str(run)]) == 0
    return run / RECORDS


def test_a_scope_that_would_be_wrong_is_refused(made_up, capsys):
    edit_manifest(made_up, causal=False, architecture="PaliGemma")
    assert main(["export-pt", str(made_up)]) == 2  # no-system, as in the earlier tool
    assert main(["export-pt", str(made_up), "--text-scope", "all"]) == 0
    capsys.readouterr()
    for command in ("export-pt", "summary", "plots"):
        edit_manifest(made_up, causal=False, architecture="PaliGemma")
        assert main([command, str(made_up), "--text-scope", "no-system"]) == 2
        assert capsys.readouterr().err == (
            "error: in a PaliGemma text before the image sees it, so that t2v and v2t cannot be converted to "
            "`no-system`; see --text-scope\n"
        )
        edit_manifest(made_up, causal=True)
        flags = ["--dpi", "20", "--layers", "0", "--metrics", "t2v"] if command == "plots" else []
        assert main([command, str(made_up), "--text-scope", "no-system", *flags]) == 0
        capsys.readouterr()


@pytest.mark.parametrize(
    ("flags", "scope"),
    [([], "no-system"), (["--text-scope", "no-system"], "no-system"), (["--text-scope", "all"], "all")],
)
def test_a_run_comes_back_as_it_was(tmp_path, capsys, flags, scope):
    run, copy = write_run(tmp_path / "run"), tmp_path / "copy"
    assert main(["export-pt", str(run), *flags]) == 0
    said = capsys.readouterr().out
    assert f"10 records in {run / RECORDS}, text scope {scope}\n" in said
    assert ("--system-span original equals that tool's records to the last digit" in said) == (scope == "no-system")
    first = torch.load(run / RECORDS, weights_only=True)
    assert ["text_scope" in item for item in first] == [scope == "all"] * 10
    assert main(["import-pt", str(run / RECORDS), str(copy)]) == 0
    assert f"60 rows in {copy}, text scope {scope}\n" in capsys.readouterr().out
    assert list(validate(copy)) == []
    assert means(run, tmp_path, "--text-scope", scope) == pytest.approx(means(copy, tmp_path), abs=1e-7)
    capsys.readouterr()
    assert main(["export-pt", str(copy)]) == 0
    assert f"text scope {scope}\n" in capsys.readouterr().out
    assert torch.load(copy / RECORDS, weights_only=True) == first


def test_a_run_with_the_earlier_span_is_told_nothing_about_it(tmp_path, capsys):
    run = write_run(tmp_path / "run")
    edit_manifest(run, system_span="original")
    assert main(["export-pt", str(run)]) == 0
    assert capsys.readouterr().out == f"10 records in {run / RECORDS}, text scope no-system\n"


def means(run, folder, *flags):
    assert main(["summary", str(run), "--output-dir", str(folder), *flags]) == 0
    return pd.read_csv(folder / "summary.csv").set_index(["group", "name", "flow", "text_scope"])["mean"].to_dict()


def test_a_run_in_half_precision_comes_back(tmp_path):
    """Its masses may exceed 1 by the error of the kernel's logsumexp, about 5e-5."""
    run = write_run(tmp_path / "run")
    edit_manifest(run, dtype="float16")
    rewrite(run, "heads", lambda table: put(table, "t2v", 0, 1.0001))
    assert main(["export-pt", str(run), "--text-scope", "all"]) == 0
    assert main(["import-pt", str(run / RECORDS), str(tmp_path / "copy")]) == 0
    assert list(validate(tmp_path / "copy")) == []


@pytest.mark.parametrize(
    ("scopes", "flags", "says"),
    [
        (["all", "all"], ["--text-scope", "no-system"], "its records have the text scope `all`; see --text-scope"),
        (["all", None], [], "record 1 has the text scope 'no-system', record 0 'all'"),
        ([None, "all"], ["--text-scope", "all"], "record 1 has the text scope 'all', record 0 'no-system'"),
        (["some"], [], "record 0 has the text scope 'some'"),
        ([["all"]], [], "record 0 has the text scope ['all']"),
    ],
)
def test_scopes_that_contradict_each_other(bring, capsys, scopes, flags, says):
    records = [record(seed=seed) | ({"text_scope": scope} if scope else {}) for seed, scope in enumerate(scopes)]
    code, run = bring(records, *flags)
    assert code == 2
    assert says in capsys.readouterr().err
    assert not run.exists()


def test_text_scope(tmp_path, bring, capsys):
    run = write_run(tmp_path / "extracted")
    assert main(["export-pt", str(run), "--text-scope", "no-system"]) == 0
    first = torch.load(run / RECORDS, weights_only=True)[0]
    row = pd.read_parquet(run / "heads").iloc[0]
    n_text, n_system = 1 + 30 + 4 + 20, 30
    assert first["per_layer"][0]["text_to_visual"][0] == pytest.approx(row["t2v"] * n_text / (n_text - n_system))
    assert first["per_layer"][0]["visual_to_text"][0] == pytest.approx(row["v2t"] - row["v2sys"], abs=1e-7)
    _, imported = bring([record()])
    assert main(["plots", str(imported), "--text-scope", "all"]) == 2
    assert "cannot be converted" in capsys.readouterr().err
    assert main(["summary", str(imported), "--text-scope", "no-system"]) == 0
    assert "text without the system prompt" in capsys.readouterr().out


def test_text_that_is_no_unicode(bring):
    code, run = bring([record(id="\ud800", category="\udfff", image_file="a\ud800.png")])
    assert code == 0
    assert list(validate(run)) == []
    (sample,) = pd.read_parquet(run / "samples").to_dict("records")
    assert (sample["sample_id"], sample["category"], sample["image"]) == ("?", "?", "a?.png")


def broken(change):
    bad = record(seed=1)
    change(bad)
    return [record(), bad]


@pytest.mark.parametrize(
    ("records", "says"),
    [
        ({"a": 1}, "dict"),
        ([], "of no records"),
        ([3], "record 0 has no `per_layer`"),
        ([record(), 3], "record 1 has no `per_layer`"),
        ([{"id": 1}], "record 0 has no `per_layer`"),
        ([record(), {"id": 1, "per_layer": []}], "record 1 has no `per_layer`"),
        ([record(), record(layers=3)], "record 1 has (3, 3) layers and heads, the first record (2, 3)"),
        (broken(lambda bad: bad["per_layer"][0].pop("visual_to_text")), "record 1 lacks"),
        (broken(lambda bad: bad["per_layer"][0]["text_to_visual"].pop(1)), "record 1 lacks"),
        (broken(lambda bad: bad["per_layer"][0]["text_to_visual"].pop(2)), "record 1 lacks"),
        (broken(lambda bad: bad["per_layer"].__setitem__(0, 5)), "record 1 lacks"),
        (broken(lambda bad: bad["per_layer"][0].update(visual_to_text=[0.1])), "record 1 lacks"),
        (broken(lambda bad: bad["per_layer"][1]["visual_to_text"].update({2: 10**400})), "record 1 lacks"),
        ([record(heads=0)], "record 0 has no heads"),
        (broken(lambda bad: bad["per_layer"][1]["visual_to_text"].update({2: float("nan")})), "layer 1, head 2"),
        (broken(lambda bad: bad["per_layer"][1]["visual_to_text"].update({2: 1.5})), "visual_to_text is 1.5"),
        (broken(lambda bad: bad["per_layer"][1]["visual_to_text"].update({2: "x"})), "record 1 lacks"),
    ],
)
def test_bad_records(bring, capsys, records, says):
    code, run = bring(records)
    assert code == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert not run.exists()


def test_files_that_are_no_pt(tmp_path, capsys):
    for name, content in (("empty.pt", b""), ("text.pt", b"hello"), ("zip.pt", b"PK\3\4" + bytes(50))):
        (tmp_path / name).write_bytes(content)
        assert main(["import-pt", str(tmp_path / name), str(tmp_path / "run")]) == 2
        says = "cannot be read as a .pt of plain data: it is damaged, or no .pt at all\n"
        assert capsys.readouterr().err.endswith(says)
    assert main(["import-pt", str(tmp_path / "nowhere.pt"), str(tmp_path / "run")]) == 2
    assert "is not a file" in capsys.readouterr().err


class Hostile:
    def __reduce__(self):
        return exec, ("print('code ran')",)  # not print itself, in whose place Ray puts its own


def test_code_in_a_pt_does_not_run(bring, capsys):
    code, _ = bring([Hostile()])
    assert code == 2
    said = capsys.readouterr()
    assert "code ran" not in said.out
    assert "it holds a exec, and only lists, dicts, text, numbers and tensors are read\n" in said.err
    assert "weights_only" not in said.err


def test_a_pt_of_other_objects_names_them(bring, capsys):
    """Of records with NumPy's numbers, torch advises to load them unsafely."""
    assert bring([np.float64(1)])[0] == 2
    error = capsys.readouterr().err
    assert "it holds a numpy." in error
    assert "weights_only" not in error


def test_the_real_records_come_back_exactly(legacy_pt, real_run, tmp_path):
    assert list(validate(real_run)) == []
    assert len(pd.read_parquet(real_run / "heads")) == 102_400
    assert main(["export-pt", str(real_run), "--output-dir", str(tmp_path)]) == 0
    before = torch.load(legacy_pt, weights_only=True)
    after = torch.load(tmp_path / RECORDS, weights_only=True)
    assert [{"id": item["id"], "per_layer": item["per_layer"]} for item in after] == before
