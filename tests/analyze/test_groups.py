"""Oracle: the arithmetic that benchmarks publish, written anew, on question files in their published shapes.

Questions of HallusionBench by figure and by question, AMBER's precision and recall of no, and MMBench with its options
rotated; each from the file that a user has, through the reader of question files, to the scores of the commands.
"""

import base64
import json
from collections import defaultdict

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analyze.__main__ import main
from analyze.compare.comparison import compare
from analyze.compare.pairing import pair_samples
from analyze.diagnose import diagnose
from analyze.report.overview import score_rows
from analyze.report.words import Words
from analyze.scores.accuracy import scored_questions
from analyze.scores.images import ImagePoints
from analyze.statistics.clusters import Clusters
from analyze.tables.frames import open_heads
from analyze.wordings import compare_prompts
from extract.questions.question_set import read_questions
from schemas.errors import HeadflowError
from schemas.tasks import AMBER, CHOICES, CIRCULAR, HALLUSION, OPTION_LETTERS, PLAIN
from tests.support.asked import write_answers
from tests.support.pictures import READABLE
from tests.support.question_files import write_questions

pytestmark = pytest.mark.usefixtures("undrawn")
QUICK = ("--resamples", "100", "--dpi", "40")


def hallusion_rows(sets=12, seed=0):
    """Rows of HallusionBench.json: sets of 2 figures with 1 to 3 questions; of VS, the first is asked without one."""
    random, rows = np.random.default_rng(seed), []
    for category, subcategory in (("VD", "illusion"), ("VD", "map"), ("VS", "map")):
        for number in range(sets):
            questions = int(random.integers(1, 4))
            for figure in range(2):
                without = category == "VS" and figure == 0
                row = {"category": category, "subcategory": subcategory, "visual_input": "0" if without else "1"}
                row |= {"set_id": str(number), "figure_id": str(figure), "sample_note": "made up"}
                if not without:
                    row["filename"] = f"./hallusion_bench/{category}/{subcategory}/{number}_{figure}.png"
                for question in range(questions):
                    answer = {"gt_answer_details": "", "gt_answer": str(random.integers(2))}
                    rows.append(row | {"question_id": str(question), "question": f"Is it {question}?"} | answer)
    return rows


def answering(right, seed=1):
    """A model that is right so often, by the right answer of a sample."""
    random = np.random.default_rng(seed)

    def says(sample):
        if sample.options:
            wrong = [letter for letter in "ABCD"[: len(sample.options)] if letter != sample.answer]
            return sample.answer if random.random() < right else str(random.choice(wrong))
        answer = str(sample.answer).strip().capitalize()
        return answer if random.random() < right else {"Yes": "No", "No": "Yes"}.get(answer, "Yes")

    return says


def write_wordings(path, questions):
    """A run in two wordings, one of them better."""
    fields = {"prompts": {name: {"template": f"{name} {{question}}"} for name in ("one", "two")}}
    says = {"one": answering(0.6), "two": answering(0.9)}
    asked = questions.in_wordings(["one", "two"])
    return write_answers(path, asked, lambda sample: says[sample.prompt](sample), fields=fields)


def summary(run, folder, *more):
    """The table of scores that the command writes, by category."""
    assert main(["summary", str(run), "--output-dir", str(folder), *more]) == 0
    return pd.read_csv(folder / "scores.csv").set_index("category")


def all_right(rows, key):
    """The share of groups, by a key, whose rows are all right, in per cent."""
    groups = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row["correct"])
    return 100 * np.mean([all(group) for group in groups.values()])


def of_set(name):
    """What tells the figures of HallusionBench apart, or the questions on the figures of a set."""
    return lambda row: (row["category"], row["subcategory"], row["set_id"], row[name])


@pytest.fixture(scope="module")
def hallusion(tmp_path_factory):
    """A run on HallusionBench's file, the rows of that with whether each is right, and the questions."""
    folder, rows = tmp_path_factory.mktemp("hallusion"), hallusion_rows()
    (folder / "HallusionBench.json").write_text(json.dumps(rows))
    questions = read_questions(folder / "HallusionBench.json")
    run = write_answers(folder / "run", questions, answering(0.8))
    said = pd.read_parquet(run / "samples").sort_values("row")["prediction"]
    kept = [
        row | {"correct": text == ("Yes" if row["gt_answer"] == "1" else "No")}
        for row, text in zip(rows, said, strict=True)
        if row["visual_input"] != "0"
    ]
    return run, kept, questions


