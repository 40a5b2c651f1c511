"""Oracles: `extract --plan` for what `remove` predicts; for the demo's model, the knock-outs of `data.evaluation`, by
masks of transformers' own attention; an uninterrupted job for a resumed one."""

import json
import os
import shutil
import signal
from itertools import count

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analyze.__main__ import main as analyze_main
from data.evaluation import Checkpoint, demo_files
from extract.__main__ import main
from extract.knockouts.command import _listed_samples
from extract.knockouts.passes import KnockOutPasses
from schemas.columns import CATEGORICAL, KNOCKOUT_COLUMNS
from schemas.store import writer as writer_module
from schemas.store.jobs import open_job
from schemas.store.run import open_run
from schemas.validation.run import validate
from tests.conftest import ROOT
from tests.support.runs import edit_json, edit_manifest
from tests.support.tiny_llava import make_checkpoint

NUMBER = 8
HEADS = 4 * 8
OF_JOB = "jobs/heads_edge"
SETS = {"two": {"heads": [[0, 1], [2, 3]]}, "a layer": {"layers": [1]}, "both": {"heads": [[3, 0]], "layers": [2]}}


@pytest.fixture(scope="module")
def whole(extract, tmp_path_factory):
    """A run of a few samples, with all heads knocked out; not to be changed."""
    run = tmp_path_factory.mktemp("knockouts") / "run"
    assert extract(run, num_samples=NUMBER, num_workers=0) == 0
    assert knock_out(run, "--heads", "all") == 0
    return run


@pytest.fixture
def run(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "run")


def knock_out(run, *flags):
    return main(["knock-out", str(run), "--num-workers", "0", "--device", "cpu", *map(str, flags)])


def rows(run, job):
    return pd.read_parquet(run / "jobs" / job / "knockouts")


def test_the_rows_of_a_job(whole):
    content, samples = rows(whole, "heads_edge"), pd.read_parquet(whole / "samples").set_index("sample_id")
    assert content.columns.tolist() == [column.name for column in KNOCKOUT_COLUMNS]
    assert len(content) == NUMBER * HEADS
    assert not content.duplicated(["sample_id", "name"]).any()
    assert (content["name"].astype(str) == [f"L{a}H{b}" for a, b in content[["layer", "head"]].to_numpy()]).all()
    assert set(content["query"]) == {"question"}
    assert set(content["key"]) == {"image"}
    untouched = content.groupby("sample_id", observed=True)["margin_untouched"].first()
    assert (untouched - samples["margin"]).abs().max() <= 1e-5
    assert (content["margin"] - content["margin_untouched"]).abs().max() > 1e-3
    sign = content["sample_id"].map(samples["answer"].map({"Yes": 1, "No": -1}))
    assert content["lead"].equals((content["margin"] * sign).astype("float32"))
    assert content["lead_untouched"].equals((content["margin_untouched"] * sign).astype("float32"))
    assert content["prediction"].notna().all()
    assert content[["p_yes", "p_no"]].to_numpy().min() > 0
    assert list(validate(whole)) == []
    job = open_job(open_run(whole), "heads_edge")
    assert job.complete
    assert job.rows().num_rows == NUMBER * HEADS


def test_the_same_command_again_changes_nothing(run, capsys):
    """It says again which effects are largest. Oracle: scipy, with as many questions on each image."""
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert knock_out(run, "--heads", "all") == 0
    out = capsys.readouterr().out
    assert f"{NUMBER} of {NUMBER} samples are there already" in out
    samples = pd.read_parquet(run / "samples").set_index("sample_id")
    content = rows(run, "heads_edge").astype({"sample_id": str, "name": str})
    content["effect"] = content["sample_id"].map(samples["answer"]).map({"Yes": 1, "No": -1}) * (
        content["margin_untouched"] - content["margin"]
    )
    images = content.groupby([content["name"], content["sample_id"].map(samples["image_sha256"])])["effect"].mean()
    lines = out.splitlines()[-10:]
    expected = images.groupby("name").mean().sort_values(key=abs, ascending=False).head(10)
    assert [line.split()[0] for line in lines] == expected.index.tolist()
    for line, (name, mean) in zip(lines, expected.items(), strict=True):
        own = images[name]
        low, high = stats.t.interval(0.95, len(own) - 1, mean, stats.sem(own))
        assert line.split(maxsplit=1)[1] == f"{mean:+.3f} ({low:+.3f} to {high:+.3f})"
    assert f"the largest of {HEADS} effects, " in out
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_a_stopped_job_goes_on_where_it_was(run, monkeypatch, capsys):
    expected = rows(run, "heads_edge")
    calls, image = count(), KnockOutPasses._image

    def interrupted(self, *arguments):
        if next(calls) == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return image(self, *arguments)

    monkeypatch.setattr(KnockOutPasses, "_image", interrupted)
    assert knock_out(run, "--heads", "all", "--overwrite") == 128 + signal.SIGTERM
    assert "stopped: 4 of 8 samples are written" in capsys.readouterr().err
    assert any("not complete" in line for line in validate(run))
    assert len(rows(run, "heads_edge")) == 4 * HEADS
    assert knock_out(run, "--heads", "all") == 0
    pd.testing.assert_frame_equal(rows(run, "heads_edge"), expected, check_categorical=False)
    assert list(validate(run)) == []
    assert len(open_job(open_run(run), "heads_edge").own.ledgers[0].sessions) == 2


