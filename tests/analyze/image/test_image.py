"""Oracle: plain pandas on the tables of two made-up runs, and the causes of failures told by `if`."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analyze.__main__ import main
from analyze.image.content import content_by_head
from analyze.image.failures import CAUSES, SHARE, find_failures
from analyze.image.gain import find_gain
from analyze.image.pairs import pair_runs
from analyze.opening import opened
from analyze.pictures.of_run import subject
from analyze.scores.accuracy import ALL_TOGETHER, category_scores
from analyze.tables.frames import open_heads
from schemas.columns import MAPS
from tests.support.runs import edit_json, edit_manifest, flows, put, rewrite, sample, start, write_run

pytestmark = pytest.mark.usefixtures("undrawn")

QUESTIONS = {"OCR": 50, "color": 60}
COUNTERFACTUAL = {"images": "blank"}


def write(path, *, seed, fields=None, margins=True):
    """A run whose margins are drawn; the answer is the sign of the margin."""
    random = np.random.default_rng(seed)
    rows = [(number, name) for name, count in QUESTIONS.items() for number in range(count)]
    writer = start(path, len(rows), fields=fields or {})
    values = flows(random, 2, 3)
    for position, (number, category) in enumerate(rows):
        margin = float(random.normal(0.5 if fields else 2.0 * (-1) ** number, 2.0))
        row = sample(number, category) | {"row": position, "image_sha256": f"{category} {number // 2}"}
        row |= {"prediction": "Yes" if margin > 0 else "No"} | ({"margin": margin} if margins else {})
        writer.add(row, {"heads": values})
    writer.finish()
    return path


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("image")
    return write(folder / "run", seed=0), write(folder / "blank", seed=1, fields=COUNTERFACTUAL)


@pytest.fixture(scope="module")
def pairs(runs):
    return pair_runs(*(open_heads(path)[0] for path in runs), resamples=500, seed=0)


def joined(runs) -> pd.DataFrame:
    one, two = (pd.read_parquet(path / "samples").astype({"category": str, "sample_id": str}) for path in runs)
    table = one.merge(two, on="sample_id", suffixes=("", "_without"))
    y = table["answer"].map({"Yes": 1, "No": -1})
    table["gain"] = y * (table["margin"] - table["margin_without"])
    for name in ("", "_without"):
        table[f"right{name}"] = table[f"prediction{name}"] == table["answer"]
    return table


@pytest.mark.parametrize("category", [*QUESTIONS, ALL_TOGETHER])
def test_numbers_are_those_of_pandas(runs, pairs, category):
    table = joined(runs)
    table = table if category == ALL_TOGETHER else table[table["category"] == category]
    found = find_gain(pairs).table.set_index("category").loc[category]
    assert found["questions"] == len(table)
    assert found["gain"] == pytest.approx(table["gain"].mean())
    assert found["gain_low"] < found["gain"] < found["gain_high"]
    assert found["accuracy"] == pytest.approx(100 * table["right"].mean())
    assert found["without"] == pytest.approx(100 * table["right_without"].mean())
    assert found["difference"] == pytest.approx(100 * (table["right"].mean() - table["right_without"].mean()))
    assert found["difference_low"] < found["difference"] < found["difference_high"]
    assert found["unchanged"] == pytest.approx(100 * (table["prediction"] == table["prediction_without"]).mean())
    assert found["yes"] == pytest.approx(100 * (table["prediction"] == "Yes").mean())
    assert found["yes_without"] == pytest.approx(100 * (table["prediction_without"] == "Yes").mean())
    assert found["frequent"] == pytest.approx(50)


def test_scores_are_those_of_each_run(runs, pairs):
    found = find_gain(pairs).scores.set_index("category")
    for path, column in zip(runs, ("score", "without"), strict=True):
        expected = category_scores(pd.read_parquet(path / "samples")).set_index("category")["score"]
        assert found.loc[expected.index, column].tolist() == pytest.approx(expected.tolist())
        assert found.loc["perception", column] == pytest.approx(expected.sum())
    assert (found["difference"] - (found["score"] - found["without"])).abs().max() < 1e-9
    assert (found["low"] <= found["score"]).all()
    assert (found["without_low"] <= found["without"]).all()
    width = found["difference_high"] - found["difference_low"]
    assert width["OCR"] < width["perception"] < width["OCR"] + width["color"]


def test_failures_are_split_as_by_hand(runs, pairs):
    table = joined(runs)
    threshold = SHARE * table["gain"].abs().median()
    causes = {}
    for _, row in table[~table["right"]].iterrows():
        if row["prediction"] != row["prediction_without"] or row["gain"] < -threshold:
            causes[row["sample_id"]] = "misread"
        elif abs(row["gain"]) <= threshold:
            causes[row["sample_id"]] = "ignored"
        else:
            causes[row["sample_id"]] = "prompt"
    found = find_failures(pairs)
    assert found.threshold == pytest.approx(threshold)
    assert dict(zip(found.samples["sample_id"], found.samples["cause"], strict=True)) == causes
    assert (found.samples["lead"] < 0).all()  # the logit of the wrong answer is larger, whichever it is
    assert (found.samples["lead"] - found.samples["lead_without"]).tolist() == found.samples["effect"].tolist()
    assert set(causes.values()) == set(CAUSES)
    counts = found.counts.set_index("category")
    assert counts.loc[ALL_TOGETHER, list(CAUSES)].tolist() == [list(causes.values()).count(cause) for cause in CAUSES]
    assert (counts[list(CAUSES)].sum(axis=1) == counts["wrong"]).all()
    assert counts[[f"{cause}_share" for cause in CAUSES]].sum(axis=1).tolist() == pytest.approx([100, 100, 100])
    assert (counts["misread_low"] < counts["misread_share"]).all()


def test_rounding_bounds_what_an_image_moves(tmp_path):
    run, blank = write(tmp_path / "run", seed=0), write(tmp_path / "blank", seed=1, fields=COUNTERFACTUAL)
    edit_json(run / "chunks" / "00000.json", sessions=[{"noise": {"mass": 0.1, "margin": 4.0}}])
    found = find_failures(pair_runs(*(open_heads(path)[0] for path in (run, blank)), resamples=200, seed=0))
    assert found.threshold == 8


def test_the_commands(runs, tmp_path, capsys):
    run, blank = map(str, runs)
    flags = ["--without", blank, "--dpi", "40", "--resamples", "200", "--output-dir"]
    assert main(["image", run, *flags, str(tmp_path / "image")]) == 0
    out = capsys.readouterr().out
    assert "110 samples on 55 images paired by image (content) and question; 0 of A have no partner" in out
    assert "gain of the image over blank: " in out
    assert "95% interval by image" in out
    assert {path.name for path in (tmp_path / "image").iterdir()} == {"image.csv", "scores.csv", "image.png"}
    assert main(["diagnose", run, *flags, str(tmp_path / "diagnosis")]) == 0
    out = capsys.readouterr().out
    assert "110 samples on 55 images paired by image (content) and question; 0 of A have no partner" in out
    assert "failures: of " in out
    assert "nan" not in out.lower()
    assert {"causes.csv", "failures.csv"} <= {path.name for path in (tmp_path / "diagnosis").iterdir()}


def test_what_lead_is_of_is_said_where_texts_are_answers(runs, tmp_path, capsys, monkeypatch):
    def with_texts(*arguments):
        heads = opened(*arguments)
        return replace(heads, samples=heads.samples.assign(said=heads.samples["prediction"]))

    said = "accuracy is that of the answers in the texts, lead that of the first token"
    for open_one, expected in ((opened, False), (with_texts, True)):
        monkeypatch.setattr("analyze.commands.answers.image.opened", open_one)
        flags = ["--without", str(runs[1]), "--resamples", "200", "--output-dir", str(tmp_path / str(expected))]
        assert main(["image", str(runs[0]), *flags]) == 0
        assert (said in capsys.readouterr().out) == expected


def refusal(capsys, *arguments) -> str:
    for command in ("image", "diagnose"):
        assert main([command, *map(str, arguments)]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first == second
    return first


def test_other_runs_are_refused_in_one_line(runs, tmp_path, capsys):
    run, blank = runs
    assert "blank is of blank images" in refusal(capsys, blank, "--without", blank)
    assert "is of the images as they are; give a run" in refusal(capsys, run, "--without", run)
    other = write(tmp_path / "other", seed=1, fields=COUNTERFACTUAL | {"dtype": "float16"})
    assert "the dtype of" in refusal(capsys, run, "--without", other)
    unmeasured = write(tmp_path / "unmeasured", seed=1, fields=COUNTERFACTUAL, margins=False)
    assert "lacks `lead`: extract it again" in refusal(capsys, run, "--without", unmeasured)
    edit_manifest(other, dtype=None, images="upside down")
    assert "images is 'upside down', not one of original" in refusal(capsys, run, "--without", other).replace('"', "'")
    weights = write(tmp_path / "weights", seed=1, fields=COUNTERFACTUAL)
    both = [write(tmp_path / "a", seed=0), weights]
    for path, name in zip(both, "ab", strict=True):
        edit_json(path / "chunks" / "00000.json", weights=name)
    assert "computed with different weights" in refusal(capsys, both[0], "--without", weights)


def test_other_images_of_the_same_names_are_refused(runs, tmp_path, capsys):
    other = write(tmp_path / "other", seed=1, fields=COUNTERFACTUAL)
    rewrite(other, "samples", lambda table: put(table, "image_sha256", slice(None), [f"o{n}" for n in range(110)]))
    problem = refusal(capsys, runs[0], "--without", other)
    assert f"110 of 110 paired samples have other image files in {other} than in {runs[0]}" in problem
    assert "extract it again from the images and the question file" in problem


def test_few_paired_samples_are_warned_of(runs, tmp_path, capsys):
    assert main(["subset", str(runs[1]), str(tmp_path / "few"), "--query", "row < 20"]) == 0
    for command in ("image", "diagnose"):
        assert main([command, str(runs[0]), "--without", str(tmp_path / "few"), "--dpi", "40"]) == 0
        assert "fewer than half of the samples of a run are paired" in capsys.readouterr().err


def test_questions_with_other_right_answers_count_nowhere(tmp_path):
    """Nor do those whose right answer is a word in one of the runs."""
    paths = [write_run(tmp_path / name, tables=[MAPS], seed=seed) for seed, name in enumerate(("run", "swap"))]
    edit_manifest(paths[1], images="swap")
    rewrite(paths[1], "samples", lambda table: put(table, "answer", slice(2), ["No", "a cat"]))
    found = pair_runs(*(open_heads(path)[0] for path in paths), resamples=20, seed=0)
    assert set(content_by_head(found)["samples"]) == {8}
    assert find_gain(found).table["questions"].tolist() == [6, 2, 8]
    assert found.answers()["questions"].tolist()[:3] == [6, 2, 8]
    assert found.in_words().endswith("; 2 more do not count: no right answer, yes or no, is the same in both")


def test_categories_called_as_their_totals_are_keep_their_rows(tmp_path, capsys):
    """Only one of them, so that each total has the value of the category."""
    for name, fields in (("run", {}), ("blank", COUNTERFACTUAL)):
        writer = start(tmp_path / name, 80, fields=fields)
        for number in range(80):
            row = sample(number, "all" if number < 40 else "perception") | {"row": number, "margin": 1.0}
            writer.add(row, {"heads": flows(np.random.default_rng(0), 2, 3)})
        writer.finish()
    options = ["--dpi", "40", "--resamples", "100", "--without", str(tmp_path / "blank")]
    for command, names in (("image", ["image"]), ("diagnose", ["states", "causes"])):
        assert main([command, str(tmp_path / "run"), *options, "--output-dir", str(tmp_path / command)]) == 0
        for name in names:
            table = pd.read_csv(tmp_path / command / f"{name}.csv")
            assert table["category"].tolist() == ["all", "perception", "all (together)"]
            assert table["images"].tolist() == [20, 20, 40]


def test_without_pairs_of_questions_there_is_no_score(tmp_path, capsys):
    for name, images in (("run", "original"), ("blank", "blank")):
        writer = start(tmp_path / name, 1, fields={"images": images})
        writer.add(sample(0, "OCR") | {"margin": 1.0}, {"heads": flows(np.random.default_rng(0), 2, 3)})
        writer.finish()
    assert main(["image", str(tmp_path / "run"), "--without", str(tmp_path / "blank"), "--dpi", "40"]) == 0
    assert "MME score" not in capsys.readouterr().out
    assert not (tmp_path / "run" / "image_over_blank" / "scores.csv").exists()


def test_one_image_and_no_failure(tmp_path, capsys):
    for name, images in (("run", "original"), ("blank", "blank")):
        writer = start(tmp_path / name, 2, fields={"images": images})
        for number in range(2):
            row = sample(number, "OCR")
            row |= {"prediction": row["answer"], "margin": 1.0 - 2 * number}
            writer.add(row, {"heads": flows(np.random.default_rng(0), 2, 3)})
        writer.finish()
    for command in ("image", "diagnose"):
        assert main([command, str(tmp_path / "run"), "--without", str(tmp_path / "blank"), "--dpi", "40"]) == 0
    out = capsys.readouterr().out
    assert "failures: none among the paired questions" in out
    assert "nan" not in out


def test_other_commands_say_that_images_were_changed(tmp_path, capsys):
    run = write(tmp_path / "run", seed=0, fields=COUNTERFACTUAL)
    assert main(["verify", str(run), "--dpi", "40"]) == 2
    (verdict,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("cannot be compared")]
    assert ", images," in verdict
    assert main(["export-pt", str(run)]) == 2
    assert "is of blank images, which records do not say" in capsys.readouterr().err
    assert "blank images" in subject(open_heads(run)[0])