def test_hallusion_bench_is_scored_by_question_figure_and_question_pair(hallusion, tmp_path, capsys):
    run, rows, questions = hallusion
    assert questions.task is HALLUSION
    assert questions.notes[0].endswith("`sample_note` is not read")
    assert "`visual_input` 0, which HallusionBench asks without an image" in "".join(questions.notes)
    table = summary(run, tmp_path)
    for category in ("VD", "VS", "all"):
        own = [row for row in rows if category in (row["category"], "all")]
        found = table.loc[category]
        assert found["accuracy"] == pytest.approx(100 * np.mean([row["correct"] for row in own]))
        assert found["accuracy_figures"] == pytest.approx(all_right(own, of_set("figure_id")))
        assert found["accuracy_question_pairs"] == pytest.approx(all_right(own, of_set("question_id")))
        for measure in ("accuracy_figures", "accuracy_question_pairs"):
            assert found[f"{measure}_low"] < found[measure] < found[f"{measure}_high"]
    out = capsys.readouterr().out
    assert "HallusionBench score by category" in out
    without = sum(sample.image == "" for sample in questions.samples)
    assert f"not asked: {without} questions without a figure, which the score leaves out" in out
    assert "partial" not in out
    assert "MME" not in out


def test_the_unit_of_questions_on_several_figures_is_what_joins_them(hallusion):
    """Figures of a set have questions in common, and so each set is one unit, of 24 of VD and 12 of VS."""
    heads = open_heads(hallusion[0])[0]
    table = scored_questions(heads.samples, HALLUSION)
    table = table[table["counts"]]
    assert table.groupby("category")["unit"].nunique().to_dict() == {"VD": 24, "VS": 12}
    assert table.groupby("category")["image"].nunique().to_dict() == {"VD": 48, "VS": 12}
    for clusters in (Clusters.of(heads.samples[heads.observed]), pair_samples(heads, heads).clusters(heads.samples)):
        assert (clusters.images, clusters.different()) == (36, 60)


def test_all_commands_have_the_interval_of_accuracy_of_the_sets(hallusion, tmp_path):
    """Of 36 sets with 60 figures: `diagnose`, the wordings, the page and `compare` take the unit of `summary`."""
    heads, _ = open_heads(hallusion[0])
    found = summary(hallusion[0], tmp_path).loc["all"]
    expected = pytest.approx(found[["accuracy", "low", "high"]].tolist())
    assert found["images"] == 60
    whole = diagnose(heads, ["q2v"], heads.scope(None), seed=0).states.iloc[-1]
    assert whole[["accuracy", "low", "high"]].tolist() == expected
    first, _ = score_rows(heads, Words("en"), 0)
    assert [first[-1].value, first[-1].low, first[-1].high] == expected
    same = compare(heads, heads, ["q2v"])
    row = same.answers[same.answers["measure"] == "accuracy"].iloc[-1]
    assert row[["a", "a_low", "a_high"]].tolist() == expected
    assert row["images"] == 60
    assert "each set of images that questions share, of 36" in same.verdict()[0]
    asked = open_heads(write_wordings(tmp_path / "run", hallusion[2]), mixed=True)[0]
    prompts = compare_prompts(asked, [], seed=0).whole
    own = summary(tmp_path / "run", tmp_path / "one", "--prompt", "one").loc["all"]
    interval = ["accuracy", "low", "high"]
    assert prompts.loc[0, interval].tolist() == pytest.approx(own[interval].tolist())
    assert prompts.loc[0, "images"] == 60


