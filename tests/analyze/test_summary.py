"""Oracle: pandas on the whole table; scores worked out by hand."""

import tracemalloc
from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analyze import summary
from analyze.__main__ import main
from analyze.scores.accuracy import category_scores, total_scores
from analyze.scores.intervals import _spread, score_intervals
from analyze.statistics.bootstrap import Bootstrap
from analyze.statistics.clusters import Clusters
from analyze.statistics.intervals import share_interval
from analyze.summary import summarise
from analyze.tables import rows
from analyze.tables.bins import QUANTILES
from analyze.tables.frames import open_heads
from schemas.store import writer
from schemas.tasks import MME, PLAIN, POPE
from schemas.workers import work
from tests.simulations.pope import WORLDS as POPE_WORLDS
from tests.simulations.pope import simulate
from tests.support.runs import flows, put, rewrite, sample, start, write_run

PLACES = {"yes": 0, "no": 1, None: None}  # of options


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("run") / "run", layers=3, heads=8, categories={"OCR": 30, "color": 50})


def test_statistics(run):
    heads, _ = open_heads(run)
    table = summarise(heads, ("t2v", "q2v"), heads.scope(None)).set_index(["group", "name", "flow"])
    whole = pd.read_parquet(run / "heads")
    groups = {("overall", "all"): whole}
    groups |= {("layer", str(layer)): whole[whole["layer"] == layer] for layer in range(3)}
    groups |= {("category", name): whole[whole["category"] == name] for name in ("OCR", "color")}
    assert len(table) == 2 * len(groups)
    for key, some in groups.items():
        for flow in ("t2v", "q2v"):
            found, values = table.loc[(*key, flow)], some[flow].astype(float)
            assert found["rows"] == len(values)
            assert found["mean"] == pytest.approx(values.mean(), abs=1e-12)
            assert found["std"] == pytest.approx(values.std(ddof=0), abs=1e-9)
            assert (found["min"], found["max"]) == (values.min(), values.max())
            for name, share in QUANTILES.items():
                assert abs(found[name] - values.quantile(share)) < 1e-4


def student(rows: pd.DataFrame, flow: str) -> tuple[float, float]:
    """The interval of a mean over images that all have the same number of values: Student's, of their means."""
    means = rows.groupby(["category", "image"], observed=True)[flow].mean()
    return stats.t.interval(0.95, len(means) - 1, means.mean(), stats.sem(means))


@pytest.mark.parametrize("at_once", [7, 100, 10**6])
def test_intervals_have_the_image_as_their_unit(run, monkeypatch, at_once):
    """However few rows are read at once."""
    monkeypatch.setattr(rows, "BATCH", at_once)
    heads, _ = open_heads(run)
    table = summarise(heads, ("t2v", "v2t"), heads.scope(None)).set_index(["group", "name", "flow"])
    samples = pd.read_parquet(run / "samples")[["sample_id", "image"]]
    everything = pd.read_parquet(run / "heads").astype({"t2v": float, "v2t": float}).merge(samples, on="sample_id")
    groups = {("overall", "all"): everything}
    groups |= {("layer", str(layer)): everything[everything["layer"] == layer] for layer in range(3)}
    groups |= {("category", name): everything[everything["category"] == name] for name in ("OCR", "color")}
    for key, some in groups.items():
        for flow in ("t2v", "v2t"):
            found = table.loc[(*key, flow)]
            assert (found["low"], found["high"]) == pytest.approx(student(some, flow), rel=1e-6), (key, flow)


@pytest.mark.parametrize("parts", [1, 2, 100])
def test_an_image_in_two_parts_is_one(tmp_path, monkeypatch, parts):
    """In tasks of one part, of two, and in one task."""
    monkeypatch.setattr(writer, "ROWS_PER_PART", 3 * 6)  # three samples of six rows: every second image is divided
    run = write_run(tmp_path / "run", categories={"OCR": 20})
    assert len(list((run / "heads").glob("*.parquet"))) > 5
    monkeypatch.setattr(work, "_PARTS", parts)
    heads, _ = open_heads(run)
    found = summarise(heads, ("t2v",), heads.scope(None)).iloc[0]
    samples = pd.read_parquet(run / "samples")[["sample_id", "image"]]
    everything = pd.read_parquet(run / "heads").astype({"t2v": float}).merge(samples, on="sample_id")
    assert (found["low"], found["high"]) == pytest.approx(student(everything, "t2v"), rel=1e-6)


