"""Oracles: worlds in which it is known what each head and layer matters; pandas on the rows of the job."""

import json
import shlex
import shutil

import numpy as np
import pandas as pd
import pytest

from analyze.__main__ import main
from analyze.scores.accuracy import category_scores
from tests.support.prunable import World, measure, measure_sets, singles, write_world
from tests.support.runs import edit_json, edit_manifest, put, rewrite, write_run

pytestmark = pytest.mark.usefixtures("undrawn")

IMAGES = {"existence": 30, "color": 26}
FEW = ["--random", "60", "--resamples", "300", "--dpi", "40"]


@pytest.fixture(scope="module")
def world():
    return World.of(4, 4, strength=3.0)


@pytest.fixture(scope="module")
def run(tmp_path_factory, world):
    """Both steps, heads looking at the image the less, the more they matter."""
    tables = ("contributions", "layers")
    path = write_world(tmp_path_factory.mktemp("command") / "run", world, categories=IMAGES, tables=tables, looks=-1)
    measure(path, world, "single", singles(world))
    measure(path, world, "skips", singles(world, "layers"), kind="skip")
    assert main(["prune", str(path), *FEW]) == 0
    measure_sets(path, world)
    return path


def small(tmp_path, world, *flags, **options):
    """A run whose sets of one criterion were measured."""
    path = write_world(tmp_path / "run", world, categories=options.pop("categories", {"OCR": 8}))
    measure(path, world, "single", singles(world))
    assert main(["prune", str(path), *FEW, "--criteria", "effect", *flags]) == 0
    measure_sets(path, world, **options)
    return path