def test_wordings_are_compared_by_figures_and_question_pairs(hallusion, tmp_path, capsys):
    run = write_wordings(tmp_path / "run", hallusion[2])
    assert main(["prompts", str(run), *QUICK, "--output-dir", str(tmp_path / "out")]) == 0
    assert "figures with all questions right, %" in capsys.readouterr().out
    table = pd.read_csv(tmp_path / "out" / "categories.csv").set_index(["wording", "category"])
    for name in ("one", "two"):
        own = summary(run, tmp_path / name, "--prompt", name)
        measures = ["accuracy_figures", "accuracy_question_pairs", "accuracy_figures_low", "accuracy_figures_high"]
        for category in ("VD", "VS", "all"):
            values = table.loc[(name, category), measures]
            assert values.tolist() == pytest.approx(own.loc[category, measures].tolist(), abs=3)
            assert values.iloc[:2].tolist() == pytest.approx(own.loc[category, measures[:2]].tolist())


@pytest.mark.parametrize("command", ["compare", "diagnose", "report", "card"])
def test_commands_on_hallusion_bench_say_nothing_of_mme(hallusion, tmp_path, capsys, command):
    run, rows, questions = hallusion
    more = []
    if command == "compare":
        more = [str(write_answers(tmp_path / "other", questions, answering(0.5, 2), fields={"model": "made/up2"}))]
    argv = {"report": ["--images", "0"], "card": [str(tmp_path / "out")]}.get(command, [*more, *QUICK])
    argv += [] if command == "card" else ["--output-dir", str(tmp_path / "out")]
    assert main([command, str(run), *argv]) == 0
    out = capsys.readouterr().out
    assert "MME" not in out
    if command == "compare":
        table = pd.read_csv(tmp_path / "out" / "answers.csv").set_index(["measure", "category"])
        assert table.loc[("accuracy_figures", "all"), "a"] == pytest.approx(all_right(rows, of_set("figure_id")))
        assert table.loc[("accuracy_question_pairs", "all"), "high"] < 0
    if command == "report":
        page = next((tmp_path / "out").glob("*.html")).read_text(encoding="utf-8")
        assert 'data-score="accuracy_question_pairs"' in page
        assert "Figures with all questions right" in page
    if command == "card":
        assert "`accuracy_figures`: figures with all questions right." in (tmp_path / "out" / "README.md").read_text()


def test_hallusion_bench_in_vlmevalkits_table_has_the_same_groups(tmp_path):
    rows = [row for row in hallusion_rows(3) if row["visual_input"] != "0"]
    names = ("category", "subcategory", "visual_input", "set_id", "figure_id", "question_id")
    table = [
        {
            "index": "_".join(row[name] for name in names),
            "image_path": row["filename"],
            "question": row["question"],
            "answer": ("No", "Yes")[int(row["gt_answer"])],
            "category": row["category"],
        }
        for row in rows
    ]
    one = read_questions(write_questions(tmp_path / "table.tsv", *table))
    other = read_questions(write_questions(tmp_path / "lines.jsonl", *rows))
    assert one.task is other.task is HALLUSION
    assert [sample.groups for sample in one.samples] == [sample.groups for sample in other.samples]
    assert [sample.answer for sample in one.samples] == [sample.answer for sample in other.samples]


def test_hallusion_bench_on_the_hub_has_its_images_in_parquet(tmp_path):
    rows = [row | {"image": "a.png"} for row in hallusion_rows(2) if row["visual_input"] != "0"]
    found = read_questions(write_questions(tmp_path / "images.parquet", *rows))
    assert found.task is HALLUSION
    assert all(sample.groups for sample in found.samples)
    assert found.samples[0].image == rows[0]["filename"]
    assert not any("repeats" in note for note in found.notes)


def test_the_questions_of_a_file_can_be_scored_each_by_itself(tmp_path):
    path = write_questions(tmp_path / "lines.jsonl", *hallusion_rows(2))
    found = read_questions(path, task="yes-no")
    assert found.task is PLAIN
    assert {sample.groups for sample in found.samples} == {None}
    other = write_questions(tmp_path / "other.jsonl", {"image": "a.png", "question": "Is it?", "answer": "Yes"})
    with pytest.raises(HeadflowError, match="no row says which questions are scored together, as the task hallusion"):
        read_questions(other, task="hallusion")


AMBER_TYPES = (
    *(f"discriminative-attribute-{each}" for each in ("state", "number", "action")),
    *("discriminative-hallucination", "discriminative-relation", "relation"),
)