def test_one_image_has_no_interval(tmp_path):
    heads, _ = open_heads(write_run(tmp_path / "run", categories={"OCR": 2}))
    assert summarise(heads, ("t2v",), heads.scope(None))[["low", "high"]].isna().all(axis=None)


def drawn_samples(random: np.random.Generator, accuracies: dict[str, float], images: int) -> pd.DataFrame:
    """Pairs of questions, answered right so often, each by itself."""
    rows = [
        (category, f"{category}{image}", answer, answer if random.random() < accuracy else "neither")
        for category, accuracy in accuracies.items()
        for image in range(images)
        for answer in ("Yes", "No")
    ]
    table = pd.DataFrame(rows, columns=["category", "image", "answer", "prediction"])
    return table.assign(status="ok", question_id=None, image_sha256=table["image"], sample_id=table.index.astype(str))


def test_intervals_of_the_score_cover_the_truth():
    """Categories of 40 images, one of them nearly always right; the score's truth is accuracy and its square.

    `tests.simulations.intervals` measures the rate; of 24 intervals fewer than 20 hold with a probability of 0.006.
    """
    random = np.random.default_rng(0)
    accuracies = {"existence": 0.99, "count": 0.6, "color": 0.75}
    truth = {name: 100 * (share + share**2) for name, share in accuracies.items()}
    truth["perception"] = sum(truth.values())
    covered = dict.fromkeys(truth, 0)
    for repeat in range(24):
        samples = drawn_samples(random, accuracies, 40)
        scores = category_scores(samples)
        table = score_intervals(pd.concat([scores, total_scores(scores, samples)]), samples, seed=repeat, resamples=500)
        for row in table.itertuples():
            covered[row.category] += row.low <= truth[row.category] <= row.high
    assert all(number >= 20 for number in covered.values()), covered
    assert covered["count"] <= 23


def test_a_score_s_interval_needs_pairs():
    samples = drawn_samples(np.random.default_rng(0), {"count": 0.5}, 5).iloc[::2]  # no pair is whole
    assert score_intervals(category_scores(samples), samples)[["low", "high"]].isna().all(axis=None)
    samples = drawn_samples(np.random.default_rng(0), {"count": 1.0}, 5)
    (low,), (high,) = score_intervals(category_scores(samples), samples)[["low", "high"]].to_numpy().T.tolist()[:2]
    assert 0 < low < 200 == high


def test_categories_are_read_a_few_at_a_time(run, monkeypatch):
    heads, _ = open_heads(run)
    arguments = heads, ("t2v", "q2v"), heads.scope(None)
    whole = summarise(*arguments)
    monkeypatch.setattr(summary, "_AT_ONCE", 2)  # one category at a time
    pd.testing.assert_frame_equal(summarise(*arguments), whole, rtol=1e-12)


def test_memory_does_not_grow_with_the_number_of_categories(tmp_path, monkeypatch):
    monkeypatch.setattr(summary, "_AT_ONCE", 128)
    heads, _ = open_heads(write_run(tmp_path / "run", categories={f"category {n}": 1 for n in range(300)}))
    tracemalloc.start()
    try:
        table = summarise(heads, ("t2v", "v2t"), heads.scope(None))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (table["group"] == "category").sum() == 600
    assert peak < 60e6  # their fine histograms together have 48 MB, and there would be three copies