def test_a_job_may_be_resumed_with_its_knock_outs_in_another_order(run):
    assert knock_out(run, "--heads", "L0H0,L3H7", "--job", "two", "--num-samples", 2) == 0
    assert knock_out(run, "--heads", "L3H7,L0H0", "--job", "two") == 0
    whole = rows(run, "heads_edge")
    both = rows(run, "two").merge(whole, on=["sample_id", "name"], suffixes=("", "_whole"))
    assert len(both) == 2 * NUMBER
    assert (both["margin"] - both["margin_whole"]).abs().max() <= 1e-5


def test_what_a_killed_job_left_is_removed(run):
    left = run / OF_JOB / "knockouts" / "part-00000-00007.parquet"
    left.write_bytes(b"half")
    assert any("no ledger names" in line for line in validate(run))
    assert knock_out(run, "--heads", "all") == 0
    assert not left.exists()


@pytest.mark.parametrize("damage", ["lost", "cut", "empty"])
def test_a_part_that_is_lost_or_damaged_is_computed_again(run, monkeypatch, capsys, damage):
    monkeypatch.setattr(writer_module, "ROWS_PER_PART", 4 * 3)
    flags = ["--heads", "L0H0,L1H3,L3H7", "--job", "three"]
    assert knock_out(run, *flags) == 0
    folder, expected = run / "jobs" / "three" / "knockouts", rows(run, "three")
    first, second = sorted(folder.iterdir())
    if damage == "lost":
        first.unlink()
    elif damage == "cut":
        pd.read_parquet(first).iloc[1:].to_parquet(first)
    else:
        first.write_bytes(b"")
    before = second.read_bytes()
    assert any(first.name in line for line in validate(run))
    capsys.readouterr()
    assert knock_out(run, *flags) == 0
    said = capsys.readouterr()
    assert f"warning: {first.name} lacks rows, or its file; its samples are run again" in said.err
    assert "4 of 8 samples are there already" in said.out
    assert list(validate(run)) == []
    plain = {column.name: str for column in KNOCKOUT_COLUMNS if column.type == CATEGORICAL}
    found, expected = (
        each.astype(plain).sort_values(["sample_id", "name"], ignore_index=True)
        for each in (rows(run, "three"), expected)
    )
    pd.testing.assert_frame_equal(found, expected)
    assert second.read_bytes() == before


def test_other_samples_are_added_to_a_job(run, tmp_path):
    """Those that are there stay."""
    ids = pd.read_parquet(run / "samples")["sample_id"].astype(str).tolist()
    for number in (5, 0):
        (tmp_path / "ids.txt").write_text(ids[number])
        assert knock_out(run, "--heads", "L0H0", "--samples", tmp_path / "ids.txt", "--job", "some") == 0
    assert rows(run, "some")["sample_id"].astype(str).tolist() == [ids[5], ids[0]]
    assert list(validate(run)) == []