def amber_files(folder, images=24, *, where="query"):
    """The two files of AMBER's repository; returns that of queries, and the annotations."""
    random, queries = np.random.default_rng(0), []
    known = [{"id": number + 1, "type": "generative", "truth": ["dog"], "hallu": ["cat"]} for number in range(images)]
    for image in range(images):
        for kind in AMBER_TYPES:
            name = len(known) + 1
            queries.append({"id": name, "image": f"AMBER_{image + 1}.jpg", "query": f"Is there {name}?"})
            truth = {"discriminative-relation": "yes", "relation": "no"}.get(kind, str(random.choice(["yes", "no"])))
            known.append({"id": name, "type": kind, "truth": truth})
    (folder / where).mkdir()
    (folder / where / "query_discriminative.json").write_text(json.dumps(queries))
    (folder / "annotations.json").write_text(json.dumps(known))
    return folder / where / "query_discriminative.json", {each["id"]: each for each in known}


def test_amber_is_scored_by_what_is_not_there(tmp_path, capsys):
    path, known = amber_files(tmp_path)
    questions = read_questions(path)
    assert questions.task is AMBER
    assert questions.notes[-1].endswith(f"answers and categories are those of {tmp_path / 'annotations.json'}")
    run = write_answers(tmp_path / "run", questions, answering(0.8))
    table = summary(run, tmp_path / "out")
    samples = pd.read_parquet(run / "samples").astype({"question_id": int})
    samples["truth"] = [known[name]["truth"] for name in samples["question_id"]]
    kind = samples["question_id"].map(lambda name: known[name]["type"])
    for name, kinds in {
        "existence": AMBER_TYPES[3:4],
        "attribute": AMBER_TYPES[:3],
        "relation (together)": AMBER_TYPES[4:],
        "all": AMBER_TYPES,
    }.items():
        own = samples[kind.isin(kinds)]
        both = ((own["truth"] == "no") & (own["prediction"] == "No")).sum()
        precision, recall = both / (own["prediction"] == "No").sum(), both / (own["truth"] == "no").sum()
        found = table.loc[name]
        right = own["truth"] == own["prediction"].str.lower()
        assert found["accuracy"] == pytest.approx(100 * right.mean())
        assert found["precision"] == pytest.approx(100 * precision)
        assert found["recall"] == pytest.approx(100 * recall)
        assert found["f1"] == pytest.approx(100 * 2 * precision * recall / (precision + recall))
        assert found["f1_low"] < found["f1"] < found["f1_high"]
    assert "AMBER score by category" in capsys.readouterr().out
    assert main(["report", str(run), "--images", "0", "--output-dir", str(tmp_path / "page")]) == 0
    page = (tmp_path / "page" / "report.html").read_text(encoding="utf-8")
    assert "F1, all questions" in page
    assert ">Existence<" in page


@pytest.mark.parametrize("columns", [{"question": "query"}, {"question_id": "id", "question": "query"}])
def test_annotations_of_amber_are_found_where_columns_are_named(tmp_path, columns):
    path, _ = amber_files(tmp_path, 2)
    expected, found = read_questions(path), read_questions(path, columns=columns)
    assert (found.samples, found.task, found.sha256) == (expected.samples, AMBER, expected.sha256)
    assert found.notes[-1] == expected.notes[-1]


def test_a_column_of_answers_is_read_in_place_of_ambers_annotations(tmp_path):
    path, _ = amber_files(tmp_path, 2)
    path.write_text(json.dumps([row | {"gt": "yes"} for row in json.loads(path.read_text())]))
    found = read_questions(path, columns={"answer": "gt"})
    assert {sample.answer for sample in found.samples} == {"yes"}
    assert not any("annotations.json" in note for note in found.notes)


