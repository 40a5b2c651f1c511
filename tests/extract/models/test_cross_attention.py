"""Llama 3.2 Vision, whose image is read by cross-attention. Oracles: float64 passes in explicit attention for
knock-outs (tests/support/knockouts.py); the definitions of its columns, and pandas over rows that count, for runs."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch

from analyze.__main__ import main as analyze
from analyze.pictures.of_run import Pictures
from analyze.report.measures import measure
from analyze.tables.frames import ANSWERS, IMAGE_KEYS, TOKEN_COUNTS, open_heads
from analyze.tables.tallies import tally
from extract import load_model
from extract.batched_knockouts.changes import Change
from extract.batched_knockouts.growth import Growth
from extract.batched_knockouts.prefill import run_prefill
from extract.knockouts.passes import KnockOutPasses
from extract.knockouts.references import HeadMeans
from extract.passes.batching import ImageQuestions, Question
from extract.questions.samples import Sample
from schemas.columns import OF_TEXT
from schemas.jobs.head_sets import HeadSet
from schemas.store.run import open_run
from schemas.validation.run import validate
from tests.support.knockouts import Reference
from tests.support.measured import FamilyCase
from tests.support.tiny_families import make_family
from tests.support.witness import PICTURES, QUESTIONS, picture

CROSSING, OTHERS = [1, 3], [0, 2]
IMAGES = {"tall.png": PICTURES[0], "square.png": picture(50, 50), "small.png": picture(20, 20)}  # of 4, 4 and 1 tiles


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("mllama")
    make_family(path, "mllama")
    return path


@pytest.mark.parametrize("kind", ["swap", "mean"])
def test_knock_outs_that_take_another_image(model, kind):
    case, other = FamilyCase(model, "mllama"), picture(41, 72)
    sample = Sample("a", "OCR", None, ("a.png",), QUESTIONS[0], "Yes", row=0)

    def asked(name, image):
        pixels = case.model.preprocessor(image)
        return ImageQuestions(name, pixels, [Question(sample, case.prompts.build(QUESTIONS[0], pixels.image_ids))])

    own, its = asked("own", PICTURES[0]), asked("other", other)
    change = Change.of(kind, None, None)
    growth = Growth(case.model, change, {"all": HeadSet(layers=frozenset(CROSSING))}, 10**6)
    means = HeadMeans(growth, change)
    for image in (own, its):
        means.add(image.sha256, run_prefill(case.model, image))
    of_kind = {"partner": lambda _: its} if kind == "swap" else {"means": means}
    (outcome,) = KnockOutPasses(case.model, case.answers, growth, ["all"], margins={}, **of_kind).over([[own]])
    (margin,), (untouched,) = outcome.rows["margin"], outcome.rows["margin_untouched"]

    reference = Reference(case.eager.model)
    reads = [case.witness.read(each, QUESTIONS[0]) for each in (PICTURES[0], other)]
    after = torch.tensor([role == "q" for role in case.witness.roles(case.witness.tokens(reads[0])) if role != "v"])
    reference.hidden(case.witness.inputs(reads[1], torch.float64))
    seen = reference.seen
    reference.heads, reference.queries = dict.fromkeys(CROSSING, range(4)), after
    if kind == "swap":
        keys = own.questions[0].prompt.crossing
        reference.keys, reference.other = torch.ones(keys).bool(), {layer: seen[layer][:2] for layer in CROSSING}
    else:
        reference.output = lambda layer, head: seen[layer][2][0, head, after].mean(dim=0)
    expected = float(reference.hidden(case.witness.inputs(reads[0], torch.float64)) @ case.direction)
    print(f"{kind}: {margin:.6f}, not {untouched:.6f}; off by {abs(margin - expected):.1e}")
    assert abs(margin - expected) <= 5e-6
    assert abs(untouched - expected) > 1e-4


@pytest.fixture(scope="module")
def run(tmp_path_factory, model):
    """A run of two questions on each of some images, with all that a pass makes."""
    from extract.__main__ import main as extract

    folder = tmp_path_factory.mktemp("run")
    for name, image in IMAGES.items():
        image.save(folder / name)
    rows = [
        {"question_id": name, "image_file": name, "question": question, "answer": answer, "category": "OCR"}
        for name in IMAGES
        for question, answer in zip(QUESTIONS, ("Yes", "No"), strict=True)
    ]
    (folder / "questions.json").write_text(json.dumps(rows))
    flags = [
        "--maps",
        "--contributions",
        "--layer-profile",
        "--num-workers",
        "0",
        "--batch-size",
        "3",
        "--generate",
        "2",
    ]
    asked = {"model-path": model, "image-folder": folder, "question-file": folder / "questions.json"}
    given = [each for name, value in asked.items() for each in (f"--{name}", str(value))]
    assert extract([*given, "--output-dir", str(folder / "run"), *flags]) == 0
    return folder / "run"


def test_rows_say_what_kind_a_layer_is(run):
    assert list(validate(run)) == []
    manifest = open_run(run).manifest
    assert (manifest.crossing, manifest.attending, manifest.flows) == (CROSSING, [0, 1, 2, 3], [*OF_TEXT])
    heads, samples = pd.read_parquet(run / "heads"), pd.read_parquet(run / "samples")
    assert samples.drop_duplicates("image")["n_image"].tolist() == [4 * 17, 4 * 17, 17]
    across = heads["layer"].isin(CROSSING)
    assert (heads.loc[~across, ["t2v", "q2v", "a2v"]] == 0).all(axis=None)
    assert (heads.loc[across, ["q2v", "a2v"]] - 1).abs().max(axis=None) <= 1e-6
    text = [each for each in OF_TEXT if not each.endswith("2v")]
    assert (heads.loc[across, text] == 0).all(axis=None)
    padded = heads["sample_id"].astype(str).str.startswith("small")  # tokens before the image see its padding too
    assert (heads.loc[across & padded, "t2v"] < 0.999).all()
    assert (heads.loc[across & ~padded, "t2v"] - 1).abs().max() <= 1e-6
    maps, layers = pd.read_parquet(run / "maps"), pd.read_parquet(run / "layers")
    assert (maps["map"].notna() == maps["layer"].isin(CROSSING)).all()
    assert layers["bi_image"].isna().all()
    assert layers["bi_question"].notna().all()
    contributions = pd.read_parquet(run / "contributions")
    assert ((contributions["d2v"] != 0) == contributions["layer"].isin(CROSSING)).all()


def test_runs_are_compared_by_the_columns_that_both_have(run, tmp_path, capsys):
    other = shutil.copytree(run, tmp_path / "other")
    compared = ["compare", str(run), str(other), "--output-dir", str(tmp_path / "compared"), "--resamples", "100"]
    assert analyze(compared) == 0
    assert pd.read_csv(tmp_path / "compared" / "masses.csv")["flow"].tolist() == ["t2v", "q2v", "a2v"]
    capsys.readouterr()
    assert analyze([*compared, "--metrics", "t2v,v2t"]) == 2  # not left out where it was asked for
    assert "it has no column v2t, as its image has no queries" in capsys.readouterr().err


def test_statistics_count_layers_that_can_have_a_column(run, capsys):
    assert analyze(["summary", str(run), "--metrics", "t2v,q2q"]) == 0
    assert "text reads the image by cross-attention in layers 1, 3: there it sees no text" in capsys.readouterr().err
    heads, found = pd.read_parquet(run / "heads"), pd.read_csv(run / "summary.csv")
    for flow, layers in (("t2v", CROSSING), ("q2q", OTHERS)):
        values, own = heads.loc[heads["layer"].isin(layers), flow], found[found["flow"] == flow]
        for group in ("overall", "category"):
            (row,) = own[own["group"] == group].to_dict("records")
            expected = [len(values), values.mean(), values.std(ddof=0), values.min(), values.max()]
            assert np.allclose([row[each] for each in ("rows", "mean", "std", "min", "max")], expected, atol=1e-6)
            assert abs(row["median"] - values.median()) <= 2e-4
            by_image = heads[heads["layer"].isin(layers)].groupby("sample_id", observed=True)[flow].mean()
            assert row["low"] <= by_image.mean() <= row["high"]
        assert own.loc[own["group"] == "layer", "name"].astype(int).tolist() == layers


def test_pictures_leave_out_layers_that_cannot_have_a_column(run, capsys):
    assert analyze(["export-pt", str(run)]) == 2
    assert "has no column v2t, as its image has no queries" in capsys.readouterr().err
    heads, _ = open_heads(run, columns=TOKEN_COUNTS)
    found = tally(heads, ["t2v", "q2q"], heads.scope(None), spread=False)
    made = {
        each.name: each
        for each in Pictures(found, (), "mme", range(4), ["OCR"], crossing=heads.run.manifest.crossing).all()
    }
    of_layer = [made[f"mme_layer{layer}_stacked_hist"] for layer in range(4)]
    assert [[*panel.bars] for each in of_layer for panel in each.panels] == [["q2q"], ["t2v"], ["q2q"], ["t2v"]]
    assert [each.title for each in of_layer] == ["Layer 0", "Layer 1, image", "Layer 2", "Layer 3, image"]
    for flow, layers in (("t2v", CROSSING), ("q2q", OTHERS)):
        for each in (made[f"mme_head_map_{flow}"], made[f"mme_layers_head_bars_{flow}"]):
            assert (each.layers, each.means.shape) == (layers, (2, 4))
    of_all = {
        flow: bars.sum() for panel in made["mme_overall_stacked_hist"].panels for flow, bars in panel.bars.items()
    }
    assert of_all == pytest.approx({"t2v": 1, "q2q": 1})


def test_the_page_does_not_say_which_head_looks_most(run):
    heads, _ = open_heads(run, columns=[*TOKEN_COUNTS, *IMAGE_KEYS, *ANSWERS, "lead"])
    found = measure(heads, heads.scope(None))
    assert {"a2v", "d2v"} <= {each.name for each in found.measures}
    assert found.first_looking() is None


def test_a_look_orders_heads_by_their_maps(model):
    found = load_model(str(model)).look(PICTURES[0], QUESTIONS[0])
    entropy = found.numbers["entropy"]
    assert [*found.masses] == [*OF_TEXT]
    assert found.top(8) == sorted(
        ((layer, head) for layer in CROSSING for head in range(4)), key=lambda each: entropy[each]
    )
    assert found.maps[OTHERS].max() == 0
    assert found.maps[CROSSING].sum(axis=(2, 3)).min() > 0.5
