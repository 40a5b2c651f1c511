"""Oracle: the arithmetic that the scorers of other tools publish, written anew, on the files that are written for them.

Scores are compared with those of `summary`. What a tool reads in another way is counted from texts written by hand.
"""

import json
import shutil
from collections import defaultdict

import numpy as np
import pandas as pd
import pytest

from analyze.__main__ import main
from analyze.commands.answers.answers import TOOLS
from analyze.scorers import reading
from analyze.scorers.forms import FORMS
from extract.questions.question_set import read_questions
from schemas.columns import STEP_MAPS, STEPS, TOKENS
from tests.analyze.test_groups import answering, hallusion_rows, of_set, rotated, summary
from tests.support.asked import write_answers, write_choices
from tests.support.question_files import write_questions
from tests.support.runs import put, rewrite, write_run

pytestmark = pytest.mark.usefixtures("undrawn")


def answers(run, tool, folder, *more):
    """What the command writes: the folder."""
    assert main(["answers", str(run), "--as", tool, "--output-dir", str(folder), *more]) == 0
    return folder


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def f1_of(said, right):
    """Precision, recall and F1 of yes, from lists of `yes` and `no`, in per cent."""
    both = sum(one == other == "yes" for one, other in zip(said, right, strict=True))
    precision, recall = both / said.count("yes"), both / right.count("yes")
    return 100 * precision, 100 * recall, 200 * precision * recall / (precision + recall)