def test_ambers_two_files_make_one_hash_and_what_is_missing_is_said(tmp_path):
    path, _ = amber_files(tmp_path, 2)
    first = read_questions(path)
    annotations = tmp_path / "annotations.json"
    content = json.loads(annotations.read_text())
    annotations.write_text(json.dumps(content[:-1]))
    second = read_questions(path)
    assert first.sha256 != second.sha256
    assert second.notes[-1].endswith("; 1 query is not in it")
    annotations.write_text(json.dumps([{"id": 1}]))
    with pytest.raises(HeadflowError, match="has entries without `id`, `type` and `truth`"):
        read_questions(path)
    annotations.unlink()
    assert "there is no annotations.json beside it or in the folder above" in read_questions(path).notes[-1]


def rotated(questions=20, options=4, seed=0):
    """Rows of MMBench in VLMEvalKit's table: each question with each rotation of its options."""
    random, rows = np.random.default_rng(seed), []
    for number in range(questions):
        texts = [f"thing {each}" for each in range(options - number % 2)]
        right = int(random.integers(len(texts)))
        for turn in range(len(texts)):
            turned = texts[turn:] + texts[:turn]
            row = {"index": number + 1_000_000 * turn, "image": f"{number}.png", "question": f"What is {number}?"}
            row |= dict(zip("ABCD", turned + [None] * (4 - len(texts)), strict=True))
            rows.append(row | {"answer": "ABCD"[turned.index(texts[right])], "category": ("one", "two")[number % 2]})
    return rows


def test_a_rotated_question_counts_if_it_is_right_in_every_rotation(tmp_path, capsys):
    rows = rotated()
    questions = read_questions(write_questions(tmp_path / "table.tsv", *rows))
    assert questions.task is CIRCULAR
    assert not questions.notes
    run = write_answers(tmp_path / "run", questions, answering(0.9))
    table = summary(run, tmp_path / "out")
    said = pd.read_parquet(run / "samples").sort_values("row")["prediction"]
    scored = [row | {"correct": row["answer"] == text} for row, text in zip(rows, said, strict=True)]
    for category in ("one", "two", "all"):
        own = [row for row in scored if category in (row["category"], "all")]
        expected = all_right(own, lambda row: row["index"] % 1_000_000)
        found = table.loc[category]
        assert found["score"] == found["accuracy_circular"] == pytest.approx(expected)
        assert found["accuracy"] == pytest.approx(100 * np.mean([row["correct"] for row in own]))
        assert found["low"] < found["score"] < found["high"]
    assert "circular accuracy by category, on 70 of 70 questions" in capsys.readouterr().out
    samples = open_heads(run)[0].samples
    points, right = ImagePoints.of(samples, CIRCULAR), (samples["prediction"] == samples["answer"]).to_numpy()
    assert points.total(points.points(right[:, None])) == pytest.approx([table.loc["all", "score"]])
    assert main(["validate", str(run)]) == 0
    assert main(["report", str(run), "--images", "0", "--output-dir", str(tmp_path / "page")]) == 0
    page = (tmp_path / "page" / "report.html").read_text(encoding="utf-8")
    assert 'data-score="accuracy_circular"' in page


def test_rotations_without_their_partners_are_named_and_not_scored(tmp_path, capsys):
    rows = [row for row in rotated(6) if row["index"] not in (1_000_002, 4)]
    questions = read_questions(write_questions(tmp_path / "table.tsv", *rows))
    (note,) = questions.notes
    assert "`circular`: 2 of 6 groups of questions that are scored together lack a question: 2, 4; their rows" in note
    run = write_answers(tmp_path / "run", questions, answering(0.9))
    table = summary(run, tmp_path / "out")
    assert table["left_out"].sum() - table.loc["all", "left_out"] == 6
    assert "one that they are scored with is missing" in capsys.readouterr().out
    heads, _ = open_heads(run)
    line = "answers: 6 questions are counted here and not in the score, as one scored together with them is missing"
    assert line in diagnose(heads, ["a2v"], heads.scope(None), resamples=50).verdict()
    wordings, _ = open_heads(write_wordings(tmp_path / "wordings", questions), mixed=True)
    assert line in compare_prompts(wordings, ["a2v"], resamples=50).verdict()


def test_options_that_are_not_rotated_are_no_circle(tmp_path):
    rows = [row for row in rotated(6) if row["index"] < 1_000_000]
    assert read_questions(write_questions(tmp_path / "table.tsv", *rows)).task is CHOICES
    found = read_questions(write_questions(tmp_path / "rotated.tsv", *rotated(6)), task="choices")
    assert {sample.groups for sample in found.samples} == {None}