def said(capsys, *words) -> str:
    assert main(["prune", *map(str, words), *FEW]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    return error


def test_the_first_step(tmp_path, world, capsys):
    path = write_world(tmp_path / "a run", world, categories=IMAGES, looks=0)
    measure(path, world, "single", singles(world))
    assert main(["prune", str(path), *FEW, "--shares", "0.25,0.5"]) == 0
    out = capsys.readouterr().out
    folder = path / "prune"
    sets = json.loads((folder / "sets.json").read_text())
    tests = (folder / "test_samples.txt").read_text().splitlines()
    assert f"next, {len(sets)} sets x {len(tests)} samples = {len(sets) * len(tests):,} whole passes" in out
    (command,) = [line for line in out.splitlines() if line.startswith("python -m extract ")]
    assert shlex.split(command)[3:] == [
        "knock-out", str(path), "--sets", f"{folder}/sets.json", "--kind", "remove", "--job", "prune",
        "--samples", f"{folder}/test_samples.txt",
    ]  # fmt: skip
    effects = pd.read_csv(folder / "heads.csv").query("criterion == 'effect'").sort_values("value")
    assert sets["effect least 25%"]["heads"] == sorted(effects[["layer", "head"]].head(4).values.tolist())
    assert sets["effect most 50%"]["heads"] == sorted(effects[["layer", "head"]].tail(8).values.tolist())
    assert {file.name for file in folder.iterdir()} == {
        "criteria.csv", "design.json", "heads.csv", "relations.csv", "relations_heads.png", "sets.json",
        "test_samples.txt",
    }  # fmt: skip
    recorded = json.loads((path / ".outputs.json").read_text())
    assert {"prune/sets.json", "prune/test_samples.txt", "prune/design.json", "prune/heads.csv"} <= recorded.keys()


def test_the_numbers_of_the_second_step_are_those_of_pandas(run, capsys):
    assert main(["prune", str(run), *FEW, "--loss", "150"]) == 0
    out = capsys.readouterr().out
    folder = run / "prune"
    tests = (folder / "test_samples.txt").read_text().splitlines()
    samples = pd.read_parquet(run / "samples").set_index("sample_id").loc[tests]
    rows = pd.read_parquet(run / "jobs" / "prune" / "knockouts").astype({"name": str, "sample_id": str})
    y = rows["sample_id"].map(samples["answer"]).map({"Yes": 1, "No": -1})
    effects = (y * (rows["margin_untouched"] - rows["margin"])).groupby(rows["name"]).mean()
    untouched = category_scores(samples.reset_index())["score"].sum()
    sets, random = pd.read_csv(folder / "sets.csv"), pd.read_csv(folder / "random.csv")
    design = json.loads((folder / "design.json").read_text())
    groups = {each["set"]: each["group"] for each in design["members"] if each["order"] == "least"}
    for number, row in enumerate(sets.to_dict("records")):
        assert row["effect"] == pytest.approx(effects[row["set"]], abs=1e-5)
        assert row["effect_low"] < row["effect"] < row["effect_high"]
        if row["order"] == "least":
            others = random[(random["group"] == groups[row["set"]]) & (random["set"] != row["set"])]["set"].unique()
            reached = (effects[others] >= effects[row["set"]]).sum()
            assert row["p"] == pytest.approx((1 + reached) / (len(others) + 1))
        if number % 5:  # scores take long
            continue
        own = rows[rows["name"] == row["set"]].set_index("sample_id").loc[tests]["prediction"].astype(str)
        scores = category_scores(samples.assign(prediction=own.to_numpy()).reset_index())
        assert row["score"] == pytest.approx(scores["score"].sum())
        assert row["loss"] == pytest.approx(untouched - scores["score"].sum())
        assert row["loss_low"] <= row["loss"] <= row["loss_high"]
        assert row["accuracy"] == pytest.approx(100 * (own.to_numpy() == samples["answer"].to_numpy()).mean())
    assert f"untouched: MME score {untouched:.1f}" in out


def test_what_matters_is_told(run, capsys):
    """Worlds are made so that attention misleads, and effects and direct contributions do not."""
    assert main(["prune", str(run), *FEW, "--loss", "150"]) == 0
    out = capsys.readouterr().out
    lines = out.splitlines()
    (a2v,) = [line for line in lines if line.startswith("heads, least a2v first")]
    assert "more than random, p 0." in a2v
    for name in ("direct", "effect"):
        (line,) = [line for line in lines if line.startswith(f"heads, least {name} first")]
        assert "less than random, p 0." in line
    (plan,) = [line for line in lines if line.startswith("plan: ")]
    assert plan.startswith("plan: cut ")
    content = json.loads((run / "prune/plan.json").read_text())
    assert content["criterion"] in ("direct", "effect")
    assert content["evidence"]["loss_bound"] <= 150
    assert "the loss of a set need not be the sum of those of its heads" in out
    assert "images to rank" in out
    assert "no image does both" in out
    names = {file.name for file in (run / "prune").iterdir()}
    assert {"curves_heads.png", "curves_layers.png", "relations_heads.png", "relations_layers.png"} <= names
    assert "prune/plan.json" in json.loads((run / ".outputs.json").read_text())
    assert main(["prune", str(run), *FEW, "--loss", "0"]) == 0
    assert "no plan was written" in capsys.readouterr().out
    assert not (run / "prune/plan.json").exists()


def test_rankings_do_not_see_what_is_tested(tmp_path, run, world):
    """Effects that were measured only on the ranking half give the same ranks and sets."""
    path = write_world(tmp_path / "run", world, categories=IMAGES, tables=("contributions", "layers"), looks=-1)
    tests = set((run / "prune/test_samples.txt").read_text().splitlines())
    ids = [name for name in pd.read_parquet(path / "samples")["sample_id"] if name not in tests]
    everything = write_world(tmp_path / "all", world, categories=IMAGES, tables=("contributions", "layers"), looks=-1)
    measure(everything, world, "single", singles(world), ids=ids)
    measure(path, world, "single", singles(world), ids=ids)
    measure(path, world, "tests", {"L0H0": {"heads": [[0, 0]]}}, ids=tests)
    for each in (path, everything):
        assert main(["prune", str(each), *FEW, "--effects", "single"]) == 0
    texts = [(each / "prune/heads.csv").read_text() for each in (path, everything)]
    assert texts[0] == texts[1]
    heads = pd.read_csv(path / "prune/heads.csv")
    assert (heads.loc[heads["criterion"] == "effect", "rank"].to_numpy() > 0).all()


def test_few_images_cannot_tell(tmp_path, world, capsys):
    path = small(tmp_path, world)
    assert main(["prune", str(path), *FEW]) == 0
    out = capsys.readouterr().out
    assert "plan: cannot tell with so few images: " in out
    assert "no loss below" in out
    assert "nan" not in out.lower()


def test_none_loses_so_little(tmp_path, capsys):
    world = World(np.full((4, 4), 5.0), np.zeros(4))
    path = small(tmp_path, world, categories={"OCR": 40})
    assert main(["prune", str(path), *FEW]) == 0
    assert "plan: no set lost so little as 20 points here; " in capsys.readouterr().out
    assert not (path / "prune/plan.json").exists()


def test_a_run_without_pairs_has_no_score(tmp_path, world, capsys):
    path = write_world(tmp_path / "run", world, categories={"OCR": 30})
    rewrite(path, "samples", lambda content: put(content, "image_sha256", slice(60), [f"i{n}" for n in range(60)]))
    rewrite(path, "samples", lambda content: put(content, "question_id", slice(60), [f"i{n}" for n in range(60)]))
    assert main(["prune", str(path), *FEW, "--criteria", "a2v"]) == 0
    measure_sets(path, world)
    assert main(["prune", str(path), *FEW]) == 0
    out = capsys.readouterr().out
    assert "plan: cannot be told, as no image has a pair of questions" in out
    assert "nan" not in out.lower()


def test_a_job_of_other_sets(tmp_path, world, capsys):
    path = small(tmp_path, world)
    assert main(["prune", str(path), *FEW, "--criteria", "a2v", "--job", "later"]) == 0
    capsys.readouterr()
    assert "job prune of" in (error := said(capsys, path))
    assert "knocked out other sets than" in error
    assert error.endswith("measure these under another name; see --job\n")
    (path / "prune/sets.json").unlink()
    assert "no sets.json that it could be of" in said(capsys, path)


def test_a_job_of_another_kind(tmp_path, world, capsys):
    path = small(tmp_path, world, kind="mean")
    assert "is of the kind mean; only `remove` predicts" in said(capsys, path)


def test_a_job_that_lacks_samples(tmp_path, world, capsys):
    path = small(tmp_path, world, ids=["OCR/0", "OCR/1", "OCR/2", "OCR/3"])
    assert "of the 8 samples that test, such as" in (error := said(capsys, path))
    assert error.endswith("resume it; see --job\n")


def test_a_job_with_a_row_twice(tmp_path, world, capsys):
    path = small(tmp_path, world)
    (part,) = (path / "jobs" / "prune" / "knockouts").glob("*.parquet")
    rows = pd.read_parquet(part)
    first = rows[rows["sample_id"] == rows["sample_id"].iloc[0]].index
    rows.loc[first[1], ["name"]] = rows.loc[first[0], "name"]
    rows.to_parquet(part)
    assert "has not one row for each knock-out of OCR/" in said(capsys, path)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--criteria", "v2v"], "has no criterion v2v; it has a2v, q2v; see --criteria"),
        (["--criteria", "effect"], "has no criterion effect; it has a2v, q2v; see --criteria"),
        (["--effects", "gone"], "has no job 'gone'; its jobs: none; see --effects"),
        (
            ["--job", "A job"],
            "'A job' is no name of a job: write small letters, digits and _, a letter first; see --job",
        ),
        (["--prompt", "x"], "has no wording 'x': each question is asked in one; see --prompt"),
    ],
)
def test_what_is_refused(tmp_path, capsys, flags, says):
    path = write_run(tmp_path / "run")
    assert says in said(capsys, path, *flags)


