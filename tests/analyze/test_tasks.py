"""Oracle: made-up runs of other tasks than MME, whose commands must say nothing of MME; and counting."""

import re

import pandas as pd
import pytest

from analyze.__main__ import main
from tests.support.asked import write_pope

pytestmark = pytest.mark.usefixtures("undrawn")
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
    assert table["difference"].notna().all()