def test_a_job_is_given_with_its_run(run, extract, capsys):
    place = run / OF_JOB
    assert analyze_main(["summary", str(place)]) == 2
    assert f"{place} is a job on the run {run}; give that run" in capsys.readouterr().err
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert extract(place, num_samples=2, num_workers=0, overwrite=True) == 2
    assert f"{place} lies in the run {run}, and a run in a run is read with it" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_chunks_make_one_job(run):
    for chunk in (1, 0):
        assert knock_out(run, "--heads", "L0H0,L3H7", "--num-chunks", 2, "--chunk-idx", chunk, "--job", "two") == 0
    found, whole = rows(run, "two"), rows(run, "heads_edge")
    expected = whole[whole["name"].isin(["L0H0", "L3H7"])]
    both = found.merge(expected, on=["sample_id", "name"], suffixes=("", "_whole"))
    assert len(both) == len(found) == 2 * NUMBER
    assert (both["margin"] - both["margin_whole"]).abs().max() <= 1e-5
    assert list(validate(run)) == []


def test_a_set_that_is_removed_predicts_the_model_without_it(run, extract, tmp_path):
    sets = tmp_path / "sets.json"
    sets.write_text(json.dumps(SETS))
    assert knock_out(run, "--sets", sets, "--kind", "remove") == 0
    predicted = rows(run, "sets_remove").set_index("sample_id")
    for name, parts in SETS.items():
        plan, pruned = tmp_path / "plan.json", tmp_path / "pruned"
        plan.write_text(json.dumps({"criterion": "a2v", **parts}))
        flags = {"num_samples": NUMBER, "num_workers": 0, "plan": plan, "overwrite": True}
        assert extract(pruned, **flags, contributions=True) == 0
        samples = pd.read_parquet(pruned / "samples").set_index("sample_id")
        own = predicted[predicted["name"] == name]
        assert (own["margin"] - samples["margin"]).abs().max() <= 1e-5
        assert (own["margin"] - own["margin_untouched"]).abs().max() > 1e-3
        for column in ("p_yes", "p_no"):
            assert (own[column] - samples[column]).abs().max() <= 1e-6
        assert list(validate(pruned)) == []
        removed = open_run(pruned).manifest.removed
        assert removed == {"heads": parts.get("heads", []), "layers": parts.get("layers", [])}
        contributions = pd.read_parquet(pruned / "contributions").filter(like="d2").abs().sum(axis=1)
        layers, heads = (pd.read_parquet(pruned / "contributions")[axis] for axis in ("layer", "head"))
        by_head = [[layer, head] in parts.get("heads", []) for layer, head in zip(layers, heads, strict=True)]
        gone = layers.isin(parts.get("layers", [])) | np.array(by_head)
        assert contributions[gone].max() == 0 < contributions[~gone].min()
    # A run without a part is a run of its own, and knock-outs of it stand on what is left
    assert knock_out(pruned, "--heads", "L0H0") == 0
    again = rows(pruned, "heads_edge").set_index("sample_id")
    assert (again["margin_untouched"] - samples["margin"]).abs().max() <= 1e-5
    assert extract(pruned, num_samples=NUMBER, num_workers=0) == 2


def test_layers_and_windows(run, capsys):
    assert knock_out(run, "--layers", "each,windows,onward", "--window", 2, "--kind", "skip") == 0
    found = rows(run, "layers_windows2_onward_skip")
    single, several = (f"layer {layer}" for layer in range(4)), ("0-1", "1-2", "2-3", "0-3", "1-3")
    names = [*single, *(f"layers {each}" for each in several)]
    assert found["name"].astype(str).tolist() == names * NUMBER
    assert found["layer"].notna().tolist() == [True] * 4 + [False] * 5 + ([True] * 4 + [False] * 5) * (NUMBER - 1)
    assert found["head"].isna().all()
    assert found[["query", "key"]].isna().all(axis=None)
    assert "over the whole prompt, " in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["mean", "swap", "zero"])
def test_other_kinds(run, kind):
    assert knock_out(run, "--heads", "all", "--kind", kind, *["--seed", 3] * (kind != "zero")) == 0
    found = rows(run, f"heads_{kind}")
    assert len(found) == NUMBER * HEADS
    assert (found["margin"] - found["margin_untouched"]).abs().max() > 1e-3
    assert found["key"].isna().all() == (kind != "swap")


