"""Oracles: made-up wordings whose accuracies and shifts were planted, counting, and a run of each wording by itself."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analyze import open_run
from analyze.__main__ import main
from analyze.compare.pairing import differing_settings
from analyze.tables.frames import open_heads
from analyze.wordings import compare_prompts
from schemas.columns import FLOW_NAMES
from schemas.errors import HeadflowError
from schemas.validation.run import validate
from tests.support.runs import edit_manifest, flows, sample, start
from tests.support.writing import write_writing

pytestmark = pytest.mark.usefixtures("unsaved")

IMAGES = 30
WORDINGS = {
    "short": {"template": "{question}\nShort.", "conv_mode": None, "system": None},
    "bare": {"template": "{question}", "conv_mode": "plain", "system": None},
    "long": {"template": "Look: {question}", "conv_mode": None, "system": "You look."},
}
A2V, A2Q = FLOW_NAMES.index("a2v"), FLOW_NAMES.index("a2q")
SHIFT = 0.1


def write(path, right=(0.9, 0.6, 0.6), *, images=IMAGES, skip=(), answers=True, says=None, alone=None, category=None):
    """A run in three wordings; the head L1H2 looks at the image more in `long`.

    Args:
        right: share of right answers in each wording.
        skip: (number, wording) that are skipped.
        answers: whether the question file has them.
        says: what wrong answers say; None: the other one of yes and no.
        alone: the only wording that the run has, as a run without wordings; None: all.
        category: of all samples; None: two of MME's.
    """
    settings = {} if alone else {"prompts": WORDINGS, "conv_mode": "vicuna_v1"}
    names = [alone] if alone else list(WORDINGS)
    writer = start(path, 2 * images * len(names), fields=settings)
    generators = {name: np.random.default_rng([number, 7]) for number, name in enumerate(WORDINGS)}
    values_of, shares = np.random.default_rng(5), dict(zip(WORDINGS, right, strict=True))
    for number in range(2 * images):
        row = sample(number, category or ("OCR" if number < images else "color")) | {"row": number}
        row["image_sha256"] = f"image {number // 2}"
        own = flows(values_of, 2, 3)
        for name, random in generators.items():
            is_right = random.random() < shares[name]
            noise = random.uniform(0, 0.02)
            if name not in names:
                continue
            wrong = says or {"Yes": "No", "No": "Yes"}[row["answer"]]
            values = own.copy()
            moved = min(SHIFT if name == "long" else noise, values[1, 2, A2Q])
            values[1, 2, A2V] += moved
            values[1, 2, A2Q] -= moved
            mine = row | {
                "sample_id": row["sample_id"] if alone else f"{row['sample_id']}@{name}",
                "prompt": None if alone else name,
                "prediction": row["answer"] if is_right else wrong,
                "margin": float((1 if row["answer"] == "Yes" else -1) * (2 if is_right else -1)),
                "answer": row["answer"] if answers else None,
            }
            if (number, name) in skip:
                writer.skip(mine, "image_missing", "gone")
            else:
                writer.add(mine, {"heads": values})
    writer.finish()
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write(tmp_path_factory.mktemp("wordings") / "run")


def result(path, **options):
    heads, _ = open_heads(path, mixed=True)
    return compare_prompts(heads, ["a2v"], **({"resamples": 1000} | options))


@pytest.fixture(scope="module")
def found(run):
    return result(run)


def test_the_best_wording_is_recommended(found):
    lines = found.verdict()
    assert lines[0] == f"3 wordings of {2 * IMAGES} questions on {IMAGES} images"
    assert lines[1].startswith("right: short ")
    assert lines[2].startswith("recommendation: short, significantly better than each of the others (+")
    assert lines[2].endswith("highest in 100% of the resamples of images")
    assert "confirm it on others" in lines[3]


def test_the_numbers_are_those_of_counting(run, found):
    samples = pd.read_parquet(run / "samples")
    samples["right"] = samples["answer"] == samples["prediction"]
    y = np.where(samples["answer"] == "Yes", 1, -1)
    samples["margin"] *= y
    samples["bias"] = (samples["prediction"] == "Yes").astype(int) - (samples["answer"] == "Yes")
    counted = samples.groupby("prompt")[["right", "margin", "bias"]].mean().loc[list(WORDINGS)]
    assert found.whole["wording"].tolist() == list(WORDINGS)
    assert found.whole["accuracy"].to_numpy() == pytest.approx(100 * counted["right"].to_numpy())
    assert found.whole["lead"].to_numpy() == pytest.approx(counted["margin"].to_numpy())
    assert found.whole["yes_bias"].to_numpy() == pytest.approx(100 * counted["bias"].to_numpy())
    assert (found.whole[["unread", "neither"]] == 0).all(axis=None)
    assert (found.whole[["both right", "yes-biased", "no-biased", "both wrong"]].sum(axis=1) == IMAGES).all()
    of_category = samples.groupby(["prompt", "category"], observed=True)["right"].mean()
    for row in found.categories.dropna(subset="accuracy").to_dict("records"):
        assert row["accuracy"] == pytest.approx(100 * of_category[row["wording"], row["category"]])
    images = samples.groupby(["prompt", "image_sha256"])["right"].mean().unstack(0)
    for pair in found.pairs.to_dict("records"):
        difference = images[pair["better"]] - images[pair["worse"]]
        assert pair["difference"] == pytest.approx(100 * difference.mean())
        test = stats.ttest_1samp(difference, 0)
        low, high = (100 * bound for bound in test.confidence_interval())
        assert (pair["low"], pair["high"]) == pytest.approx((low, high), abs=1.5)
        assert pair["adjusted_p"] >= test.pvalue * 0.5


def test_the_score_is_that_of_the_wording_alone(tmp_path, run, found):
    for name in WORDINGS:
        alone = write(tmp_path / name, alone=name)
        assert main(["summary", str(alone), "--metrics", "a2v"]) == 0
        expected = pd.read_csv(alone / "scores.csv").set_index("category")["score"]
        own = found.categories[found.categories["wording"] == name].set_index("category")["score"]
        assert own[expected.index].to_numpy() == pytest.approx(expected.to_numpy())


def test_the_head_that_was_shifted_is_found(found):
    rows = found.heads.set_index(["wording", "layer", "head"])
    assert bool(rows.loc[("long", 1, 2), "significant"])
    assert rows.loc[("long", 1, 2), "difference"] > 0.03
    assert found.heads.loc[found.heads["significant"], ["wording", "layer", "head"]].values.tolist() == [["long", 1, 2]]
    assert "heads, a2v, from short to bare: no head shifts significantly" in found.verdict()
    assert any(
        line.startswith("heads, a2v, from short to long: 1 of 6 heads shift, L1H2 (+") for line in found.verdict()
    )


def test_another_baseline(run):
    found = result(run, baseline="long")
    assert set(found.heads["wording"]) == {"short", "bare"}
    assert (found.heads.loc[found.heads["significant"], "difference"] < 0).all()
    with pytest.raises(HeadflowError, match="has no wording x: it has short, bare, long"):
        result(run, baseline="x")


def test_equals_cannot_be_told_apart(tmp_path):
    found = result(write(tmp_path / "run", (0.7, 0.7, 0.7)))
    assert found.verdict()[2].startswith("recommendation: cannot tell which is best: ")
    assert 0.99 < found.best["best_in"].sum() < 1.01
    assert (found.best["best_in"] < 0.95).all()


@pytest.mark.parametrize("right", [(1, 1, 1), (0, 0, 0)])
def test_all_right_and_all_wrong(tmp_path, right, capsys):
    path = write(tmp_path / "run", right)
    found = result(path)
    assert "cannot tell which is best" in found.verdict()[2]
    assert found.best["best_in"].to_numpy() == pytest.approx(1 / 3)
    assert found.pairs[["low", "high"]].isna().all(axis=None)
    assert (found.pairs["note"] == "the same number of answers is right on each image").all()
    assert main(["prompts", str(path), "--resamples", "200", "--dpi", "50"]) == 0
    assert "nan" not in capsys.readouterr().out.lower()


def test_few_images_cannot_tell(tmp_path, capsys):
    path = write(tmp_path / "run", (1, 0, 0), images=6)
    assert "cannot tell: 6 images, fewer than 20" in result(path).verdict()[2]
    assert main(["prompts", str(path), "--resamples", "200", "--dpi", "50"]) == 0
    assert "nan" not in capsys.readouterr().out.lower()


def test_answers_that_are_neither(tmp_path):
    found = result(write(tmp_path / "run", says="maybe"))
    wrong = (1 - found.whole["accuracy"] / 100) * found.whole["questions"]
    assert found.whole["unread"].to_numpy() == pytest.approx(wrong.to_numpy())
    assert (found.whole["yes_bias"] == 0).all()  # each answer that is yes or no is right
    said = f"answers that are neither yes nor no: {found.whole['unread'][0]} of {2 * IMAGES} with short, "
    assert said in found.verdict()[4]
    assert not any(line.startswith("bias") for line in found.verdict())
    always = result(write(tmp_path / "always", (0.5, 0.9, 0.9), says="No"))
    assert [line.partition(" (")[0] for line in always.verdict() if line.startswith("bias")] == [
        "bias: says yes too seldom with short", "bias: cannot be told with bare, long",
    ]  # fmt: skip


def test_questions_that_one_wording_lacks_are_left_out(tmp_path):
    skip = [(0, "short"), (7, "bare"), (7, "long")]
    found = result(write(tmp_path / "run", skip=skip))
    assert found.questions == 2 * IMAGES - 2
    assert found.left_out == 2
    assert found.verdict()[0].endswith("; 2 more were not observed in all of them")
    assert (found.whole["questions"] == 2 * IMAGES - 2).all()


def test_no_question_in_common(tmp_path):
    skip = [(number, name) for number in range(4) for name in WORDINGS if (name == "short") == (number < 2)]
    with pytest.raises(HeadflowError, match="has no question that was observed in all of its 3 wordings"):
        result(write(tmp_path / "run", images=2, skip=skip))


def test_without_answers_heads_are_compared(tmp_path, capsys):
    path = write(tmp_path / "run", answers=False)
    found = result(path)
    assert found.verdict()[1] == ("recommendation: cannot be told, as no question has a right answer that is yes or no")
    assert found.heads["significant"].sum() == 1
    assert main(["prompts", str(path), "--resamples", "200", "--dpi", "50", "--metrics", "a2v"]) == 0
    assert sorted(file.name for file in (path / "prompts").iterdir()) == ["heads.csv", "shifts_a2v.png"]


def test_a_category_called_all(tmp_path):
    found = result(write(tmp_path / "run", category="all"))
    assert len(found.whole) == 3
    assert found.categories["accuracy"].to_numpy() == pytest.approx(found.whole["accuracy"].to_numpy())


def test_the_command(run, tmp_path, capsys):
    assert main(["prompts", str(run), "--output-dir", str(tmp_path), "--dpi", "50", "--resamples", "500"]) == 0
    out = capsys.readouterr().out
    assert "recommendation: short" in out
    assert "500 resamples of images, seed 0" in out
    tables = {"best.csv", "categories.csv", "heads.csv", "pairs.csv", "wordings.csv"}
    assert {file.name for file in tmp_path.iterdir()} == tables | {"wordings.png", "shifts_a2v.png", "shifts_q2v.png"}
    heads = pd.read_csv(tmp_path / "heads.csv")
    assert len(heads) == 2 * 2 * 6


@pytest.mark.parametrize("texts", [False, True])
def test_what_lead_is_of_is_said_where_texts_are_answers(tmp_path, run, capsys, texts):
    path = write_writing(tmp_path / "run", wordings=True) if texts else run
    assert main(["prompts", str(path), "--output-dir", str(tmp_path / "out"), "--resamples", "100"]) == 0
    said = "accuracy is that of the answers in the texts, lead that of the first token"
    assert (said in capsys.readouterr().out) == texts


def test_a_run_of_one_wording(made_up, capsys):
    assert main(["prompts", str(made_up)]) == 2
    assert "asks each question in one wording: there is nothing to compare" in capsys.readouterr().err


COMMANDS = (["summary"], ["plots", "--dpi", "50"], ["diagnose", "--dpi", "50"], ["prune"], ["verify"], ["export-pt"])


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_every_other_command_takes_one_wording(run, capsys, words):
    assert main([words[0], str(run), *words[1:]]) == 2
    assert "asks in 3 wordings: choose one of short, bare, long; see --prompt" in capsys.readouterr().err
    assert main([words[0], str(run), *words[1:], "--prompt", "x"]) == 2
    assert "has no wording 'x': it has short, bare, long; see --prompt" in capsys.readouterr().err


def test_a_wording_is_as_a_run_of_its_own(tmp_path, run):
    alone = write(tmp_path / "alone", alone="bare")
    assert main(["summary", str(run), "--prompt", "bare", "--metrics", ",".join(FLOW_NAMES)]) == 0
    assert main(["summary", str(alone), "--metrics", ",".join(FLOW_NAMES)]) == 0
    for name in ("summary.csv", "scores.csv"):
        assert (run / "prompt_bare" / name).read_text() == (alone / name).read_text()
    for each, flags in ((run, ["--prompt", "bare"]), (alone, [])):
        assert main(["diagnose", str(each), *flags, "--dpi", "50", "--resamples", "300"]) == 0
    contrasts = [pd.read_csv(folder / "diagnosis/contrasts.csv") for folder in (run / "prompt_bare", alone)]
    assert contrasts[0].equals(contrasts[1])


def test_a_wording_compared_with_a_run(tmp_path, run, capsys):
    alone = write(tmp_path / "alone", alone="bare")
    assert main(["compare", str(alone), str(run), "--prompt", "bare", "--dpi", "50", "--resamples", "300"]) == 0
    out = capsys.readouterr().out
    assert "answers: no difference: the same number of answers is right on each image" in out
    assert len([*run.glob("prompt_bare/compared_with_alone-*/answers.csv")]) == 1
    assert main(["compare", str(alone), str(run)]) == 2
    assert "choose one of short, bare, long" in capsys.readouterr().err
    assert main(["compare", str(alone), str(alone), "--prompt", "bare"]) == 2
    assert ": each question is asked in one wording; see --prompt" in capsys.readouterr().err


def test_the_settings_of_a_wording(run, made_up):
    one, _ = open_heads(run, "short")
    assert one.manifest.prompt_suffix == "\nShort."
    assert one.manifest.conv_mode == "vicuna_v1"
    other, _ = open_heads(run, "bare")
    assert (other.manifest.prompt_suffix, other.manifest.conv_mode) == ("", "plain")
    assert open_heads(run, "long")[0].manifest.prompt_suffix is None
    differing = differing_settings(one, other).set_index("setting")
    assert differing.loc["conv_mode"].tolist() == ["vicuna_v1", "plain"]


def test_subsets_of_wordings(tmp_path, run, capsys):
    assert main(["subset", str(run), str(tmp_path / "one"), "--prompt", "long", "--categories", "OCR"]) == 0
    assert list(validate(tmp_path / "one")) == []
    assert set(pd.read_parquet(tmp_path / "one/samples")["prompt"]) == {"long"}
    assert main(["summary", str(tmp_path / "one")]) == 0  # one is there, so that none need be chosen
    assert main(["subset", str(run), str(tmp_path / "all"), "--categories", "OCR"]) == 0
    assert main(["prompts", str(tmp_path / "all"), "--dpi", "50", "--resamples", "200"]) == 0
    assert main(["subset", str(run), str(tmp_path / "rest"), "--categories", "color"]) == 0
    assert main(["merge", str(tmp_path / "all"), str(tmp_path / "rest"), str(tmp_path / "merged")]) == 0
    assert list(validate(tmp_path / "merged")) == []
    assert main(["validate", str(run)]) == 0


def test_a_wording_without_an_observed_sample(tmp_path):
    skip = [(number, "bare") for number in range(8)]
    path = write(tmp_path / "run", images=4, skip=skip)
    with pytest.raises(HeadflowError, match="no sample was observed in the wording 'bare'"):
        open_heads(path, "bare")
    assert open_heads(path, "short")[0].observed.all()


def test_a_run_of_one_named_wording_is_compared_as_it_is(tmp_path, run):
    """`--prompts` with one wording names it in the manifest, and not in the samples."""
    alone = write(tmp_path / "alone", alone="bare")
    edit_manifest(alone, prompts={"bare": WORDINGS["bare"]})
    assert main(["compare", str(alone), str(run), "--prompt", "bare", "--dpi", "50", "--resamples", "300"]) == 0


def test_a_manifest_without_the_wordings_of_the_samples(tmp_path, capsys):
    path = write(tmp_path / "run", images=4)
    edit_manifest(path, prompts={})
    assert main(["summary", str(path), "--prompt", "bare"]) == 2
    assert "its manifest has no wording 'bare'; run validate" in capsys.readouterr().err
    edit_manifest(path, prompts={"bare": 1})
    assert main(["summary", str(path), "--prompt", "bare"]) == 2
    assert "the wording 'bare' of prompts is 1, not an object with a `template`" in capsys.readouterr().err


def test_an_opened_wording_is_compared_whichever_run_comes_first(tmp_path):
    single, several = write(tmp_path / "single", alone="short"), write(tmp_path / "several")
    flags = ["--prompt", "bare", "--resamples", "200", "--output-dir", str(tmp_path / "out")]
    assert main(["compare", str(single), str(several), *flags]) == 0
    found = open_run(single).compare(open_run(several, prompt="bare"), resamples=200)
    assert found.tables
    for name, table in found.tables.items():
        assert (tmp_path / "out" / name).read_text() == table.to_csv(index=False)
    with pytest.raises(HeadflowError, match="opened in the wordings long, bare: open them in the same one"):
        open_run(several, prompt="long").compare(open_run(several, prompt="bare"))
