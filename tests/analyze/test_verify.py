"""Oracle: pandas on the whole table of a made-up run, written as a reference; then figures moved by known amounts."""

import copy
import json

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from analyze.__main__ import main
from analyze.drawing.figures import FigureFiles, style
from analyze.drawing.results import verification
from analyze.drawing.results.verification import draw_deviations, draw_means, verification_figure
from analyze.published.reference import LLAVA_MME, read_reference
from analyze.published.verify import TOLERANCES, compare_figures, verify
from analyze.tables.frames import open_heads
from tests.support.boxes import badly_placed
from tests.support.pictures import write_empty
from tests.support.runs import MME, edit_manifest, write_run

FLOWS = ("t2v", "v2t")
SETTINGS = {
    "system_span": "original",
    "conv_mode": "vicuna_v1",
    "prompt_suffix": "\nBriefly.",
    "image_preprocessing": {"aspect": "crop", "crop": [2, 2]},
    "dtype": "float16",
}


@pytest.fixture
def run(tmp_path):
    """A run whose settings are known; an odd number of rows, so that the median is one of them."""
    run = write_run(tmp_path / "run", layers=3, heads=3, categories={"OCR": 6, "color": 9})
    edit_manifest(
        run, **SETTINGS | {"image_preprocessing": SETTINGS["image_preprocessing"] | {"processor": "SomeProcessor"}}
    )
    return run


def no_system(run) -> pd.DataFrame:
    """The rows of `heads` as float64, text without the system prompt."""
    heads = pd.read_parquet(run / "heads").astype({"t2v": float, "v2t": float, "v2sys": float})
    samples = pd.read_parquet(run / "samples").set_index("sample_id")
    n_text = samples[["n_bos", "n_system", "n_user", "n_question"]].sum(axis=1)
    factors = heads["sample_id"].map(n_text / (n_text - samples["n_system"])).astype(float)
    return heads.assign(t2v=heads["t2v"] * factors, v2t=heads["v2t"] - heads["v2sys"])


def figures_of(run) -> dict:
    """A reference that the run matches exactly."""
    heads = no_system(run)
    statistics = ("mean", "median", "std", "min", "max")
    by_layer, by_category = (heads.groupby(key, observed=True)[list(FLOWS)].mean() for key in ("layer", "category"))
    counts = pd.read_parquet(run / "samples")["category"].value_counts()
    return {
        "what": "made up",
        "source": "here",
        "settings": {"model": "another/name", "layers": 3, "heads": 3, "text_scope": "no-system", **SETTINGS},
        "n_samples": 15,
        "overall": {
            flow: {
                name: float(heads[flow].std(ddof=0) if name == "std" else heads[flow].agg(name)) for name in statistics
            }
            for flow in FLOWS
        },
        "by_layer": {f"{flow}_mean": by_layer[flow].tolist() for flow in FLOWS},
        "by_category": {
            name: {"n_samples": int(counts[name])} | {f"{flow}_mean": float(row[flow]) for flow in FLOWS}
            for name, row in by_category.iterrows()
        },
    }


@pytest.fixture
def against(run, tmp_path, monkeypatch):
    """Verify the run against its own figures, changed; returns the exit code."""
    monkeypatch.setattr(FigureFiles, "save", write_empty)
    monkeypatch.setattr(verification, "verification_figure", lambda *_: Figure())  # drawn below
    exact = figures_of(run)

    def call(change=lambda reference: None, *flags):
        reference = copy.deepcopy(exact)
        change(reference)
        (tmp_path / "reference.json").write_text(json.dumps(reference))
        return main(["verify", str(run), "--reference", str(tmp_path / "reference.json"), "--dpi", "30", *flags])

    return call


def move(path, by):
    """A change of a reference: the figure at a path, moved."""

    def change(reference):
        *before, last = path
        for step in before:
            reference = reference[step]
        reference[last] += by

    return change


def test_its_own_figures_match(run, against, capsys):
    assert against() == 0
    out = capsys.readouterr().out
    judged = 2 * 3 + 2 * 3 + 2 * 2
    assert f"matches: all {judged} judged figures are within their tolerances\n" in out
    assert "not known to be the same: model" in out
    table = pd.read_csv(run / "verify.csv", keep_default_na=False, dtype={"off": float})
    assert len(table) == judged + 4
    assert table["off"].abs().max() < 1.01e-4  # the bins of the median
    assert table.loc[table["statistic"] != "median", "off"].abs().max() < 1e-9
    assert set(table.loc[table["statistic"].isin(["min", "max"]), "within"]) == {""}