@pytest.mark.parametrize("kind", ["mean", "swap"])
def test_a_job_that_is_extended_equals_one_made_at_once(run, kind, capsys):
    """What is taken from other images depends on the run, not on the samples of a call."""
    flags = ["--heads", "L1H0,L2H1", "--kind", kind]
    assert knock_out(run, *flags, "--job", "whole") == 0
    for number in (4, NUMBER):
        assert knock_out(run, *flags, "--job", "grown", "--num-samples", number) == 0
    columns = ["sample_id", "name", "margin", "p_yes", "prediction"]
    pd.testing.assert_frame_equal(rows(run, "grown")[columns], rows(run, "whole")[columns], check_categorical=False)
    settings = json.loads((run / "jobs" / "grown" / "run.json").read_text())["job"]
    edit_json(run / "jobs" / "grown" / "run.json", job=settings | {"references": "0" * 64})
    capsys.readouterr()
    assert knock_out(run, *flags, "--job", "grown") == 2
    assert "the run has other samples now, so means or swapped images would be others" in capsys.readouterr().err


def test_an_image_that_means_need_is_not_left_out(run, questions, tmp_path, capsys):
    folder = shutil.copytree(questions / "images", tmp_path / "images")
    name = pd.read_parquet(run / "samples")["image"].astype(str).iloc[-1]
    (folder / name).unlink()
    flags = ["--heads", "L1H0", "--kind", "mean", "--job", "gone", "--num-samples", 2, "--image-folder", folder]
    assert knock_out(run, *flags) == 2
    assert f"{name}, one of the images that means are taken over, cannot be used" in capsys.readouterr().err
    assert not (run / "jobs" / "gone").exists()


def test_some_samples(run, tmp_path, capsys):
    ids = pd.read_parquet(run / "samples")["sample_id"].astype(str).tolist()
    (tmp_path / "ids.txt").write_text(f"{ids[5]}\n\n{ids[0]}\n")
    assert knock_out(run, "--heads", "L0H0", "--samples", tmp_path / "ids.txt", "--job", "some") == 0
    assert rows(run, "some")["sample_id"].astype(str).tolist() == [ids[0], ids[5]]
    assert knock_out(run, "--heads", "L0H0", "--num-samples", 3, "--job", "few") == 0
    assert len(rows(run, "few")) == 3
    (tmp_path / "ids.txt").write_text("nobody\n")
    assert knock_out(run, "--heads", "L0H0", "--samples", tmp_path / "ids.txt") == 2
    assert "names samples that the run has not observed: nobody; see --samples" in capsys.readouterr().err


def test_an_image_that_is_gone_costs_its_rows_their_values(run, questions, tmp_path, capsys):
    folder = shutil.copytree(questions / "images", tmp_path / "images")
    name = pd.read_parquet(run / "samples")["image"].astype(str)[0]
    (folder / name).unlink()
    assert knock_out(run, "--heads", "L0H0,L1H1", "--job", "gone", "--image-folder", folder) == 0
    found = rows(run, "gone")
    assert len(found) == 2 * NUMBER
    assert found["margin"].isna().sum() == 4  # two questions, two heads
    assert "2 could not be computed (image_missing: the image file does not exist" in capsys.readouterr().out
    assert list(validate(run)) == []


def test_another_image_of_the_same_name_is_refused(run, questions, tmp_path, capsys):
    folder = shutil.copytree(questions / "images", tmp_path / "images")
    names = pd.read_parquet(run / "samples")["image"].astype(str).unique()
    shutil.copy(folder / names[0], folder / names[-1])
    assert knock_out(run, "--heads", "L0H0", "--job", "other", "--image-folder", folder) == 2
    said = capsys.readouterr().err
    assert f"{names[-1]}: not the image that {run} was computed with; give the same images; see --image-folder" in said


def test_samples_without_values_are_counted_when_a_job_is_resumed(run, questions, tmp_path, capsys):
    folder = shutil.copytree(questions / "images", tmp_path / "images")
    (folder / pd.read_parquet(run / "samples")["image"].astype(str)[0]).unlink()
    for place in (folder, questions / "images"):
        assert knock_out(run, "--heads", "L0H0", "--job", "gone", "--image-folder", place) == 0
    said = capsys.readouterr().out
    assert "8 of 8 samples are there already, 2 of them without values: --overwrite computes all anew" in said


def test_wordings_are_knocked_out_behind_one_image(extract, tmp_path):
    run = tmp_path / "run"
    assert extract(run, num_samples=2, num_workers=0, prompts=["mme", "llava"]) == 0
    assert knock_out(run, "--heads", "L0H0,L2H1") == 0
    found = rows(run, "heads_edge")
    assert len(found) == 2 * 2 * 2
    assert {name.partition("@")[2] for name in found["sample_id"].astype(str)} == {"mme", "llava"}