@pytest.fixture(scope="module")
def mme(tmp_path_factory):
    """A run on questions of two of MME's categories, whose answers are sentences, and a skipped image."""
    folder, texts = tmp_path_factory.mktemp("mme"), {"Yes": "yes, it\tis.", "No": " No\nit is not"}
    rows = [
        {"question_id": f"{category}/{number // 2}", "question": f"Is it\t{number}?", "category": category}
        | {"image": f"{category}/{number // 2}.png" if number // 2 != 3 else "", "answer": ("Yes", "No")[number % 2]}
        for category in ("existence", "count")
        for number in range(40)
    ]
    says = answering(0.8)
    questions = read_questions(write_questions(folder / "lines.jsonl", *rows))
    return write_answers(folder / "run", questions, lambda sample: texts[says(sample)])


def test_mmes_script_gets_the_score_of_summary(mme, tmp_path, capsys):
    folder = answers(mme, "mme", tmp_path / "mme")
    out = capsys.readouterr().out
    assert "76 answers of" in out
    assert "partial: 4 questions left out: skipped" in out
    assert "12 of 14 categories that MME's script opens a file of are not there: position" in out
    assert "the scorer of mme reads all answers as headflow does" in out
    table = summary(mme, tmp_path / "summary")
    assert {path.name for path in folder.iterdir()} == {"existence.txt", "count.txt"}
    for file in folder.iterdir():
        cells = [line.split("\t") for line in file.read_text(encoding="utf-8").splitlines()]
        assert len(cells) == 38
        correct = []
        for _, _, right, said in cells:
            start = said.lower()[:4]
            correct.append(right.lower() == ("yes" if "yes" in start else "no" if "no" in start else "other"))
        for first, second in zip(cells[::2], cells[1::2], strict=True):
            assert first[0] == second[0]
        both = [one and other for one, other in zip(correct[::2], correct[1::2], strict=True)]
        assert table.loc[file.stem, "score"] == pytest.approx(100 * np.mean(correct) + 100 * np.mean(both))


def test_vlmevalkit_rates_mme_as_summary(mme, tmp_path):
    folder = answers(mme, "vlmevalkit", tmp_path / "files")
    found = pd.read_csv(folder / "up_MME.tsv", sep="\t")
    found["score"] = found["answer"].str.lower() == found["prediction"].str.lower().str.extract(r"\b(yes|no)\b")[0]
    table = summary(mme, tmp_path / "summary")
    for category, rows in found.groupby("category"):
        by_image = rows.groupby("image_path")["score"].agg(list)
        plus = np.mean([first * second for first, second in by_image])
        assert table.loc[category, "score"] == pytest.approx(100 * rows["score"].mean() + 100 * plus)


def test_lmms_eval_scores_mme_as_summary(mme, tmp_path):
    folder = answers(mme, "lmms-eval", tmp_path / "files")
    samples, log = lines(folder / "samples_mme.jsonl"), json.loads((folder / "mme.json").read_text())
    assert log["logs"] == samples
    assert (log["model_configs"]["task"], log["args"]["limit"]) == ("mme", None)
    dataset = pd.read_parquet(mme / "samples").sort_values("row").reset_index(drop=True)
    scores = defaultdict(lambda: defaultdict(list))
    for each in samples:
        doc, said = dataset.loc[each["doc_id"]], each["resps"][0][0].lower().strip().replace(".", "")
        read = next((word for word in ("yes", "no") if word in said[:4]), "other")
        scores[doc["category"]][doc["question_id"]].append(read == doc["answer"].lower())
    table = summary(mme, tmp_path / "summary")
    for category, by_image in scores.items():
        points = [100 * np.mean(pair) + 100 * all(pair) for pair in by_image.values()]
        assert table.loc[category, "score"] == pytest.approx(np.mean(points))


@pytest.fixture(scope="module")
def pope(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pope")
    rows = [
        {"question_id": number, "image": f"{number // 6}.png", "text": f"Is there a {number}?", "category": category}
        | {"label": ("yes", "no")[number % 2]}
        for category in ("random", "popular", "adversarial")
        for number in range(60)
    ]
    questions = read_questions(write_questions(folder / "lines.jsonl", *rows))
    return write_answers(folder / "run", questions, answering(0.8))


def test_popes_and_llavas_scripts_get_the_scores_of_summary(pope, tmp_path):
    folder = answers(pope, "pope", tmp_path / "files")
    table = summary(pope, tmp_path / "summary")
    asked = {each["question_id"]: each for each in lines(folder / "questions.jsonl")}
    assert len(asked) == 180
    for category in ("random", "popular", "adversarial"):
        labels = [each["label"] for each in lines(folder / "labels" / f"coco_pope_{category}.json")]
        by_pope = [each["answer"] for each in lines(folder / "answers" / f"{category}.jsonl")]
        by_llava = [each["text"] for each in lines(folder / "answers.jsonl")
                    if asked[each["question_id"]]["category"] == category]  # fmt: skip
        for texts in (by_pope, by_llava):
            said = ["no" if {"No", "no", "not"} & {*text.split(".")[0].split(" ")} else "yes" for text in texts]
            right = [one == other for one, other in zip(said, labels, strict=True)]
            own = table.loc[category]
            assert own["accuracy"] == pytest.approx(100 * np.mean(right))
            assert own[["precision", "recall", "f1"]].tolist() == pytest.approx(f1_of(said, labels))
            assert own["yes_ratio"] == pytest.approx(100 * said.count("yes") / len(said))


@pytest.mark.parametrize("tool", ["vlmevalkit", "lmms-eval"])
def test_other_tools_score_pope_as_summary(pope, tmp_path, tool):
    folder = answers(pope, tool, tmp_path / "files")
    table = summary(pope, tmp_path / "summary")
    if tool == "vlmevalkit":
        found = pd.read_csv(folder / "up_POPE.tsv", sep="\t")
    else:
        dataset = pd.read_parquet(pope / "samples").sort_values("row").reset_index(drop=True)
        samples = lines(folder / "samples_pope.jsonl")
        found = dataset.loc[[each["doc_id"] for each in samples], ["category", "answer"]]
        found = found.assign(prediction=[each["filtered_resps"][0] for each in samples])
    for category, rows in found.groupby("category", observed=True):
        said, right = (rows[name].str.strip().str.lower().tolist() for name in ("prediction", "answer"))
        assert table.loc[category, ["precision", "recall", "f1"]].tolist() == pytest.approx(f1_of(said, right))


def test_vlmevalkit_rates_hallusion_bench_as_summary(tmp_path, capsys):
    rows = hallusion_rows()
    run = write_answers(
        tmp_path / "run", read_questions(write_questions(tmp_path / "lines.jsonl", *rows)), answering(0.8)
    )
    folder, out = answers(run, "vlmevalkit", tmp_path / "files", "--benchmark", "a/b"), capsys.readouterr().out
    assert f"copy {folder / 'up_a_b.tsv'} where" in out
    without = sum(row["visual_input"] == "0" for row in rows)
    assert f"left out: {without} questions without a figure, which are not asked" in out
    assert "partial" not in out
    found = pd.read_csv(folder / "up_a_b.tsv", sep="\t")
    found["score"] = found["answer"] == found["prediction"]
    parts = found["index"].str.split("_", expand=True)
    table = summary(run, tmp_path / "summary")
    for measure, place in (("accuracy_figures", 4), ("accuracy_question_pairs", 5)):
        groups = found.groupby([found["l2-category"], parts[3], parts[place]])["score"].all()
        assert table.loc["all", measure] == pytest.approx(100 * groups.mean())
    asked = [row for row in rows if row["visual_input"] != "0"]
    assert len(found.groupby([found["l2-category"], parts[3], parts[4]])) == len(
        {of_set("figure_id")(row) for row in asked}
    )


def test_vlmevalkit_rates_rotations_as_summary(tmp_path):
    questions = read_questions(write_questions(tmp_path / "table.tsv", *rotated()))
    run = write_answers(tmp_path / "run", questions, answering(0.9))
    found = pd.read_csv(answers(run, "vlmevalkit", tmp_path / "files", "--benchmark", "MMBench_DEV_EN") /
                        "up_MMBench_DEV_EN.tsv", sep="\t")  # fmt: skip
    assert found["index"].dtype == np.int64
    assert found.loc[found["index"] == 1_000_002, "A"].tolist() == ["thing 1"]
    hit = (found["answer"] == found["prediction"]).groupby(found["index"] % 1_000_000).all()
    assert summary(run, tmp_path / "summary").loc["all", "score"] == pytest.approx(100 * hit.mean())


TEXTS = ("Yes", "no", "y", "maybe", "It is not. Yes", "Yes and no", "yes.", "nothing", "")


@pytest.mark.parametrize(
    ("read", "places"),
    [
        (reading.by_mme, (0, 1, None, None, None, 0, 0, 1, None)),
        (reading.by_pope, (0, 1, 0, 0, 1, 1, 0, 0, 0)),
        (reading.by_vlmevalkit_word, (0, 1, None, None, 0, None, 0, None, None)),
        (reading.by_lmms_mme, (0, 1, 0, None, None, 0, 0, 1, None)),
        (reading.by_lmms_pope, (0, 1, None, None, None, None, None, None, None)),
    ],
)
def test_how_tools_read_a_word(read, places):
    assert tuple(map(read, TEXTS)) == places


@pytest.mark.parametrize(
    ("text", "place"),
    [
        *(("B", 1), ("(C)", 2), ("A.", 0), ("D", None), ("A or B", None), ("red", 0), ("dark red", 0), ("a", None)),
        ("The answer is B", None),  # longer than what it reads without another model
    ],
)
def test_how_vlmevalkit_reads_an_option(text, place):
    assert reading.by_vlmevalkit_option(text, ("red", "blue", "green")) == place


def test_answers_that_are_read_differently_are_counted(pope, tmp_path, capsys):
    questions = read_questions(pope.parent / "lines.jsonl")
    says = iter(["maybe", *["Yes"] * 178, "There is not"])
    run = write_answers(tmp_path / "run", questions, lambda sample: next(says))
    answers(run, "pope", tmp_path / "files")
    assert (
        "the scorer of pope reads 2 of 180 answers differently, so that its score is another one: the first is "
        "'maybe', here neither yes nor no, there yes"
    ) in capsys.readouterr().out


def test_a_tool_that_does_not_score_the_task_is_refused_in_a_line(pope, tmp_path, capsys):
    assert main(["answers", str(pope), "--as", "mme", "--output-dir", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert "is of the task pope, which the scorer of mme does not read; name one of pope, vlmevalkit" in error
    assert "--as" in error
    assert not [*tmp_path.iterdir()]


def test_one_wording_is_written_and_texts_are_read_where_there_are_some(tmp_path, capsys):
    run = write_choices(tmp_path / "run", images=6, prompts=("one", "two"))
    assert main(["answers", str(run), "--as", "vlmevalkit"]) == 2
    assert "asks in 2 wordings: choose one of one, two" in capsys.readouterr().err
    answers(run, "vlmevalkit", tmp_path / "files", "--prompt", "two")
    assert len(pd.read_csv(tmp_path / "files" / "up_choices.tsv", sep="\t")) == 12
    write_run(tmp_path / "texts", tables=(TOKENS, STEPS, STEP_MAPS))
    capsys.readouterr()
    answers(tmp_path / "texts", "mme", tmp_path / "of_texts")
    assert "read in its texts" in capsys.readouterr().out


def test_questions_without_a_right_answer_are_written_for_tools_that_have_it(tmp_path, capsys):
    rows = [row | {"answer": None} for row in rotated(4)]
    run = write_answers(
        tmp_path / "run", read_questions(write_questions(tmp_path / "table.tsv", *rows)), lambda sample: "A"
    )
    found = pd.read_csv(answers(run, "vlmevalkit", tmp_path / "files") / "up_circular.tsv", sep="\t")
    assert len(found) == len(rows)
    assert found["answer"].isna().all()
    out = capsys.readouterr().out
    assert "no question has a right answer that is one of the options, as in a test split: all answers are" in out
    assert not any(word in out for word in ("differently", "as headflow does", "left out"))


BY_WORD = [{"question_id": number // 2, "answer": ("Yes", "No")[number % 2]} for number in range(6)]
BY_LETTER = [{"question_id": number, "A": "red", "B": "blue", "answer": "AB"[number % 2]} for number in range(6)]
MATTERS = [
    *((tool, BY_WORD, {"category": "count"}, {"answer": "maybe"}, 1) for tool in ("mme", "vlmevalkit", "lmms-eval")),
    *((tool, BY_WORD, {"category": "random"}, {"answer": "?"}, 0) for tool in ("pope", "vlmevalkit", "lmms-eval")),
    *(("vlmevalkit", BY_LETTER, {}, {"answer": wrong}, 0) for wrong in ("Q", None)),
]  # fmt: skip


@pytest.mark.parametrize(("tool", "rows", "more", "wrong", "partners"), MATTERS)
def test_a_question_whose_right_answer_is_no_option_is_named_and_left_out(
    tmp_path, capsys, tool, rows, more, wrong, partners
):
    asked = [
        row | {"image": f"{place // 2}.png", "question": f"Is it {place}?"} | more for place, row in enumerate(rows)
    ]
    asked[2] |= wrong
    questions = read_questions(write_questions(tmp_path / "lines.jsonl", *asked))
    run = write_answers(tmp_path / "run", questions, answering(1))
    folder, out = answers(run, tool, tmp_path / "files"), capsys.readouterr().out
    assert f"{5 - partners} answers of" in out
    neither = "none of the options" if rows is BY_LETTER else "neither yes nor no"
    name = questions.samples[2].sample_id
    assert f"left out: 1 question with a right answer that is {neither}: {name}\n" in out
    assert ("partial: 1 question left out: skipped, or one that they are scored with is" in out) == bool(partners)
    assert "differently" not in out
    if tool != "lmms-eval":
        text = "".join(path.read_text(encoding="utf-8") for path in folder.rglob("*.*"))
        assert [f"Is it {place}?" in text for place in range(6)] == [True, True, False, not partners, True, True]
        return
    rows_written = [each["doc_id"] for each in lines(next(folder.glob("samples_*.jsonl")))]
    assert rows_written == [0, 1, *([] if partners else [3]), 4, 5]


def test_questions_of_several_files_have_no_place_that_a_scorer_could_find(mme, tmp_path, capsys):
    run = shutil.copytree(mme, tmp_path / "run")
    rewrite(run, "samples", lambda table: put(table, "row", slice(None), [None] * len(table)))
    whole = {path.name: path.read_text() for path in answers(mme, "mme", tmp_path / "whole").iterdir()}
    assert {path.name: path.read_text() for path in answers(run, "mme", tmp_path / "mme").iterdir()} == whole
    for tool in ("vlmevalkit", "lmms-eval"):
        assert main(["answers", str(run), "--as", tool, "--output-dir", str(tmp_path / tool)]) == 2
        assert "the places of questions in their file are not known" in capsys.readouterr().err


def test_questions_of_no_set_are_found_by_their_rows(tmp_path):
    rows = [row for row in hallusion_rows(2) if row["visual_input"] != "0"]
    rows.append({"category": "VD", "filename": "a.png", "question": "Is it?", "gt_answer": "1"})
    run = write_answers(
        tmp_path / "run", read_questions(write_questions(tmp_path / "lines.jsonl", *rows)), answering(1)
    )
    found = pd.read_csv(answers(run, "vlmevalkit", tmp_path / "files") / "up_HallusionBench.tsv", sep="\t")
    assert found["index"].tolist() == list(range(len(rows)))


def test_tools_of_the_command_are_those_that_have_a_form():
    assert tuple(FORMS) == TOOLS