JUDGED = {
    ("overall", "t2v", "mean"): ("overall", "mean", "overall t2v mean"),
    ("overall", "v2t", "std"): ("overall", "std", "overall v2t std"),
    ("overall", "v2t", "median"): ("overall", "median", "overall v2t median"),
    ("by_layer", "v2t_mean", 1): ("layer", "mean", "layer 1 v2t mean"),
    ("by_category", "color", "t2v_mean"): ("category", "mean", "category color t2v mean"),
}


def verdict(out: str) -> str:
    """The verdict, which stands before the tables."""
    return out.split("\n\n")[1]


@pytest.mark.parametrize(("path", "sign"), zip(JUDGED, [-1, 1, 1, -1, 1], strict=True))
def test_one_figure_off_by_twice_its_tolerance(against, capsys, path, sign):
    group, statistic, words = JUDGED[path]
    tolerance = TOLERANCES[group, statistic]
    assert against(move(path, sign * 2 * tolerance)) == 1
    out = capsys.readouterr().out
    assert "differs: 1 of 16 judged figures" in out
    assert f"\n  {words} " in out
    assert f"off by {2 * tolerance:.4f}, tolerance {tolerance:.4f}" in out
    assert against(move(path, sign * 0.8 * tolerance)) == 0


def test_bfloat16_is_allowed_twice_as_much(run, against):
    change = move(("by_layer", "t2v_mean", 2), 1.5 * TOLERANCES["layer", "mean"])
    assert against(change) == 1
    edit_manifest(run, dtype="bfloat16")
    assert against(change) == 0
    edit_manifest(run, dtype="float32")
    assert against(change) == 1
    assert against() == 0


def test_single_extreme_values_are_not_judged(against):
    assert against(move(("overall", "v2t", "max"), -0.1)) == 0


def test_layers_shifted_by_one(against, capsys):
    def shift(reference):
        reference["by_layer"] = {name: means[1:] + means[:1] for name, means in reference["by_layer"].items()}

    assert against(shift) == 1
    assert "layer" in capsys.readouterr().out.split("judged figures")[1]


@pytest.mark.parametrize("name", ["system_span", "conv_mode", "prompt_suffix", "image_preprocessing", "text_scope"])
def test_another_setting_cannot_be_compared(run, against, capsys, name):
    other = "all" if name == "text_scope" else "another"
    if name == "text_scope":
        edit_manifest(run, source="legacy-pt")  # which cannot be converted
        assert against() == 2
    else:
        value = {"aspect": other} if name == "image_preprocessing" else other
        assert against(lambda reference: reference["settings"].update({name: value})) == 2
    out = capsys.readouterr().out
    assert verdict(out).endswith(f"cannot be compared: {name}")
    assert f"{other} " in out
    assert "by layer" in out
    assert len(pd.read_csv(run / "verify.csv")) == 20


def test_a_model_that_is_not_causal_cannot_be_compared(run, against, capsys):
    edit_manifest(run, causal=False, architecture="PaliGemmaForConditionalGeneration")
    assert against() == 2
    out = capsys.readouterr()
    assert verdict(out.out).endswith("cannot be compared: text_scope")
    assert out.err == ""


def test_another_number_of_samples_cannot_be_compared(run, against, capsys):
    def more(reference):
        reference["n_samples"] += 3
        reference["by_category"]["count"] = {"n_samples": 3, "t2v_mean": 0.1, "v2t_mean": 0.2}

    assert against(more) == 2
    out = capsys.readouterr().out
    assert "count 0" in out
    assert verdict(out).endswith("cannot be compared: samples, samples by category")


def test_another_shape_cannot_be_compared(against, capsys):
    def deeper(reference):
        reference["settings"] |= {"layers": 4, "heads": 4}
        for means in reference["by_layer"].values():
            means.append(0.5)

    assert against(deeper) == 2
    assert verdict(capsys.readouterr().out).endswith("cannot be compared: layers, heads")


def test_records_of_the_earlier_tool(run, tmp_path, capsys):
    (tmp_path / "reference.json").write_text(json.dumps(figures_of(run)))
    records = str(run / "mme_attention_head_records.pt")
    assert main(["export-pt", str(run), "--text-scope", "no-system"]) == 0
    assert main(["import-pt", records, str(tmp_path / "imported")]) == 0
    command = ["verify", str(tmp_path / "imported"), "--reference", str(tmp_path / "reference.json"), "--dpi", "30"]
    assert main(command) == 0
    unknown = "model, system_span, conv_mode, prompt_suffix, image_preprocessing, dtype"
    assert verdict(capsys.readouterr().out).endswith(f"not known to be the same: {unknown}")