def test_the_knock_outs_of_the_demo_are_those_of_transformers_own_masks(tmp_path):
    """On the demo's smallest model: each head of two layers, the first images of the demo."""
    demo, model = ROOT / "data" / "demo", ROOT / "data" / "demo" / "tiny-llava-4x4"
    flags = ["--model-path", model, "--question-file", demo / "MME_test.json", "--image-folder", demo / "images"]
    run = tmp_path / "run"
    flags += ["--output-dir", run, "--num-workers", 0, "--num-samples", 24, "--device", "cpu"]
    assert main([*map(str, flags)]) == 0
    heads = [f"L{layer}H{head}" for layer in (1, 3) for head in range(4)]
    assert knock_out(run, "--heads", ",".join(heads)) == 0
    samples = pd.read_parquet(run / "samples")
    signs = samples.set_index("sample_id")["answer"].map({"Yes": 1, "No": -1})
    found = rows(run, "heads_edge").astype({"sample_id": str, "name": str})
    found["right"] = found["margin"] * found["sample_id"].map(signs)
    checkpoint = Checkpoint(model)
    asked = checkpoint.questions(demo_files()["demo"][:12])
    worst = 0.0
    for name in heads:
        layer, head = int(name[1]), int(name[3])
        expected = asked.ask(checkpoint.model, hidden={layer: [head]})["margin"].to_numpy()
        own = found[found["name"] == name]["right"].to_numpy()
        worst = max(worst, np.abs(own - expected).max())
    print(f"off by {worst:.1e}")
    assert worst <= 2e-4


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (
            ["--heads", "L4H0"],
            "'L4H0' names head 0 of layer 4, and the model has 4 layers x 8 heads",
        ),
        (["--heads", "3"], "'3' is not the name of a head: write L3H5, or all alone; see --heads"),
        (["--heads", "all", "--kind", "skip"], "skip is for layers, and 'L0H0' has heads: remove takes them out"),
        (
            ["--heads", "L0H0", "--kind", "remove", "--query", "last"],
            "unless `kind` is one of edge, swap, mean, zero it",
        ),
        (["--heads", "L0H0", "--kind", "zero", "--key", "image"], "unless `kind` is one of edge, swap it does nothing"),
        (["--heads", "L0H0", "--seed", "1"], "unless `kind` is one of swap, mean it does nothing; see --seed"),
        (["--layers", "--reference-images", "9"], "unless `kind` is mean it does nothing"),
        (["--layers", "each,onward", "--window", "3"], "unless `layers` has windows it does nothing; see --win"),
        (
            ["--layers=1"],
            "1 is not one of each, windows, onward; layers are named by number in a file of `sets`; see --l",
        ),
        (
            ["--layers", "1"],
            "place for '1'; --layers takes each, windows, onward; layers are named by number in a file",
        ),
        (["--layers", "windows"], "the model has 4 layers, too few for windows of 9; see --window"),
        (
            ["--heads", "L0H0", "--job", "heads_edge"],
            "another job of the name heads_edge: that job alone knocks out 'L0H1'; choose another name; see --job",
        ),
        (["--heads", "all", "--job", "heads_edge", "--kind", "zero"], "its kind is 'edge', this command's is 'zero'"),
        (["--heads", "L0H0", "--query", "user"], "in a causal model no `user` token sees `image`"),
        (["--heads", "L0H0", "--query", "image", "--key", "question"], "no `image` token sees `question`"),
        (["--heads", "L0H0", "--chunk-idx", "1"], "chunk 1 is not one of 1 chunk, from 0; see --chunk-idx"),
        (["--heads", "L0H0", "--question-file", "EMPTY"], "is not the question file of"),
        (["--heads", "L0H0", "--model-path", "OTHER"], "the weights are not those that"),
        (["--heads", "L0H0", "--image-folder", "EMPTIED"], "has 0 of the 4 images that the questions name"),
    ],
)
def test_what_is_wrong_is_one_line(run, questions, texts, tmp_path, capsys, flags, says):
    (tmp_path / "empty").mkdir()
    rows = json.loads((questions / "MME_test.json").read_text())
    (tmp_path / "questions.json").write_text(json.dumps(rows[1:]))
    if "OTHER" in flags:
        make_checkpoint(tmp_path / "other", texts, seed=1)
    places = {"EMPTY": tmp_path / "questions.json", "OTHER": tmp_path / "other", "EMPTIED": tmp_path / "empty"}
    capsys.readouterr()
    assert knock_out(run, *(places.get(flag, flag) for flag in flags)) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ")
    assert says in error


