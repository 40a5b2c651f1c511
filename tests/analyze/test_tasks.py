"""Oracle: made-up runs of other tasks than MME, whose commands must say nothing of MME; and counting."""

import json
import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.special import softmax

from analyze.__main__ import main
from analyze.diagnose import diagnose
from analyze.positions import Positions
from analyze.prune.curves import Answers
from analyze.scores.images import ImagePoints
from analyze.statistics.bootstrap import Bootstrap
from analyze.statistics.clusters import Clusters
from analyze.tables.frames import open_heads
from schemas.tasks import PLAIN
from tests.simulations.positions import World, made_up, simulate
from tests.support.asked import write_choices, write_pope
from tests.support.runs import sample

pytestmark = pytest.mark.usefixtures("unsaved")
QUICK = ("--resamples", "100", "--dpi", "40")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pope")
    fields = {"images": "blank"}
    return write_pope(folder / "run"), write_pope(folder / "blank", right=0.5, seed=1, fields=fields)


def test_pope_is_scored_as_its_authors_do(runs, tmp_path, capsys):
    assert main(["summary", str(runs[0]), "--output-dir", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "POPE score by category, on 432 of 432 questions" in out
    assert "MME" not in out
    table = pd.read_csv(tmp_path / "scores.csv").set_index("category")
    assert table.index.tolist() == ["random", "popular", "adversarial", "mean"]
    own = table[["accuracy", "score", "precision", "recall", "f1", "yes_ratio"]]
    assert own.loc["mean"].tolist() == pytest.approx(own.iloc[:3].mean().tolist())
    assert (table["f1_low"] < table["f1"]).all()
    assert (table["f1"] < table["f1_high"]).all()


@pytest.mark.parametrize("command", ["compare", "image", "report"])
def test_other_commands_use_the_accuracy_and_say_nothing_of_mme(runs, tmp_path, capsys, command):
    run, blank = map(str, runs)
    asked = {
        "compare": ["compare", run, blank, *QUICK], "image": ["image", run, "--without", blank, *QUICK],
        "report": ["report", run, "--images", "0"],
    }  # fmt: skip
    assert main([*asked[command], "--output-dir", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    if command == "report":
        page = next(tmp_path.glob("*.html")).read_text(encoding="utf-8")
        assert "Accuracy, mean of categories" in page
        assert 'data-score="f1"' in page
        assert "MME" not in re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
        return
    assert "MME" not in out
    name, value = {"compare": ("answers.csv", "a"), "image": ("scores.csv", "score")}[command]
    table = pd.read_csv(tmp_path / name)
    table = table[table["measure"] == "score"] if "measure" in table else table
    table = table.set_index("category")
    samples = pd.read_parquet(runs[0] / "samples").astype({"category": str})
    right = 100 * (samples["answer"] == samples["prediction"]).groupby(samples["category"]).mean()
    assert table.loc[right.index, value].tolist() == pytest.approx(right.tolist())
    assert table.loc["mean", value] == pytest.approx(right.mean())
    whole = pd.read_csv(tmp_path / {"compare": "answers.csv", "image": "image.csv"}[command]).set_index("category")
    assert (whole.loc[["all"], "images"] == 24).all()  # each of them is in all three categories
    assert table["difference"].notna().all()


def diagnosed(path):
    heads = open_heads(path)[0]
    return diagnose(heads, ["a2v"], heads.scope(None), resamples=200)


def test_a_planted_position_bias_is_found_and_counted(tmp_path):
    """A fifth of the answers is A, whatever is asked; all else is as in a model without a bias."""
    run = write_choices(tmp_path / "run", images=100, towards=0, bias=0.2)
    found = diagnosed(run)
    lines = [line for line in found.verdict() if line.startswith("position")]
    assert lines[0].startswith("position: gives A too often: over all (+")
    samples = pd.read_parquet(run / "samples")
    letters = found.positions.letters.set_index(["category", "letter"])
    for letter in "ABCD":
        row = letters.loc[("all", letter)]
        assert row["given"] == pytest.approx(100 * (samples["prediction"] == letter).mean())
        assert row["right"] == pytest.approx(100 * (samples["answer"] == letter).mean())
        assert row["difference"] == pytest.approx(row["given"] - row["expected"])
    assert letters.loc["all", "expected"].sum() == pytest.approx(100)
    wrong = samples[samples["prediction"] != samples["answer"]]
    counts = found.positions.confusions.groupby(["right", "given"])["questions"].sum()
    assert counts.to_dict() == wrong.groupby(["answer", "prediction"]).size().to_dict()


def test_where_letters_are_right_equally_often_each_is_expected_as_often_as_it_is_right():
    samples = made_up(np.random.default_rng(0), World(20))
    samples["expected"] = np.arange(len(samples)) % 4
    samples["right"] = samples["says"] == samples["expected"]
    letters = Positions.of(samples, Bootstrap(Clusters.of(samples), 50), 20).letters
    assert letters["expected"].tolist() == pytest.approx([25.0] * len(letters)) == letters["right"].tolist()


def test_a_letter_that_is_right_more_often_is_expected_less_often_than_that():
    """3 of 5 answers are right in each category; A is right in 40%, so that others are given in 40% of 60% / 3."""
    samples = made_up(np.random.default_rng(0), World(20))
    number = np.arange(len(samples))
    samples["expected"] = np.array([0, 0, 1, 2, 3])[number % 5]
    samples["right"] = number // 5 % 5 < 3
    samples["says"] = np.where(samples["right"], samples["expected"], (samples["expected"] + 1) % 4)
    letters = Positions.of(samples, Bootstrap(Clusters.of(samples), 50), 20).letters.set_index(["category", "letter"])
    row = letters.loc[("all", "A")]
    assert (row["right"], row["expected"]) == pytest.approx((40, 100 * (0.6 * 0.4 + 0.4 * 0.6 / 3)))


def test_wrong_answers_are_told_by_the_place_of_the_right_option(tmp_path):
    run = write_choices(tmp_path / "run")
    found, samples = diagnosed(run), pd.read_parquet(run / "samples")
    logits = np.stack(samples["option_logits"])
    right = samples["answer"].map("ABCD".index).to_numpy()
    rank = (logits > logits[np.arange(len(logits)), right][:, None]).sum(axis=1)
    whole = found.states.iloc[-1]
    assert whole[["right", "right one second", "right one further", "neither"]].tolist() == [
        (rank == 0).sum(), (rank == 1).sum(), (rank > 1).sum(), 0,
    ]  # fmt: skip
    given = softmax(logits, axis=1).max(axis=1)
    assert whole["sure_wrong"] == pytest.approx(100 * given[rank > 0].mean())
    assert found.calibration.brier == pytest.approx(((given - (rank == 0)) ** 2).mean())
    assert found.worst["prediction"].str.match("[A-D]: option [0-3]").all()


@pytest.mark.parametrize("command", ["summary", "diagnose", "prompts", "image", "compare"])
def test_commands_on_choices_say_nothing_of_yes_or_no(tmp_path, capsys, command):
    run = write_choices(tmp_path / "run", prompts=("one", "two") if command == "prompts" else ())
    blank = write_choices(tmp_path / "blank", right=0.3, fields={"images": "blank"})
    more = {"image": ["--without", str(blank)], "compare": [str(blank)]}.get(command, [])
    quick = [] if command == "summary" else QUICK
    assert main([command, str(run), *more, *quick, "--output-dir", str(tmp_path / "out")]) == 0
    out = capsys.readouterr().out
    assert not re.search(r"\bMME|\byes\b|\bno-biased|\bnan\b", out, re.IGNORECASE)
    for file in (tmp_path / "out").glob("*.csv"):
        assert not re.search(r"\byes|no-biased", file.read_text(encoding="utf-8"), re.IGNORECASE), file


def test_a_page_on_choices_has_states_of_answers_and_no_pairs(tmp_path):
    run = write_choices(tmp_path / "run", images=24)
    assert main(["report", str(run), "--images", "0", "--output-dir", str(tmp_path)]) == 0
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"\byes", re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL), re.IGNORECASE)
    data = json.loads(re.search(r'id="page-data">(.*?)</script>', page, re.DOTALL)[1])
    expected = diagnosed(run).states.iloc[-1]
    assert all(
        re.match("[A-D]: option [0-3]$", text) for text in data["samples"]["answer"] + data["samples"]["prediction"]
    )
    states = [data["samples"]["state"].count(place) for place in range(len(data["states"]))]
    assert states == expected[data["states"]].tolist()


def test_a_card_keeps_the_texts_of_options_back(tmp_path):
    run = write_choices(tmp_path / "run", images=24)
    for name, more in (("bare", []), ("whole", ["--with-texts"])):
        assert main(["card", str(run), str(tmp_path / name), *more]) == 0
    bare, whole = (pd.read_parquet(tmp_path / name / "samples") for name in ("bare", "whole"))
    assert bare["options"].isna().all()
    assert {*whole["options"].map(tuple)} == {("option 0", "option 1", "option 2", "option 3")}
    assert main(["validate", str(tmp_path / "bare")]) == 0
    assert "MME score" not in (tmp_path / "bare" / "README.md").read_text(encoding="utf-8")


def test_what_a_set_costs_is_told_in_points_of_accuracy():
    """Questions of two categories of unequal size; a set that loses 6 of 40 right answers."""
    asked = [sample(number, "color" if number < 30 else "shape") | {"row": number} for number in range(40)]
    right = np.ones((40, 1), bool)
    table = pd.DataFrame(asked).assign(status="ok", right=True)
    answers = Answers(table, np.ones((40, 1)), right & (np.arange(40) >= 6)[:, None], right, 1.0, {"s": 0}, PLAIN)
    found = ImagePoints.of(answers.samples, PLAIN)
    before, after = (found.points(each) for each in (answers.right_untouched, answers.right))
    assert found.total(before).tolist() == pytest.approx([100 * (answers.samples["answer"].isin(["Yes", "No"])).mean()])
    assert found.total(before - after).tolist() == pytest.approx([15])
    assert found.most.tolist() == pytest.approx([100 * weight for weight in (0.75,) * 15 + (0.25,) * 5])


def test_too_few_images_tell_nothing_of_positions(tmp_path):
    lines = diagnosed(write_choices(tmp_path / "run", images=9)).verdict()
    assert [line for line in lines if line.startswith("position")] == [
        "position: cannot be told over all: 9 images with an answer that is an option, fewer than 20",
        "position: cannot be told in 2 of 2 categories",
    ]


def test_no_category_is_said_to_be_without_a_bias_where_none_can_be_told(tmp_path):
    lines = diagnosed(write_choices(tmp_path / "run", images=24)).verdict()  # 12 in each category
    assert [line for line in lines if line.startswith("position")] == [
        "position: no letter is given significantly too often, or too seldom, over all",
        "position: cannot be told in 2 of 2 categories",
    ]


def test_an_image_in_two_categories_counts_once_over_all(tmp_path):
    run = write_choices(tmp_path / "run", images=24)
    for part in (run / "samples").glob("*.parquet"):
        table = pq.read_table(part)
        images = [f"{row // 2 % 12:064x}" for row in table["row"].to_pylist()]  # the same 12 in each category
        place = table.schema.get_field_index("image_sha256")
        pq.write_table(table.set_column(place, "image_sha256", pa.array(images)), part)
    lines = diagnosed(run).verdict()
    assert "position: cannot be told over all: 12 images with an answer that is an option, fewer than 20" in lines


def test_answers_that_are_no_option_tell_nothing_of_positions(tmp_path, capsys):
    run = write_choices(tmp_path / "run", images=9)
    for part in (run / "samples").glob("*.parquet"):
        table = pq.read_table(part)
        place = table.schema.get_field_index("prediction")
        pq.write_table(table.set_column(place, "prediction", pa.array(["?"] * len(table))), part)
    assert main(["diagnose", str(run), *QUICK, "--output-dir", str(tmp_path / "out")]) == 0
    out = capsys.readouterr().out
    assert "position: cannot be told, as no answer is an option" in out
    assert "letters over all" not in out
    assert not (tmp_path / "out" / "positions.png").exists()


def test_a_position_bias_is_seldom_claimed_of_a_model_without_one_and_found_in_one_with():
    """At most 5%, also where A is right twice as often: of 8 runs more than 2 with a probability of 0.006 then."""
    for right in ((0.25,) * 4, (0.4, 0.2, 0.2, 0.2)):
        assert simulate(World(40, right), 8, flips=300)["a letter too often, or too seldom"] <= 2
    assert simulate(World(40, bias=0.2), 4, flips=300)["A too often over all"] == 4