def published(change=lambda table: None) -> pd.DataFrame:
    """Figures of the published reference against themselves, changed as a table like that of `summarise`."""
    reference = read_reference(LLAVA_MME)
    keys = ["group", "name", "flow"]
    table = reference.figures().pivot(index=keys, columns="statistic", values="reference")
    change(table)
    return compare_figures(table.reset_index(), reference, "float16").set_index([*keys, "statistic"])


def test_likely_mistakes_would_be_found_in_the_published_figures():
    assert (published()["within"] == "no").sum() == 0

    def shift(table):
        for flow in FLOWS:
            rows = [("layer", str(layer), flow) for layer in range(32)]
            table.loc[rows, "mean"] = np.roll(table.loc[rows, "mean"], 1)

    def one_token_more(table):
        table.loc[pd.IndexSlice[:, :, "t2v"], :] *= 39 / 38

    def one_category_for_the_other(table):
        for one, other in (("artwork", "celebrity"), ("OCR", "color")):
            rows = [("category", name, "t2v") for name in (one, other)]
            table.loc[rows, "mean"] = table.loc[rows[::-1], "mean"].to_numpy()

    assert (published(shift)["within"] == "no").sum() == 56  # of 64
    found = published(one_token_more)["within"]
    assert found["overall", "all", "t2v", "mean"] == "no"
    assert [layer for layer in range(32) if found["layer", str(layer), "t2v", "mean"] == "no"] == [0, 1, 31]
    assert (published(one_category_for_the_other)["within"] == "no").sum() == 4


def test_other_questions_would_be_found(real_run):
    heads, _ = open_heads(real_run)
    figures = verify(heads, read_reference(LLAVA_MME)).figures
    overall = figures[(figures["group"] == "overall") & (figures["within"] != "")]
    assert set(overall["within"]) == {"no"}


def test_a_few_samples_of_the_real_shape(tmp_path, capsys):
    run = write_run(tmp_path / "run", layers=32, heads=32, categories=dict.fromkeys(MME, 1))
    out = tmp_path / "out"
    assert main(["verify", str(run), "--output-dir", str(out), "--dpi", "20", "--prefix", "x"]) == 2
    assert "OCR 1, artwork 1, celebrity 1 and 11 more" in capsys.readouterr().out
    assert pd.read_csv(out / "verify.csv")["run"].notna().all()
    assert {path.name for path in out.iterdir()} == {"verify.csv", "x_verify.png"}
    with Image.open(out / "x_verify.png") as image:
        assert image.width == 220


def test_the_artists_show_the_table():
    figures = published(lambda table: table.__setitem__("mean", table["mean"] + 0.01)).reset_index()
    rows = figures[figures["group"] == "layer"]
    run, reference = (rows.loc[rows["flow"] == "v2t", name].to_numpy() for name in ("run", "reference"))
    means = draw_means(Figure().subplots(), rows, line="-").lines
    assert [line.get_linestyle() for line in means] == ["-", "None", "-", "None"]
    assert np.array_equal(means[2].get_ydata(), run)
    assert np.array_equal(means[3].get_ydata(), reference)
    axes = draw_deviations(Figure().subplots(), rows, line="-")
    assert np.array_equal(axes.lines[1].get_ydata(), run - reference)
    assert axes.patches[0].get_y() == -0.003
    assert axes.patches[0].get_height() == 0.006
    assert axes.get_ylim()[1] > 0.01


@pytest.mark.parametrize("group", ["category", "layer"])
def test_no_panel_is_empty(group):
    figures = published().reset_index()
    with style():
        assert len(verification_figure(figures, "matches", ()).axes) == 4
        figures.loc[figures["group"] == group, ["run", "off"]] = np.nan
        figure = verification_figure(figures, "cannot be compared", ("run r",))
    assert len(figure.axes) == 2
    for axes in figure.axes:
        assert all(np.isfinite(line.get_ydata()).any() for line in axes.lines)
    assert figure.get_suptitle() == f"cannot be compared\nrun r, no {group} in common with the reference"
    figures["run"] = np.nan
    with style():
        verification_figure(figures, "cannot be compared", ())


def test_texts_of_verify_stay_apart():
    names = {name: f"{name} $x^{{2}} " * 4 for name in MME}
    figures = published().reset_index().assign(name=lambda table: table["name"].replace(names))
    with style():
        assert badly_placed(verification_figure(figures, "differs: " * 30, ("run r" * 60, "a model"))) == []


def test_a_bad_reference(run, against, capsys):
    assert against(lambda reference: reference.pop("overall")) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: reference ")
    assert error.endswith("reference.json: the field `overall` is missing\n")
    assert not (run / "verify.csv").exists()
