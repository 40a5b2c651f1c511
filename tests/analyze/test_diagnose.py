"""Oracle: made-up runs in which failures, their difficulty and the heads that tell them were planted; and counting."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from analyze.__main__ import main
from analyze.diagnose import diagnose, worst_samples
from analyze.drawing.figures import style
from analyze.drawing.results.diagnosis import answers_figure
from analyze.drawing.results.intervals import MOST_ROWS, draw_intervals
from analyze.scores.accuracy import ALL_TOGETHER
from analyze.tables.frames import open_heads
from schemas.columns import FLOW_NAMES
from tests.support.runs import flows, put, rewrite, sample, start

pytestmark = pytest.mark.usefixtures("undrawn")

IMAGES = 120
Q2V, Q2Q = FLOW_NAMES.index("q2v"), FLOW_NAMES.index("q2q")


def write(path, *, told=0.0, says=None, difficulty=True, images=IMAGES, unread=0):
    """A run with two questions an image in two categories; every fourth image fails, yes-biased and no-biased in turn.

    Args:
        told: what head L1H2 gives the image more if it answers a question wrong that it answers Yes, and less if No.
        says: what every question is answered; None: what was planted.
        unread: how many of the failing images in OCR are answered `M` where the right answer is Yes.
        difficulty: whether the question file says that failing images are `faint`.
    """
    random = np.random.default_rng(0)
    writer = start(path, 2 * images)
    for number in range(2 * images):
        image, yes = number // 2, number % 2 == 0
        fails, bias = image % 4 == 0, "Yes" if image % 8 else "No"
        row = sample(number, "OCR" if image < images // 2 else "color") | {"row": number}
        row["image_sha256"] = f"image {image}"
        row["prediction"] = says or (bias if fails else row["answer"])
        if fails and yes and image < 4 * unread:
            row["prediction"] = "M"
        row["p_yes"] = 0.9 if row["prediction"] == "Yes" else 0.1
        row["p_no"] = 1 - row["p_yes"]
        row["margin"] = float(number - images) if row["prediction"] == "Yes" else float(images - number)
        row["difficulty"] = ("faint" if fails else "none") if difficulty else None
        values = flows(random, 2, 3)
        if fails and told:
            # Of a pair, the question answered Yes sees more in yes-biased images, less in no-biased ones
            moved = told * (1 if (bias == "Yes") == yes else -1)
            moved = min(max(moved, -float(values[1, 2, Q2V])), float(values[1, 2, Q2Q]))
            values[1, 2, Q2V] += moved
            values[1, 2, Q2Q] -= moved
        writer.add(row, {"heads": values})
    writer.finish()
    return open_heads(path)[0]


def result(heads):
    return diagnose(heads, ["q2v", "a2v"], heads.scope(None), resamples=500)


def test_states_are_counted(tmp_path):
    found = result(write(tmp_path / "run"))
    table = found.states.set_index("category")
    assert table.loc[ALL_TOGETHER, ["images", "both right", "yes-biased", "no-biased", "both wrong"]].tolist() == [
        120,
        90,
        15,
        15,
        0,
    ]
    assert table.loc[ALL_TOGETHER, "accuracy"] == pytest.approx(100 * 210 / 240)
    assert table.loc[ALL_TOGETHER, "low"] < 87.5 < table.loc[ALL_TOGETHER, "high"]
    assert table.loc[ALL_TOGETHER, "yes_bias"] == 0
    assert found.verdict()[0].startswith("answers: 87.5% of 240 right (95% interval ")
    assert found.verdict()[2].startswith("bias: in none of 2 categories does it say yes significantly too often")


def test_answers_that_are_neither_are_no_bias(tmp_path):
    """In OCR 15 images fail: 7 yes-biased, 8 no-biased. ("M", "No") is no answer No to both questions."""
    found = result(write(tmp_path / "run", unread=12))
    ocr = found.states.set_index("category").loc["OCR"]
    assert ocr[["both right", "yes-biased", "no-biased", "both wrong", "neither"]].tolist() == [45, 1, 2, 0, 12]
    assert (ocr["questions"], ocr["unread"], ocr["images"]) == (120, 12, 60)
    # Of 108 answers that are yes or no, 7 say yes to No questions, 2 no to Yes questions
    assert ocr["yes_bias"] == pytest.approx(100 * (7 - 2) / 108)
    assert "answers: 12 of 240 are neither yes nor no: they count as wrong, and not towards a bias" in found.verdict()


def test_a_bias_is_tested_where_images_are_enough_and_over_all_categories(tmp_path):
    few = result(write(tmp_path / "few", says="No", images=38)).verdict()
    assert any(line.startswith("bias: cannot be told in 2 of 2 categories: ") for line in few)  # 19 images each
    assert not any("significantly" in line for line in few)
    some = result(write(tmp_path / "some", says="No", images=40))
    assert (
        "bias: says yes too seldom in color (-50 points), OCR (-50 points) (false discovery rate 5%)" in some.verdict()
    )
    p = some.states["bias_p"]
    assert p[:2].tolist() == pytest.approx([max(p[:2])] * 2)  # of equals, each times two over two


def test_of_many_categories_the_largest_are_drawn(tmp_path):
    """One category an image: a picture has room for 60, and says so; accuracy over all has its interval."""
    writer = start(tmp_path / "run", 400)
    for number in range(400):
        row = sample(number, f"category {number // 2}") | {"row": number}
        row["prediction"] = "No" if number % 3 else row["answer"]
        writer.add(row, {"heads": flows(np.random.default_rng(number), 2, 3)})
    writer.finish()
    found = result(open_heads(tmp_path / "run")[0])
    assert len(found.states) == 201
    whole = found.states.iloc[-1]
    assert whole["low"] < whole["accuracy"] < whole["high"]
    with style():
        figure = answers_figure(found.states, found.calibration, "Yes", ("run",))
    assert figure.get_size_inches()[1] < 25
    assert len(figure.axes[0].get_yticks()) == MOST_ROWS
    assert "59 of 200 categories are drawn, those with the most questions" in figure.get_suptitle()


def test_questions_without_a_yes_or_no_are_counted(tmp_path):
    path = write(tmp_path / "run").run.path
    rewrite(path, "samples", lambda content: put(content, "answer", slice(0, 3), ["a cat"] * 3))
    verdict = result(open_heads(path)[0]).verdict()
    assert "left out: 3 more questions, with a right answer that is neither yes nor no" in verdict


def test_planted_difficulty_is_found(tmp_path):
    found = result(write(tmp_path / "run"))
    assert found.verdict()[1] == "difficulty: harder than `none`: faint (-50 points)"
    faint = found.difficulty.set_index("difficulty").loc["faint"]
    assert (faint["accuracy"], faint["difference"], faint["difference_high"]) == pytest.approx((50, -50, -50))
    assert result(write(tmp_path / "without", difficulty=False)).difficulty.empty


def test_a_head_that_tells_failures_is_found_and_noise_is_not(tmp_path):
    told = result(write(tmp_path / "told", told=0.6))
    heads = told.contrasts[told.contrasts["adjusted_p"] <= 0.05]
    assert heads[["flow", "layer", "head"]].values.tolist() == [["q2v", 1, 2]]
    assert heads["contrast"].item() > 0.9
    assert "attention, q2v: 1 head tells" in told.verdict()[-1]
    noise = result(write(tmp_path / "noise"))
    assert noise.verdict()[-1].startswith("attention does not tell failures from successes here")


def test_a_model_that_always_says_yes(tmp_path):
    found = result(write(tmp_path / "run", says="Yes"))
    table = found.states.set_index("category")
    assert table["yes-biased"].tolist() == [60, 60, 120]
    assert table["yes_bias"].tolist() == [50, 50, 50]
    assert set(found.why) == {"q2v", "a2v"}
    assert "cannot be told: 120 images are yes-biased and 0 no-biased" in found.verdict()[-1]
    assert found.calibration.ece == pytest.approx(0.4)


def test_few_or_no_failures_are_said_to_tell_nothing(tmp_path):
    found = result(write(tmp_path / "few", images=5))
    assert "calibration: cannot be told from 5 images: it takes 20" in found.verdict()
    assert not found.states.drop(columns=["low", "high", "bias_low", "bias_high", "bias_p"]).isna().any(axis=None)
    assert all("nan" not in line for line in found.verdict())
    assert "cannot be told" in found.verdict()[-1]


def test_the_surest_wrong_answers_come_first_with_what_stands_out():
    random = np.random.default_rng(0)
    samples = pd.DataFrame(
        {
            "sample_id": range(40), "category": "OCR", "difficulty": None, "image": "x", "question": "?",
            "answer": "Yes", "prediction": "Yes", "expected": 0, "right": True, "lead": 2.0,
        }
    )  # fmt: skip
    samples.loc[[3, 7], ["prediction", "right"]] = ["No", False]
    samples.loc[[3, 7], "lead"] = [-1.5, -2.5]
    masses = pd.DataFrame({"q2v": random.normal(0.5, 0.01, 40), "a2v": random.normal(0.5, 0.01, 40)})
    masses.loc[7, "q2v"] = 0.4
    found = worst_samples(samples, masses)
    assert found["sample_id"].tolist() == [7, 3]
    assert found["lead"].tolist() == [-2.5, -1.5]
    assert found["stands_out"][0].startswith("q2v -")


def test_the_command(tmp_path, capsys):
    write(tmp_path / "run", told=0.6)
    assert main(["diagnose", str(tmp_path / "run"), "--dpi", "40", "--resamples", "200"]) == 0
    out = capsys.readouterr().out
    assert "difficulty: harder than `none`: faint (-50 points)" in out
    assert "nan" not in out.lower().replace("finance", "")
    names = {path.name for path in (tmp_path / "run" / "diagnosis").iterdir()}
    assert names == {
        "states.csv", "contrasts.csv", "worst.csv", "difficulty.csv", "calibration.csv", "answers.png",
        "contrast_q2v.png", "contrast_a2v.png",
    }  # fmt: skip
    assert main(["diagnose", str(tmp_path / "run"), "--metrics", "v2t"]) == 2
    assert "both questions on an image have the same values" in capsys.readouterr().err


def test_a_run_without_right_answers_is_refused(tmp_path, capsys):
    writer = start(tmp_path / "run", 1)
    writer.add(sample(0, "OCR") | {"answer": "a cat"}, {"heads": flows(np.random.default_rng(0), 2, 3)})
    writer.finish()
    assert main(["diagnose", str(tmp_path / "run")]) == 2
    assert "no observed sample has a right answer that is yes or no" in capsys.readouterr().err


def test_difficulty_is_compared_within_categories(tmp_path):
    """`near` is as hard as `none` in its own category, which is harder than the other one."""
    random, writer = np.random.default_rng(0), start(tmp_path / "run", 320)
    for number in range(320):
        hard = number >= 160
        row = sample(number, "position" if hard else "color") | {"row": number, "image_sha256": f"image {number // 2}"}
        row["difficulty"] = "near" if hard and number // 2 % 2 else "none"
        row["prediction"] = row["answer"] if not hard or number // 4 % 2 else {"Yes": "No", "No": "Yes"}[row["answer"]]
        writer.add(row, {"heads": flows(random, 2, 3)})
    writer.finish()
    found = result(open_heads(tmp_path / "run")[0])
    near = found.difficulty.set_index("difficulty").loc["near"]
    assert near["accuracy"] == 50
    assert near["difference"] == pytest.approx(0)
    assert "difficulty: none is significantly harder than `none`" in found.verdict()


def test_one_question_an_image_has_no_pairs(tmp_path, capsys):
    random, writer = np.random.default_rng(0), start(tmp_path / "run", 40)
    for number in range(40):
        row = sample(2 * number, "OCR") | {"row": number, "image_sha256": f"image {number}"}
        writer.add(row, {"heads": flows(random, 2, 3)})
    writer.finish()
    assert main(["diagnose", str(tmp_path / "run"), "--dpi", "50", "--resamples", "200"]) == 0
    out = capsys.readouterr().out
    assert "answers: 100.0% of 40 right" in out
    assert "attention, q2v: cannot be told: 0 images are yes-biased and 0 no-biased" in out


def test_marks_at_the_ends_of_a_scale_are_whole():
    ends = pd.Series([0.0, 100.0])
    axes = draw_intervals(Figure().subplots(), ends, ends, ends.where(ends > 0), marker="o", ink="k")
    axes.set_xlim(0, 100)
    assert axes.lines
    assert not any(line.get_clip_on() for line in axes.lines)