def test_the_command(run, capsys, tmp_path):
    assert main(["summary", str(run), "--output-dir", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "80 ok" in out
    assert "by category" in out
    table = pd.read_csv(tmp_path / "summary.csv")
    assert len(table) == 2 * (1 + 3 + 2)
    assert set(table["text_scope"]) == {"all"}
    assert pd.read_csv(tmp_path / "scores.csv")["category"].tolist() == ["color", "OCR", "perception"]


def samples(*rows, **more) -> pd.DataFrame:
    """From (category, question_id, answer, prediction); each id has an image of its own."""
    table = pd.DataFrame(rows, columns=["category", "question_id", "answer", "prediction"])
    table["sample_id"] = [str(number) for number in range(len(table))]
    return table.assign(**({"status": "ok", "image": None, "image_sha256": table["question_id"]} | more))


def test_scores_by_hand():
    table = samples(
        ("OCR", "a", "Yes", "Yes"),
        ("OCR", "a", "No", "no."),
        ("OCR", "b", "Yes", " yes"),
        ("OCR", "b", "No", "Yes"),
        ("code_reasoning", "a", "Yes", "The"),
        ("code_reasoning", "a", "No", "No"),
        ("mine", "z", "Yes", "Yes"),
    )
    scores = category_scores(table).set_index("category")
    assert scores.loc["OCR"].tolist() == [4, 2, 75.0, 50.0, 125.0, 0, 0, 0]
    assert scores.loc["code_reasoning"].tolist() == [2, 1, 50.0, 0.0, 50.0, 0, 0, 1]
    assert scores.loc["mine", ["questions", "images", "accuracy", "left_out"]].tolist() == [1, 0, 100.0, 1]
    assert scores.loc["mine", ["accuracy_pairs", "score"]].isna().all()
    assert scores.index.tolist() == ["OCR", "code_reasoning", "mine"]
    totals = total_scores(scores.reset_index(), table).set_index("category")
    assert totals["score"].to_dict() == {"perception": 125, "cognition": 50}
    assert totals.loc["perception", ["questions", "images", "left_out"]].tolist() == [4, 2, 0]


def test_a_category_that_is_called_as_a_total_keeps_its_row():
    rows = [(name, "a", answer, "Yes") for name in ("perception", "OCR", "cognition") for answer in ("Yes", "No")]
    table = samples(*rows)
    scores = category_scores(table)
    assert scores.set_index("category")["score"].to_dict() == {"OCR": 50, "perception": 50, "cognition": 50}
    assert total_scores(scores, table)["category"].tolist() == ["perception (MME)"]
    assert scores.loc[scores["category"] == "perception", "accuracy"].tolist() == [50]


def test_pairs_by_image_where_no_id_is_shared():
    rows = [("OCR", str(number), "Yes", "Yes" if number else "No") for number in range(4)]
    scores = category_scores(samples(*rows, image_sha256=["x", "x", "y", "y"]))
    assert scores.loc[0, ["images", "accuracy", "accuracy_pairs"]].tolist() == [2, 75.0, 50.0]


def test_skipped_samples_and_other_answers_are_not_scored():
    table = samples(("OCR", "a", "Yes", None), ("OCR", "a", "blue", "blue"), ("OCR", "b", None, "Yes"))
    table.loc[0, "status"] = "skipped"
    assert category_scores(table).empty


def test_a_pair_with_a_skipped_question_is_left_out_and_counted():
    table = samples(
        ("OCR", "a", "Yes", "Yes"),
        ("OCR", "a", "No", "No"),
        ("OCR", "b", "Yes", "No"),
        ("OCR", "b", "No", None),
        ("color", "c", "Yes", "Yes"),
        ("color", "c", "No", "No"),
    )
    table.loc[3, "status"] = "skipped"
    scores = category_scores(table)
    assert scores.set_index("category").loc["OCR"].tolist() == [2, 1, 100.0, 100.0, 200.0, 2, 0, 0]
    assert total_scores(scores, table).loc[0, ["category", "score", "left_out"]].tolist() == ["perception", 400.0, 2]


def test_each_image_is_paired_by_itself():
    """One shared id does not decide how other images are paired."""
    rows = [("OCR", name, answer, answer) for name, answer in (("a", "Yes"), ("a", "No"), ("b", "Yes"), ("c", "No"))]
    scores = category_scores(samples(*rows, image_sha256=["x", "x", "y", "y"]))
    assert scores.loc[0, ["questions", "images", "score", "left_out"]].tolist() == [4, 2, 200.0, 0]


def test_a_skipped_question_without_a_hash_belongs_to_its_image():
    """Of three questions on one image, the skipped one was not read; the other two are no whole image."""
    table = samples(*(("color", str(number), "Yes", "Yes") for number in range(5)))
    table = table.assign(image=["x.png"] * 3 + ["y.png"] * 2, image_sha256=["x", "x", None, "y", "y"])
    table.loc[2, "status"] = "skipped"
    assert category_scores(table).loc[0, ["questions", "images", "left_out"]].tolist() == [2, 1, 3]


def test_the_command_says_on_what_a_score_rests(run, capsys, tmp_path):
    def said() -> str:
        assert main(["summary", str(run), "--output-dir", str(tmp_path)]) == 0
        return capsys.readouterr().out

    assert "MME score by category, on 80 of 80 questions; " in (out := said())
    assert not any(word in out for word in ("partial: ", "not scored: ", "neither yes nor no: "))
    rewrite(run, "samples", lambda content: put(content, "answer", slice(0, 3), ["blue"] * 3))
    rewrite(run, "samples", lambda content: put(content, "prediction", 10, "y"))
    out = said()
    assert "MME score by category, on 76 of 80 questions; " in out
    assert "partial: 1 question left out of the scores: skipped, or one that they are scored with is missing" in out
    assert "not scored: 3 questions with a right answer that is neither yes nor no" in out
    assert "neither yes nor no: 1 answer, counted as wrong" in out
    table = pd.read_csv(tmp_path / "scores.csv").set_index("category")
    assert table.loc["OCR", ["questions", "left_out", "unscored", "unread"]].tolist() == [26, 1, 3, 1]
    rewrite(run, "samples", lambda content: put(content, "answer", slice(0, 80), ["blue"] * 80))
    assert "MME score: none, as of 80 observed questions none has a right answer that is yes or no" in said()


def test_single_letters_count_as_in_the_script_of_mme():
    """Six categories of three images; lmms-eval's rule gives existence and OCR 200 and 100."""
    predictions = [
        *("y", "N", "Y.", "n.", "yes.", "NO", "No,", "not sure", "None", "nope", "yeah", "Yes!", " yes", "\nNo"),
        *("**Yes**", '"No"', "(Yes)", "A: no", "I don't know", None, "The answer is yes", "correct", "Yes", "No"),
        *("y", "n", "Yes", "Yes", "No", "No", "yes", "no", "YES", "no.", "Nothing", "Y"),
    ]
    expected = {"existence": 66.67, "count": 33.33, "position": 100, "color": 66.67, "OCR": 33.33}
    expected["numerical_calculation"] = 133.33
    asked = [(name, f"{name}/{image}", word) for name in expected for image in range(3) for word in ("Yes", "No")]
    scores = category_scores(samples(*((*each, text) for each, text in zip(asked, predictions, strict=True))))
    assert scores.set_index("category")["score"].to_dict() == pytest.approx(expected, abs=0.005)


@pytest.mark.parametrize("other", [7, 38])  # on the image of question 3, and on another image
def test_one_repeated_id_changes_no_pairs(other):
    """40 questions with ids of their own on 20 images, but that one id stands twice."""
    ids = [str(number) for number in range(40)]
    ids[2] = ids[other if other == 38 else 3]
    rows = [("OCR", name, "Yes", "Yes") for name in ids]
    scores = category_scores(samples(*rows, image_sha256=[str(number // 2) for number in range(40)]))
    assert scores.loc[0, ["questions", "images", "score", "left_out"]].tolist() == [40, 20, 200.0, 0]


def test_one_id_for_all_questions_pairs_by_image():
    rows = [("OCR", "nan", "Yes", "Yes" if number else "No") for number in range(40)]
    scores = category_scores(samples(*rows, image_sha256=[str(number // 2) for number in range(40)]))
    assert scores.loc[0, ["images", "accuracy_pairs"]].tolist() == [20, 95.0]


def test_two_pairs_on_the_same_picture_stay_two_pairs():
    """As in MME, where the ids pair questions: one picture may stand there under two ids."""
    rows = [("OCR", name, "Yes", "Yes" if name == "a" else "No") for name in "aabb"]
    scores = category_scores(samples(*rows, image_sha256=["x"] * 4))
    assert scores.loc[0, ["images", "accuracy_pairs"]].tolist() == [1, 50.0]


def test_a_task_without_pairs_is_scored_by_the_accuracy_of_all_observed_questions():
    rows = [
        ("OCR", "a", "Yes", "Yes"),
        ("OCR", "a", "No", "Yes"),
        ("OCR", "b", "Yes", "Yes"),
        ("color", "c", "No", "No"),
    ]
    table = samples(*rows, ("color", "c", "No", None))
    table.loc[4, "status"] = "skipped"
    scores = category_scores(table, PLAIN)
    assert "accuracy_pairs" not in scores
    assert scores[["category", "questions", "images", "left_out"]].values.tolist() == [
        ["color", 1, 1, 1],
        ["OCR", 3, 2, 0],
    ]
    assert scores["score"].tolist() == scores["accuracy"].tolist() == pytest.approx([100, 200 / 3])
    whole = total_scores(scores, table, PLAIN)
    assert whole[["category", "questions", "images", "score"]].values.tolist() == [["all", 4, 3, 75.0]]
    assert category_scores(table).loc[1, "questions"] == 2


def test_the_interval_of_a_score_without_pairs_is_that_of_accuracy():
    """By category, and over all questions, as `share_interval` has it of the same resamples."""
    random = np.random.default_rng(3)
    table = drawn_samples(random, {"count": 0.6, "color": 0.8}, 40).sample(frac=0.8, random_state=1)
    scores = category_scores(table, PLAIN)
    both = pd.concat([scores, total_scores(scores, table, PLAIN)])
    found = score_intervals(both, table, PLAIN, seed=5, resamples=500).set_index("category")
    clusters = Clusters.by_name(table["image"], table["category"])
    right = clusters.sums((table["answer"] == table["prediction"]).to_numpy())
    bootstrap = Bootstrap(clusters, 500, 5)
    for name in ("count", "color", "all"):
        images = np.array([name in (clusters.categories[each], "all") for each in clusters.category])
        own = share_interval(bootstrap, right * images, clusters.counts * images)
        assert found.loc[name, ["score", "low", "high"]].tolist() == pytest.approx(
            [100 * own.estimate, 100 * own.low, 100 * own.high]
        )


def pope(*, yes: str, no: str) -> pd.DataFrame:
    """Questions of POPE on two images, with predictions where yes is right and where no is, a letter a question."""
    says = {"y": "Yes", "n": "No", "?": "Maybe"}
    rows = [
        (category, f"{category} {number} {answer}", answer, says[letter])
        for category in POPE.marks
        for answer, letters in (("Yes", yes), ("No", no))
        for number, letter in enumerate(letters)
    ]
    images = [str(int(name.split()[1]) % 2) for _, name, _, _ in rows]
    return samples(*rows, image=images, image_sha256=images)


def test_pope_has_precision_recall_and_f1_as_its_authors_count_them():
    """TP 3, FN 3, FP 4, TN 2 in each category; 3 / 7, 3 / 6, 6 / 13, 7 / 12."""
    table = pope(yes="yyynnn", no="yyyynn")
    scores = category_scores(table, POPE)
    assert scores["category"].tolist() == ["random", "popular", "adversarial"]
    both = pd.concat([scores, total_scores(scores, table, POPE)], ignore_index=True)
    assert both["category"].iloc[-1] == "mean"
    for _, row in both.iterrows():
        found = row[["accuracy", "score", "precision", "recall", "f1", "yes_ratio"]].tolist()
        assert found == pytest.approx([41.67, 41.67, 42.86, 50, 46.15, 58.33], abs=0.005)
    assert both["questions"].tolist() == [12, 12, 12, 36]
    assert both["images"].tolist() == [2, 2, 2, 2]  # the same in all
    assert not any("pairs" in name for name in both)


def test_an_answer_that_is_no_option_is_wrong_and_not_given():
    """Of two such answers, the one to a question that yes is right of lowers recall."""
    row = category_scores(pope(yes="yyn?", no="y?nn"), POPE).iloc[0]
    assert row[["accuracy", "precision", "recall", "f1", "yes_ratio"]].tolist() == pytest.approx(
        [50, 200 / 3, 50, 400 / 7, 37.5]
    )
    assert row["unread"] == 2


def test_measures_of_an_option_are_those_of_a_table_of_counts():
    random = np.random.default_rng(0)
    letters = ["".join(random.choice(list("yn?"), 60, p=each)) for each in ((0.7, 0.2, 0.1), (0.4, 0.5, 0.1))]
    table = pope(yes=letters[0], no=letters[1])
    table["prediction"] = random.permutation(table["prediction"])
    scores = category_scores(table, POPE).set_index("category")
    for name, own in table.groupby("category"):
        counts = pd.crosstab(own["answer"], own["prediction"])
        given, right, found = counts["Yes"].sum(), counts.loc["Yes"].sum(), counts.loc["Yes", "Yes"]
        precision, recall = found / given, found / right
        expected = [precision, recall, 2 * precision * recall / (precision + recall), given / 120]
        assert (scores.loc[name, ["precision", "recall", "f1", "yes_ratio"]] / 100).tolist() == pytest.approx(expected)


def test_an_option_that_is_never_given_has_no_precision_and_an_f1_of_0():
    table = pope(yes="nnn", no="nnn")
    scores = category_scores(table, POPE)
    row = score_intervals(scores, table, POPE, resamples=100).iloc[0]
    assert np.isnan(row["precision"])
    assert (row["recall"], row["f1"], row["f1_low"]) == (0, 0, 0)
    assert 0 < row["f1_high"] <= 100
    none = category_scores(pope(yes="", no="nnn"), POPE)  # yes is neither right nor given
    assert none[["recall", "f1"]].isna().all(axis=None)
    assert none["accuracy"].tolist() == [100] * 3


def test_images_that_are_in_several_categories_do_not_count_several_times():
    """POPE asks the same questions about the same images in each category: the mean is as uncertain as a category."""
    random = np.random.default_rng(0)
    own = pope(yes="y" * 60, no="n" * 60).query("category == 'random'")
    images = random.permutation(np.repeat(np.arange(30), 4)).astype(str)
    own = own.assign(image=images, image_sha256=images, prediction=random.choice(["Yes", "No"], 120))
    table = pd.concat([own.assign(category=name) for name in POPE.marks], ignore_index=True)
    scores = category_scores(table, POPE)
    both = pd.concat([scores, total_scores(scores, table, POPE)])
    found = score_intervals(both, table, POPE, resamples=2_000).set_index("category")
    for low, high in (("low", "high"), ("f1_low", "f1_high")):
        width = found[high] - found[low]
        assert width["mean"] == pytest.approx(width["random"], rel=0.02)


@pytest.mark.parametrize("at_once", [2, 256])
def test_categories_without_a_common_image_are_taken_for_independent(at_once, monkeypatch):
    """The variance of their sum, some at once, is that of a matrix of all correlations over resamples."""
    monkeypatch.setattr("analyze.scores.intervals._AT_ONCE", at_once)
    random, pictures = np.random.default_rng(0), [np.array(each) for each in ([0, 1], [1, 2], [3], [0, 3], [4])]
    off, draws = random.random((5, 2)), random.random((5, 300)) + random.random(300)
    draws[4] = 1  # does not vary
    with np.errstate(invalid="ignore"):
        alike = np.nan_to_num(np.corrcoef(draws))
    for one, other in product(range(5), repeat=2):
        alike[one, other] = one == other or alike[one, other] * bool({*pictures[one]} & {*pictures[other]})
    assert _spread(off, draws, pictures) == pytest.approx(np.einsum("is,ij,js->s", off, alike, off), rel=1e-12)
    assert alike[0, 1] > 0.1 > alike[0, 2] == 0


def test_intervals_of_f1_cover_the_truth():
    """See `tests.simulations.pope`, which runs it at size."""
    found = simulate(POPE_WORLDS[0], 24, resamples=300)
    assert {name: share for name, share in found.items() if share < 20 / 24} == {}
    assert len(found) == 4


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        *(("Yes", "yes"), (" no.", "no"), ("NO", "no"), ('"No"', "no"), ("maybe", None), ("", None), (None, None)),
        *((text, None) for text in ("Norway", "none", "not sure", "No parking", "No. 7", "yesterday", "eyes", "know")),
    ],
)
def test_a_right_answer_is_the_word_or_not_scored(answer, expected):
    assert MME.right(answer, ()) == PLACES[expected]


@pytest.mark.parametrize(
    ("prediction", "expected"),
    [
        *(("Yes", "yes"), (" no.", "no"), ("NO", "no"), ("Yes, it is", "yes"), ("Norway", "no"), ("eyes", "yes")),
        *((text, None) for text in ("I say no", "maybe", "y", "N.", "", None)),
    ],
)
def test_a_prediction_is_read_by_its_first_four_letters(prediction, expected):
    assert MME.read(prediction, ()) == PLACES[expected]


def test_a_question_that_was_skipped_is_not_called_unscored(tmp_path, capsys):
    made, masses = start(tmp_path / "run", 4, fields={"layers": 2, "heads": 3}), flows(np.random.default_rng(0), 2, 3)
    pair, wrong = (sample(0, "OCR"), sample(1, "OCR")), sample(2, "OCR") | {"answer": "blue"}
    for row in (*pair, wrong):
        made.add(row, {"heads": masses})
    made.skip(sample(3, "OCR") | {"answer": "A"}, "options_unusable", "it has 0 options")
    made.finish()
    assert main(["summary", str(tmp_path / "run"), "--output-dir", str(tmp_path)]) == 0
    assert "not scored: 1 question with" in (out := capsys.readouterr().out)
    assert "partial: 1 question left out of the scores" in out
    assert pd.read_csv(tmp_path / "scores.csv").loc[0, ["left_out", "unscored"]].tolist() == [1, 1]
