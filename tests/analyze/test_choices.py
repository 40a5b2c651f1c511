"""Oracle: pandas on the rows of made-up runs of questions with options of their own, which commands state in leads."""

import json
import re
import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from analyze.__main__ import main
from analyze.compare.comparison import compare
from analyze.compare.pairing import pair_samples
from analyze.knockouts.effects import contribution_blocks, means_of
from analyze.tables.frames import open_heads
from analyze.tables.values import observed_samples
from schemas.tasks import CHOICES
from tests.support.asked import knock_out_choices, write_choices
from tests.support.runs import put, rewrite

pytestmark = pytest.mark.usefixtures("undrawn")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with contributions; the right answer of its first question is no option."""
    path = write_choices(tmp_path_factory.mktemp("choices") / "run", images=24, tables=("contributions", "layers"))
    for name, value in (("answer", "Z"), ("lead", None)):
        rewrite(path, "samples", lambda table, name=name, value=value: put(table, name, 0, value))
    logits = np.sort(pd.read_parquet(path / "samples")["option_logits"][0])
    rest = pd.read_parquet(path / "samples").filter(regex="^d_(?!rest)").iloc[0].sum()
    rewrite(path, "samples", lambda table: put(table, "d_rest", 0, float(logits[-1] - logits[-2] - rest)))
    assert main(["validate", str(path)]) == 0
    return path


def test_contributions_count_as_they_are_written(run):
    """Towards the right option, whichever it is; a sample whose right answer is no option does not count."""
    rows, samples = (pd.read_parquet(run / table).astype({"sample_id": str}) for table in ("contributions", "samples"))
    rows = rows[rows["sample_id"] != samples["sample_id"][0]]
    heads, _ = open_heads(run)
    found = means_of(contribution_blocks(heads, ["d2v", "d2q"]), observed_samples(heads))
    for name, means in found.items():
        assert means.mean == pytest.approx(rows.groupby(["layer", "head"])[name].mean().to_numpy(), abs=1e-6)


def test_pictures_and_the_page_say_lead(run, tmp_path, capsys):
    assert main(["plots", str(run), "--metrics", "d2v", "--output-dir", str(tmp_path)]) == 0
    assert (tmp_path / "mme_head_map_d2v.png").exists()
    assert main(["report", str(run), "--images", "0", "--output-dir", str(tmp_path)]) == 0
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert '"numbers":{"lead":"lead_of_answer","p_options":"p_options"}' in page
    shown = re.sub(r"<script.*?</script>|<style.*?</style>", "", page, flags=re.DOTALL)
    assert "adds straight to the lead" in shown
    assert not re.search(r"\bmargin\b|\byes\b", shown, re.IGNORECASE)


def permuted(path, other, shift=1, texts=str):
    """A copy of a run whose options are those of another order, of the same answers, some in other words."""
    shutil.copytree(path, other)

    def change(table):
        rows = table.to_pylist()
        for row in rows:
            number = len(row["options"])
            place = [(at + shift) % number for at in range(number)]  # of the old options, by the place of the new
            for name in ("options", "option_logits"):
                row[name] = [row[name][old] for old in place]
            row["options"] = list(map(texts, row["options"]))
            for name in ("answer", "prediction"):
                row[name] = "ABCD"[place.index("ABCD".index(row[name]))] if row[name] in "ABCD" else row[name]
        return pa.Table.from_pylist(rows, table.schema)

    rewrite(other, "samples", change)
    return other


def test_options_in_another_order_are_compared_by_their_texts(tmp_path):
    """A run whose letters stand for other options is right where it was; by letters no answer would be the same."""
    run = write_choices(tmp_path / "run", images=24)
    other = permuted(run, tmp_path / "other")
    assert main(["validate", str(other)]) == 0
    found = compare(*(open_heads(path)[0] for path in (run, other)), ["a2v"], resamples=100)
    assert found.pairs.other_answers == 0
    assert len(found.pairs.table) == 48
    assert found.answers["difference"].tolist() == pytest.approx([0] * len(found.answers))
    (line, *_) = found.verdict()
    assert line == (
        "options: 48 paired samples offer them in another order in B; right answers are compared by their texts"
    )


def test_leads_are_compared_by_image(tmp_path):
    """B leads by more on half of the images of a category; one question has no right answer there."""
    run = write_choices(tmp_path / "run", images=24)
    other = shutil.copytree(run, tmp_path / "other")
    before = pd.read_parquet(run / "samples")
    more = ((before["category"] == "color") & (before["row"] % 4 < 2)) * 0.5
    for row, lead in enumerate(before["lead"] + more):
        rewrite(other, "samples", lambda table, row=row, lead=lead: put(table, "lead", row, lead if row else None))
    found = compare(*(open_heads(path)[0] for path in (run, other)), ["a2v"], resamples=100).answers
    leads = found[found["measure"] == "lead"].set_index("category")
    known = before["row"] > 0
    assert leads.loc["color", ["a", "difference"]].tolist() == pytest.approx(
        [each[known & (before["category"] == "color")].mean() for each in (before["lead"], more)], abs=1e-6
    )
    assert leads.loc["all", "difference"] == pytest.approx(more[known].mean(), abs=1e-6)
    assert leads["questions"].tolist() == [23, 24, 47]
    for name, moved in (("color", True), ("shape", False), ("all", True)):
        assert (leads.loc[name, "low"] > 0) == moved
        assert (leads.loc[name, "high"] > leads.loc[name, "difference"]) == moved


def test_other_options_are_said_and_other_right_answers_do_not_count(tmp_path):
    run = write_choices(tmp_path / "run", images=24)
    other = permuted(run, tmp_path / "other", shift=0, texts=lambda text: text.replace("3", "9"))
    found = compare(*(open_heads(path)[0] for path in (run, other)), ["a2v"], resamples=100)
    assert found.verdict()[0].startswith("options: 48 paired samples offer others in B")
    assert found.pairs.other_answers == (pd.read_parquet(run / "samples")["answer"] == "D").sum() > 0


def test_a_question_in_several_orders_is_paired_with_the_same_order(tmp_path):
    """As in circular evaluation: both runs ask each question in two orders of its options, in either sequence."""
    run = write_choices(tmp_path / "run", images=24)
    parts = [open_heads(permuted(run, tmp_path / str(shift), shift))[0] for shift in (0, 1)]
    one, other = (
        SimpleNamespace(
            samples=pd.concat([each.samples for each in some], ignore_index=True), observed=pd.Series([True] * 96),
            task=parts[0].task, run=parts[0].run,
        )
        for some in (parts, parts[::-1])
    )  # fmt: skip
    table = pair_samples(one, other).table
    assert table["b"].tolist() == [*range(48, 96), *range(48)]
    assert (table["differ"] == "").all()
    assert not table["other_answer"].any()


def test_an_image_run_in_another_order_does_not_count(tmp_path, capsys):
    run = write_choices(tmp_path / "run", images=24)
    blank = permuted(write_choices(tmp_path / "same", images=24, fields={"images": "blank"}), tmp_path / "blank")
    assert main(["image", str(run), "--without", str(blank), "--output-dir", str(tmp_path / "out")]) == 2
    assert "no paired sample has a right answer that is one of the options" in capsys.readouterr().err


def test_prune_reads_the_options_of_each_question(run, tmp_path, capsys):
    """Both steps; the model says letters or texts of options; of accuracy a point may be lost where nothing is said."""
    folder, quick = tmp_path / "prune", ["--random", "10", "--resamples", "100", "--dpi", "40"]
    asked = ["prune", str(run), *quick, "--output-dir", str(folder)]
    heads = {f"L{layer}H{head}": {"heads": [[layer, head]]} for layer in range(2) for head in range(3)}
    knock_out_choices(run, "single", heads)
    assert main([*asked, "--shares", "0.2,0.5"]) == 0
    assert "contribution of the image to the lead" in " ".join(capsys.readouterr().out.split())
    tests = (folder / "test_samples.txt").read_text().splitlines()
    knock_out_choices(run, "prune", json.loads((folder / "sets.json").read_text()), kind="remove", ids=tests)
    assert main(asked) == 0
    out = capsys.readouterr().out
    assert re.search(
        r"no set lost so little as 1 point here|no more than the 1 that are allowed|and 1 are allowed", out
    )
    assert not re.search(r"\bmargin|\byes\b|MME", out)
    samples = pd.read_parquet(run / "samples").set_index("sample_id").loc[tests]
    rows = pd.read_parquet(run / "jobs" / "prune" / "knockouts").astype({"name": str, "sample_id": str})

    def right(said):
        pairs = zip(said, samples["options"], samples["answer"], strict=True)
        return np.array([CHOICES.read(text, options) == "ABCD".index(answer) for text, options, answer in pairs])

    assert rows["prediction"].astype(str).str.startswith("option").any()
    untouched = right(samples["prediction"])
    for row in pd.read_csv(folder / "sets.csv").to_dict("records"):
        own = rows[rows["name"] == row["set"]].set_index("sample_id").loc[tests]
        assert row["effect"] == pytest.approx((own["lead_untouched"] - own["lead"]).mean(), abs=1e-5)
        assert row["accuracy"] == pytest.approx(100 * right(own["prediction"].astype(str)).mean())
        assert row["loss"] == pytest.approx(100 * (untouched.mean() - right(own["prediction"].astype(str)).mean()))
        assert row["loss_low"] <= row["loss"] <= row["loss_high"]
    assert main(["report", str(run), "--images", "0", "--output-dir", str(tmp_path)]) == 0
    assert main(["plots", str(run), "--effects", "single", "--metrics", "a2v", "--output-dir", str(tmp_path)]) == 0
