"""Columns of `steps` beside those of `heads`, by step. Oracle: pandas on the tables as they lie on disk."""

import numpy as np
import pandas as pd
import pytest

from analyze.__main__ import main
from analyze.tables.frames import at_step, check_flows, open_heads
from analyze.tables.text_scope import TextScope
from analyze.tables.values import observed_samples, sample_values
from schemas.columns import STEPS, TOKENS
from schemas.errors import HeadflowError
from tests.support.runs import flows, sample, start, write_run
from tests.support.texts import made_up_text

LAYERS, HEADS, SAMPLES, LONGEST = 2, 3, 12, 7


def write_texts(path, *, every=1, **fields):
    """A run of texts of 1 to `LONGEST` tokens; in some the answer comes late, in some never."""
    random = np.random.default_rng(5)
    of_text = {"tables": [TOKENS, STEPS], "generate": LONGEST, "every": every, "answer_after": "</think>"}
    writer = start(path, SAMPLES, fields={"layers": LAYERS, "heads": HEADS, **of_text, **fields})
    for number in range(SAMPLES):
        taken = 1 + number % LONGEST
        grids, more = made_up_text(random, taken, LAYERS * HEADS, 1, every=every)
        own = {name: grids[name] for name in (TOKENS, "tokens.token_id", "tokens.text")}
        own[STEPS] = grids[STEPS].reshape(-1, LAYERS, HEADS, 6)
        row = sample(number, "OCR" if number < 4 else "color") | more | {"row": number}
        row |= {"sample_id": f"s{number}", "answer_step": None if number % 4 == 3 else taken // 2}
        writer.add(row, {"heads": flows(random, LAYERS, HEADS), **own})
    writer.finish()
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_texts(tmp_path_factory.mktemp("texts") / "run")


def expected(path, column, step, every=1):
    """By sample that has the step, float64 [layers, heads]."""
    steps = pd.read_parquet(path / STEPS)
    samples = pd.read_parquet(path / "samples").set_index("sample_id")
    found = {}
    for name, rows in steps.groupby("sample_id", observed=True, sort=False):
        which = {
            "first": 0, "answer": samples.loc[name, "answer_step"], "last": rows["step"].max(), "mean": None,
        }.get(step, step)  # fmt: skip
        if which is not None:
            rows = rows[rows["step"] == int(which)] if not pd.isna(which) else rows[:0]
        if len(rows):
            means = rows.groupby(["layer", "head"])[column].mean()
            found[name] = means.to_numpy(np.float64).reshape(LAYERS, HEADS)
    return found


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("step", ["answer", "first", "last", "mean", "3"])
def test_values_are_those_of_the_step(tmp_path, run, step, every):
    path = run if every == 1 else write_texts(tmp_path / "run", every=every)
    heads, names = at_step(open_heads(path)[0], ["g2v", "a2v", "g2g"], step)
    assert names == (f"g2v@{step}", "a2v", f"g2g@{step}")
    values = sample_values(heads, names, TextScope("all", False, np.empty(0)))
    own = expected(path, "g2v", step)
    assert heads.samples["sample_id"].tolist() == list(own)
    np.testing.assert_allclose(values[f"g2v@{step}"], np.stack(list(own.values())), rtol=0, atol=1e-7)
    np.testing.assert_allclose(values[f"g2g@{step}"], np.stack(list(expected(path, "g2g", step).values())), atol=1e-7)
    a2v = pd.read_parquet(path / "heads").set_index("sample_id")["a2v"]
    assert values["a2v"].ravel().tolist() == a2v[a2v.index.isin(own)].tolist()


@pytest.mark.parametrize(
    ("fields", "step", "says"),
    [
        ({}, "7", "run: no text has rows of the step 7: the longest has 7 steps"),
        ({"every": 4}, "3", "the longest has 7 steps, and rows of every 4"),
    ],
)
def test_a_step_that_no_text_has_is_refused(tmp_path, fields, step, says):
    path = write_texts(tmp_path / "run", **fields)
    with pytest.raises(HeadflowError, match=says):
        at_step(open_heads(path)[0], ["g2v"], step)


@pytest.mark.parametrize("command", ["summary", "plots", "diagnose"])
def test_commands_take_them(run, tmp_path, capsys, undrawn, command):
    flags = ["--metrics", "g2v,a2v", "--step", "answer", "--output-dir", str(tmp_path / "out")]
    assert main([command, str(run), *flags]) == 0
    said = capsys.readouterr()
    assert "3 texts have no rows of the step answer; their samples are left out" in said.err
    if command == "summary":
        table = pd.read_csv(tmp_path / "out" / "summary.csv")
        own = table[(table["group"] == "overall") & (table["flow"] == "g2v@answer")]
        np.testing.assert_allclose(own["mean"], np.mean(list(expected(run, "g2v", "answer").values())), atol=1e-6)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--metrics", "g2v", "--step", "third"], "'third' is no step: give answer, first, last, mean"),
        (["--metrics", "a2v", "--step", "last"], "it does nothing"),
        (["--metrics", "g2v", "--step", "99"], "run: no text has rows of the step 99"),
    ],
)
def test_what_cannot_be_is_said(run, capsys, flags, says):
    assert main(["summary", str(run), *flags]) == 2
    assert says in capsys.readouterr().err