@pytest.mark.parametrize("share", ["0", "1", "1.5", "-0.1", "x"])
def test_shares_out_of_range(tmp_path, capsys, share):
    assert main(["prune", str(tmp_path), f"--shares={share}"]) == 2
    assert f"error: {share} is not a number from 0.001 to 0.9; see --shares" in capsys.readouterr().err


def test_runs_that_cannot_be_divided(tmp_path, capsys):
    alone = write_run(tmp_path / "alone", categories={"OCR": 2, "color": 2})
    assert "no category has two images: one half of them ranks, the other tests" in said(capsys, alone)
    none = write_run(tmp_path / "none")
    rewrite(none, "samples", lambda content: put(content, "answer", slice(10), ["a cat"] * 10))
    assert "no observed sample has a right answer that is yes or no" in said(capsys, none)
    imported = write_run(tmp_path / "imported")
    edit_manifest(imported, flows=["t2v", "v2t"])
    assert "has nothing to rank heads or layers by" in said(capsys, imported)


def test_a_run_whose_sizes_are_known(run, tmp_path, capsys):
    sizes = {"parameters": 1000, "lookup_parameters": 200, "layer_parameters": 100, "head_parameters": 5}
    run = shutil.copytree(run, tmp_path / "run")
    edit_manifest(run, sizes=sizes | {"kv_head_parameters": 4, "kv_heads": 2, "head_dim": 8})
    assert main(["prune", str(run), *FEW, "--loss", "150", "--output-dir", str(run / "prune")]) == 0
    sets = pd.read_csv(run / "prune/sets.csv")
    whole = sets[sets["unit"] == "layers"]
    assert whole["parameters_saved"].to_numpy() == pytest.approx(10 * whole["number"].to_numpy())
    assert whole["flops_saved"].to_numpy() == pytest.approx(12.5 * whole["number"].to_numpy())
    assert "% of the parameters, " in capsys.readouterr().out


def test_an_edited_design_is_one_line(tmp_path, world, capsys):
    path = small(tmp_path, world)
    edit_json(path / "prune/design.json", seed="x")
    assert "`seed` is 'x', not of type int" in said(capsys, path)


def test_a_wording_has_a_plan_of_its_own(tmp_path, world, capsys):
    wordings = {"one": {"template": "{question}", "conv_mode": "plain", "system": None}}
    path = write_world(tmp_path / "run", world, categories={"OCR": 8})
    ids = [f"{name}@one" for name in pd.read_parquet(path / "samples")["sample_id"]]
    for table in ("heads", "samples"):
        rows = pd.read_parquet(path / table)
        named = rows["sample_id"].astype(str) + "@one"
        rows = rows.assign(sample_id=named, **({"prompt": "one"} if table == "samples" else {}))
        rows.to_parquet(path / table / "part-00000-00000.parquet", index=False)
    edit_manifest(path, prompts=wordings)
    assert main(["prune", str(path), *FEW, "--prompt", "one"]) == 0
    folder = path / "prompt_one/prune"
    tests = (folder / "test_samples.txt").read_text().splitlines()
    assert len(tests) == 8
    assert set(tests) < set(ids)
    assert json.loads((folder / "design.json").read_text())["prompt"] == "one"
    measure_sets(path, world, folder=folder)
    assert main(["prune", str(path), *FEW, "--prompt", "one"]) == 0
    assert (folder / "sets.csv").is_file()