def published_choices(random, form, folder):
    """A question file of a benchmark with options, as it is published, and the right letters of its rows."""
    right = random.integers(0, 4, 24)
    words = [[f"{name} {number}" for name in ("red", "blue", "green", "grey")] for number in range(24)]
    question = [f"What colour is number {number}?" for number in range(24)]
    picture = {"bytes": READABLE["rgb"], "path": "0.png"}
    letter = [OPTION_LETTERS[place] for place in right]
    asked = list(zip(question, words, right, letter, strict=True))
    listed = [" ".join(f"({'ABCD'[place]}) {word}" for place, word in enumerate(each)) for each in words]
    rows = {
        "mmbench.tsv": lambda: [
            {"index": number, "question": text, "hint": "", "answer": correct}
            | dict(zip("ABCD", options, strict=True))
            | {"category": f"c{number % 2}", "image": base64.b64encode(READABLE["rgb"]).decode()}
            for number, (text, options, _, correct) in enumerate(asked)
        ],
        "seed.json": lambda: [
            {"question_id": str(number), "question_type_id": 1 + number % 2, "data_type": "image", "data_id": "0.png"}
            | {f"choice_{name}": option for name, option in zip("abcd", options, strict=True)}
            | {"question": text, "answer": correct}
            for number, (text, options, _, correct) in enumerate(asked)
        ],
        "scienceqa.parquet": lambda: [
            {"image": picture, "question": text, "choices": options, "answer": int(place), "hint": "", "category": "c"}
            for text, options, place, _ in asked
        ],
        "mmstar.parquet": lambda: [
            {"index": number, "image": READABLE["rgb"], "answer": correct, "category": f"c{number % 2}"}
            | {"question": f"{text}\nOptions: " + ", ".join(map(": ".join, zip("ABCD", options, strict=True)))}
            for number, (text, options, _, correct) in enumerate(asked)
        ],
        "mmmu.parquet": lambda: [
            {"id": f"validation_Art_{number}", "question": f"<image 1> {text}", "options": str(options)}
            | {"image_1": picture, "answer": correct, "question_type": "multiple-choice", "subfield": "Art"}
            for number, (text, options, _, correct) in enumerate(asked)
        ],
        "llava_test_CQM-A.json": lambda: [
            {"id": str(number), "image": "0.png", "conversations": [
                {"from": "human", "value": f"<image>\n{text}\nOptions: {each}"},
                {"from": "gpt", "value": f"{correct}."},
            ]} for number, ((text, _, _, correct), each) in enumerate(zip(asked, listed, strict=True))
        ],
    }[form]()  # fmt: skip
    path = folder / form
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".tsv":
        pd.DataFrame(rows).to_csv(path, sep="\t", index=False)
    else:
        path.write_text(json.dumps({"questions": rows} if form == "seed.json" else rows))
    return path, letter


@pytest.mark.parametrize(
    "form",
    ["mmbench.tsv", "seed.json", "scienceqa.parquet", "mmstar.parquet", "mmmu.parquet", "llava_test_CQM-A.json"],
)
def test_accuracy_of_choices_is_that_of_letters_in_the_published_file(tmp_path, form):
    random = np.random.default_rng(5)
    path, right = published_choices(random, form, tmp_path)
    said = [letter if random.random() < 0.6 else str(random.choice(list("ABCD"))) for letter in right]
    questions = read_questions(path)
    assert questions.task is CHOICES
    assert [len(sample.options) for sample in questions.samples] == [4] * 24
    run = write_answers(tmp_path / "run", questions, lambda sample: said[sample.row])
    table = summary(run, tmp_path / "summary")
    expected = 100 * np.mean([one == other for one, other in zip(said, right, strict=True)])
    assert 40 < expected < 90
    whole = table.loc["all" if len(table) > 1 else table.index[0]]
    assert (whole["questions"], whole["accuracy"]) == (24, pytest.approx(expected))
    if form == "seed.json":
        assert table.loc[["1", "2"], "questions"].tolist() == [12, 12]