def test_a_run_without_them_says_so(tmp_path, capsys):

    assert main(["summary", str(write_run(tmp_path / "run")), "--metrics", "g2v"]) == 2
    assert f"{tmp_path / 'run'} has no g2v: it has no table steps" in capsys.readouterr().err


def test_a_column_of_steps_is_none_of_heads(run):
    with pytest.raises(HeadflowError, match="run: `heads` has no column g2v: `steps` has; it has t2v"):
        check_flows(["g2v"], open_heads(run)[0].run)


def test_an_answer_that_no_text_has_is_named(tmp_path):
    path = write_answers(tmp_path / "run", tables=[TOKENS, STEPS], answer_after="zzz")
    with pytest.raises(HeadflowError, match=r"run: no text has an answer after 'zzz' \(`answer_after`\)"):
        at_step(open_heads(path)[0], ["g2v"], "answer")


def write_answers(path, **fields):
    """A run of four texts, with an answer after `</think>` in three; the first token of each is Yes."""
    texts = ["<think> No </think> Yes.", "<think> Yes", "<think> a </think> b </think> No", "Yes</think>no"]
    fields = {"tables": [TOKENS], "generate": LONGEST, "answer_after": "</think>", **fields}
    writer = start(path, len(texts), fields=fields)
    for number, text in enumerate(texts):
        grids, more = made_up_text(np.random.default_rng(number), 3, LAYERS * HEADS, 1)
        own = {name: grids[name] for name in (TOKENS, "tokens.token_id", "tokens.text")}
        if STEPS in fields["tables"]:
            own[STEPS] = grids[STEPS].reshape(-1, LAYERS, HEADS, 6)
        more |= {"text": text, "answer_step": 2 if fields["answer_after"] in text else None}
        row = sample(number, "OCR") | more | {"row": number, "prediction": "Yes"}
        writer.add(row, {"heads": flows(np.random.default_rng(number), LAYERS, HEADS), **own})
    writer.finish()
    return path


def test_answers_are_read_in_the_text(tmp_path, capsys):
    path = write_answers(tmp_path / "run")
    heads, _ = open_heads(path)
    assert heads.samples["said"].tolist() == [" Yes.", None, " b </think> No", "no"]
    assert observed_samples(heads)["says"].tolist()[:1] == [0.0]
    assert observed_samples(heads)["right"].tolist() == [True, False, False, True]  # Yes, No, Yes, No are right
    assert observed_samples(heads, first_token=True)["right"].tolist() == [True, False, True, False]
    assert main(["summary", str(path)]) == 0
    assert "1 text without '</think>', and so without an answer" in capsys.readouterr().out
    assert main(["diagnose", str(path)]) == 0
    assert "calibration: left out, as answers are read in texts" in (out := capsys.readouterr().out)
    assert "Brier" not in out
    assert "wrong answers whose first tokens were surest" in out
    assert not (path / "diagnosis" / "calibration.csv").exists()


def test_texts_that_were_given_are_no_answers(tmp_path, capsys):
    path = write_answers(tmp_path / "run", texts_sha256="0" * 64)
    heads, _ = open_heads(path)
    assert observed_samples(heads)["right"].tolist() == [True, False, True, False]
    for command in ("summary", "diagnose"):
        assert main([command, str(path)]) == 0
        said = capsys.readouterr()
        assert "its texts were given: answers are read in its first tokens" in said.err
        assert "without an answer" not in said.out
    assert "calibration: cannot be told from 2 images: it takes 20" in said.out