def test_samples_are_listed_a_line_each(tmp_path):
    ids = {"line\u2028separator", " led by a space", "plain"}
    (tmp_path / "ids.txt").write_text("line\u2028separator\r\n led by a space\n\n  plain  \n", newline="")
    assert _listed_samples(tmp_path / "ids.txt", ids) == ids


@pytest.mark.parametrize("kind", ["swap", "mean"])
def test_a_job_that_is_refused_leaves_nothing(extract, tmp_path, capsys, kind):
    """The two questions on one image have no other image."""
    assert extract(tmp_path / "run", num_samples=2, num_workers=0) == 0
    before = sorted(tmp_path.rglob("*"))
    assert knock_out(tmp_path / "run", "--heads", "L0H0", "--kind", kind) == 2
    assert "image" in capsys.readouterr().err.splitlines()[-1]
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"a": {"heads": [[0, 9]]}}', "'a' names head 9 of layer 0"),
        ('{"a": {"heads": [[0]]}}', "the set 'a' has heads [[0]], not a list of [layer, head]"),
        ('{"a": {"layers": [true]}}', "the set 'a' has layers [True], not a list of numbers"),
        ('{"a": {}}', "the set 'a' is empty"),
        ('{"a": [1]}', "the set 'a' is [1], not an object of `heads` and `layers`"),
        ("{}", "names no sets"),
        ("[]", "holds no JSON object"),
    ],
)
def test_sets_that_are_wrong(run, tmp_path, capsys, content, says):
    (tmp_path / "sets.json").write_text(content)
    assert knock_out(run, "--sets", tmp_path / "sets.json") == 2
    assert says in capsys.readouterr().err


def test_runs_that_cannot_be_run_again(run, capsys):
    ledger = "chunks/00000.json"
    sessions = json.loads((run / ledger).read_text())["sessions"]
    sessions[0]["arguments"]["backend"] = "llava"
    edit_json(run / ledger, sessions=sessions)
    assert knock_out(run, "--heads", "L0H0") == 2
    assert "was extracted by the llava package; knock-outs run in the classes of" in capsys.readouterr().err
    edit_json(run / ledger, sessions=[])
    assert knock_out(run, "--heads", "L0H0") == 2
    assert "does not say how it was extracted" in capsys.readouterr().err


def test_a_run_of_other_margins_is_refused(run, capsys):
    """The file of the model is the same, but its numbers are not those of the run."""
    path = next((run / "samples").glob("*.parquet"))
    samples = pd.read_parquet(path)
    samples["margin"] += 1
    samples.to_parquet(path)
    assert knock_out(run, "--heads", "L0H0", "--job", "other") == 2
    assert "the model or the images are not those of the run; see --model-path" in capsys.readouterr().err
    edit_manifest(run, prompt_suffix=" Say it.")
    assert knock_out(run, "--heads", "L0H0", "--job", "other") == 2
    assert "the prompt_suffix of" in capsys.readouterr().err


def test_validate_holds_a_job(run):
    path = next((run / OF_JOB / "knockouts").glob("*.parquet"))
    whole = pd.read_parquet(path)
    whole.iloc[1:].to_parquet(path)
    assert any("has 255 rows, its ledger says 256" in line for line in validate(run))
    whole.assign(sample_id=whole["sample_id"].astype(str).replace(whole["sample_id"][0], "nobody")).to_parquet(path)
    assert any("nobody" in line for line in validate(run))
    whole.assign(name="L9H9").to_parquet(path)
    assert any("L9H9" in line for line in validate(run))
    whole.assign(margin=np.inf).to_parquet(path)
    assert any("`margin` is not finite in 256 rows" in line for line in validate(run))


def test_overwriting_a_run_removes_its_jobs(run, extract):
    assert extract(run, num_samples=2, num_workers=0, overwrite=True) == 0
    assert not list((run / OF_JOB / "knockouts").glob("*.parquet"))
    assert not list((run / "jobs").rglob("*.json"))
    assert list(validate(run)) == []


def test_a_subset_leaves_jobs_out(whole, tmp_path):
    assert analyze_main(["subset", str(whole), str(tmp_path / "some"), "--query", "row < 4"]) == 0
    assert not (tmp_path / "some" / "jobs").exists()
    assert list(validate(tmp_path / "some")) == []
