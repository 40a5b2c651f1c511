"""Oracle: MME_test.json itself; the same data in each other form must give the same samples, in the same order.

Answers beside images are compared with those of MME_test.json.
"""

import csv
import json
import shutil
from dataclasses import replace

import pandas as pd
import pytest

from extract.__main__ import main
from extract.questions.question_set import read_questions
from schemas.errors import HeadflowError
from schemas.store.run import open_run
from tests.support.shards import hub_rows, write_shards

SUFFIX = "\nAnswer the question using a single word or phrase."


@pytest.fixture
def rows(questions):
    """The rows of a MME_test.json, in the order of a folder."""
    found = json.loads((questions / "MME_test.json").read_text())
    return sorted(found, key=lambda row: row["image_file"])


@pytest.fixture
def released(tmp_path, questions, rows):
    """The same as a folder; its first category keeps images and texts apart."""
    folder = tmp_path / "MME"
    shutil.copytree(questions / "images", folder)
    first = rows[0]["category"]
    for row in rows:
        category, name = row["image_file"].split("/")
        texts = folder / category
        if category == first:
            texts = folder / category / "questions_answers_YN"
            texts.mkdir(exist_ok=True)
            (folder / category / "images").mkdir(exist_ok=True)
            if (folder / category / name).is_file():
                (folder / category / name).rename(folder / category / "images" / name)
        last = texts / name.replace(".png", ".txt")
        with last.open("a", newline="") as file:
            file.write(f"{row['question']}\t{row['answer']}\r\n")
    last.write_text(last.read_text() + "\n \n")
    (folder / "eval_tool.zip").touch()
    return folder


def apart(samples, category):
    """Samples, with the images of a category in a folder of their own, as in MME's release."""
    return [
        vars(sample)
        | {"images": (sample.image.replace("/", "/images/") if sample.category == category else sample.image,)}
        for sample in samples
    ]


def test_all_forms_are_the_same_samples(tmp_path, questions, rows, released):
    as_json, as_lines = tmp_path / "MME_test.json", tmp_path / "llava_mme.jsonl"
    as_json.write_text(json.dumps(rows))
    expected = read_questions(as_json).samples
    lines = [
        {
            "question_id": row["question_id"],
            "image": row["image_file"],
            "text": row["question"] + SUFFIX,
            "category": row["category"],
            "label": row["answer"],
            "boxes": row.get("boxes"),
        }
        for row in rows
    ]
    as_lines.write_text("\n\n".join(json.dumps(line) for line in lines) + "\n")
    assert read_questions(as_lines).samples == expected
    as_json.write_text(json.dumps(lines))
    assert read_questions(as_json).samples == expected
    without = [replace(sample, boxes=None) for sample in expected]
    assert [vars(sample) for sample in read_questions(released).samples] == apart(without, rows[0]["category"])
    (shard,) = write_shards(tmp_path / "one", hub_rows(rows, questions / "images"))
    write_shards(tmp_path / "shards" / "data", hub_rows(rows, questions / "images"), shards=3, group=4)
    for form in (shard, shard.parent, tmp_path / "shards", tmp_path / "shards" / "data" / "*.parquet"):
        assert read_questions(form).samples == expected
    assert len(expected) == len(rows) > 10


@pytest.fixture
def table(rows):
    return pd.DataFrame(rows)


FORMS = {
    "q.csv": lambda table: table.to_csv(index=False),
    "Q.CSV": lambda table: table.to_csv(),  # with the numbers of its rows
    "semicolons.csv": lambda table: table.to_csv(index=False, sep=";") + ";;;;\n\n",
    "quoted.csv": lambda table: table.to_csv(index=False, quoting=csv.QUOTE_ALL, lineterminator="\r\n"),
    "q.tsv": lambda table: table.to_csv(index=False, sep="\t"),
    "lines.JSONL": lambda table: table.to_json(orient="records", lines=True),
    "lines.json": lambda table: table.to_json(orient="records", lines=True),
    "lines": lambda table: table.to_json(orient="records", lines=True),
    "list.jsonl": lambda table: json.dumps(table.to_dict("records"), indent=1),
    "object.json": lambda table: json.dumps({"version": 1, "questions": table.to_dict("records")}),
    "data.json": lambda table: json.dumps({"data": table.to_dict("records")}, indent=1),
    "columns.json": lambda table: table.to_json(),
    "columns.jsonl": lambda table: json.dumps(table.to_dict("list"), indent=1),
    "names.json": lambda table: json.dumps(renamed(table, image_file="img", question="prompt").to_dict("records")),
    "names.csv": lambda table: renamed(table, image_file="Image", question="Question ", answer="LABEL").to_csv(),
    "paths.csv": lambda table: renamed(table, image_file="image_path", question="text").to_csv(),
}


def renamed(table, **names):
    return table.rename(columns=names)


@pytest.mark.parametrize("name", FORMS)
def test_forms_that_others_write(tmp_path, rows, table, name):
    (tmp_path / "MME_test.json").write_text(json.dumps(rows))
    (tmp_path / name).write_text(FORMS[name](table), newline="")
    assert read_questions(tmp_path / name).samples == read_questions(tmp_path / "MME_test.json").samples


def test_a_table_with_odd_cells(tmp_path):
    path = tmp_path / "q.csv"
    path.write_text(
        'question_id, image, question, answer\n1, a.png, "Is it red, or\n""blue""?", None\n'
        ",b.png,nan,\nNaN,,Is it?,N/A\n"
    )
    first, second, third = read_questions(path).samples
    assert (first.question, first.answer, first.question_id) == ('Is it red, or\n"blue"?', "None", "1")
    assert (second.question, second.answer, second.question_id) == ("", None, None)
    assert (third.image, third.answer, third.question_id) == ("", "N/A", None)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_files_that_a_spreadsheet_writes(tmp_path, rows, table, encoding):
    (tmp_path / "MME_test.json").write_text(json.dumps(rows))
    (tmp_path / "q.csv").write_bytes(table.to_csv(index=False, sep="\t", lineterminator="\r\n").encode(encoding))
    assert read_questions(tmp_path / "q.csv").samples == read_questions(tmp_path / "MME_test.json").samples


def test_one_question(tmp_path):
    path = tmp_path / "q.jsonl"
    path.write_text('{"image": "a.png", "text": "Is it?"}\n')
    assert [sample.question for sample in read_questions(path).samples] == ["Is it?"]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        (
            "q.csv",
            "image,question\na.png,Is it red, or blue?\n",
            "line 2 has 3 cells between ',', and the first one has 2",
        ),
        ("q.csv", "image,question\na.png\n", "line 2 has 1 cells"),
        ("q.csv", 'image,question\na.png,"Is it?\n', "line 2, is no table: unexpected end of data"),
        ("q.csv", "image,question,image\na,b,c\n", "has the column image twice"),
        ("q.csv", "", "holds no questions"),
        (
            "q.csv",
            "picture,asked\na,b\n",
            "its first line names no column of `image_file` (or image, img, image_path, filename, data_id) and",
        ),
        ("q.csv", "# MME\nimage,question\na,b\n", "its first line names no column of"),
        (
            "q.csv",
            "image,answer\na,b\n",
            "row 0 has no `question`; each row needs `image_file` (or image, img, image_path, filename, data_id)",
        ),
        ("q.json", '{"rows": 1}', "holds a JSON dict, not a list; a question file is a list in JSON, JSON lines, CSV"),
        ("q.txt", "Is it?\tYes\n", "is not JSON: Expecting value: line 1 column 1 (char 0); a question file is"),
        ("q.xlsx", b"PK\3\4\xff", "is not text in UTF-8"),
    ],
)
def test_what_is_no_question_file_is_told_the_forms(tmp_path, name, content, says):
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(HeadflowError) as error:
        read_questions(tmp_path / name)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_llava_s_file_of_pope(tmp_path):
    path = tmp_path / "llava_pope_test.jsonl"
    line = {"question_id": 0, "image": "COCO_1.jpg", "text": "Is there a bed?" + SUFFIX, "category": "adversarial"}
    path.write_text(f"{json.dumps(line)}\n{json.dumps(line | {'question_id': 1})}\n")
    first, second = read_questions(path).samples
    assert (first.sample_id, first.image, first.question) == ("0", "COCO_1.jpg", "Is there a bed?")
    assert (second.sample_id, second.category, second.answer) == ("1", "adversarial", None)


def test_llava_s_file_of_scienceqa(tmp_path, questions, extract):
    path = tmp_path / "llava_test_CQM-A.json"
    picture = next((questions / "images").rglob("*.png")).relative_to(questions / "images")
    asked = "Which is it?\nContext: N/A\nOptions: (A) this (B) that"
    turns = [{"from": "human", "value": f"<image>\n{asked}"}, {"from": "gpt", "value": "The answer is A."}]
    only_text = [{"from": "human", "value": asked}, *turns[1:]]
    broken = [{"from": "gpt"}, "no turn"]
    rows = [
        {"id": "4", "image": picture.as_posix(), "conversations": turns},
        {"id": "5", "conversations": only_text, "category": "physics"},
        {"id": "6", "image": picture.as_posix(), "conversations": broken},
    ]
    path.write_text(json.dumps(rows))
    assert extract(tmp_path / "run", question_file=path) == 0
    assert open_run(tmp_path / "run").manifest.task == "choices"
    samples = pd.read_parquet(tmp_path / "run" / "samples").set_index("question_id")
    assert list(samples["options"]["4"]) == ["this", "that"]
    assert samples["reason"].fillna("").to_dict() == {"4": "", "5": "image_missing", "6": "question_empty"}
    assert samples["detail"]["5"] == "the question names no image file"
    assert samples["question"].fillna("").to_dict() == {"4": turns[0]["value"], "5": asked, "6": ""}
    assert samples["answer"].fillna("").to_dict() == {"4": "The answer is A.", "5": "The answer is A.", "6": ""}
    assert samples["category"].to_dict() == {"4": "unknown", "5": "physics", "6": "unknown"}


@pytest.fixture
def without_answers(tmp_path, rows):
    """LLaVA's file of MME: it leaves out the words that end MME's questions, and it has no answers."""
    path = tmp_path / "llava_mme.jsonl"
    path.write_text(
        "\n".join(
            json.dumps(
                {
                    "question_id": row["question_id"],
                    "image": row["image_file"],
                    "text": row["question"] + SUFFIX,
                    "category": row["category"],
                }
            )
            for row in rows
        )
    )
    return path


def test_answers_come_from_the_release(without_answers, released, rows):
    for text in released.rglob("*.txt"):
        text.write_text(text.read_text().replace("\t", "  Please answer yes or no.\t"))
    assert {sample.answer for sample in read_questions(without_answers).samples} == {None}
    found = read_questions(without_answers, image_folder=released).samples
    assert [sample.answer for sample in found] == [row["answer"] for row in rows]
    assert [vars(sample) | {"answer": None} for sample in found] == list(
        map(vars, read_questions(without_answers).samples)
    )


def test_answers_are_those_of_the_question(without_answers, released, rows):
    text = next(released.glob("*/*.txt"))
    text.write_text("Is it another question?\tYes\n")
    name = f"{text.parent.name}/{text.stem}.png"
    found = read_questions(without_answers, image_folder=released).samples
    assert [sample.answer for sample in found] == [None if row["image_file"] == name else row["answer"] for row in rows]


def test_other_texts_beside_images_are_no_matter(without_answers, released):
    next(released.glob("*/*.txt")).write_text("a caption\n")
    assert {sample.answer for sample in read_questions(without_answers, image_folder=released).samples} == {None}


def test_answers_of_the_file_win(tmp_path, rows, released):
    path = tmp_path / "MME_test.json"
    path.write_text(json.dumps([row | {"answer": "Maybe"} for row in rows]))
    assert {sample.answer for sample in read_questions(path, image_folder=released).samples} == {"Maybe"}


def test_mme_s_own_names_win(tmp_path):
    path = tmp_path / "questions.json"
    path.write_text(json.dumps([{"image_file": "a.png", "image": {"bytes": 1}, "question": "Q", "text": 3}]))
    (sample,) = read_questions(path).samples
    assert (sample.image, sample.question) == ("a.png", "Q")


def test_a_folder_can_be_extracted_as_it_is(tmp_path, released, extract, rows):
    run = tmp_path / "run"
    missing = next((released / rows[0]["category"] / "images").iterdir())
    missing.unlink()
    flags = {"question_file": released, "image_folder": released}
    assert extract(run, **flags) == 0
    samples = pd.read_parquet(run / "samples")
    assert len(samples) == len(rows)
    assert samples.loc[samples["status"] == "skipped", "reason"].tolist() == ["image_missing"] * 2
    assert open_run(run).manifest.question_file_sha256 == read_questions(released).sha256


def test_a_folder_that_windows_or_macos_has_written(released, rows):
    """Suffixes in capitals, and the hidden files that come with a copy."""
    expected = read_questions(released)
    for file in [*released.rglob("*.png"), *released.rglob("*.txt")]:
        file.with_name(f"._{file.name}").write_bytes(b"\0\5\26\7\0\xff")
        file.rename(file.with_suffix(file.suffix.upper()))
    (released / ".DS_Store").write_bytes(b"\0\0\0\1Bud1\xff")
    for folder in ("__MACOSX", ".ipynb_checkpoints"):
        (released / folder).mkdir()
    (released / "__MACOSX" / "._a.txt").write_bytes(b"\0\5\26\7\xff")
    (released / ".ipynb_checkpoints" / "a.txt").write_text("Is it?\tYes\n")
    found = read_questions(released)
    asked = [[(s.question, s.answer, s.category) for s in each.samples] for each in (found, expected)]
    assert asked[0] == asked[1]
    assert [s.image for s in found.samples] == [s.image.replace(".png", ".PNG") for s in expected.samples]
    assert all((released / sample.image).is_file() for sample in found.samples)


def test_a_folder_is_its_own_image_folder(tmp_path, released, checkpoint_path):
    argv = ["--model-path", checkpoint_path, "--question-file", released, "--output-dir", tmp_path / "run"]
    argv += ["--device", "cpu"]
    assert main([str(each) for each in argv]) == 0
    assert (pd.read_parquet(tmp_path / "run" / "samples")["status"] == "ok").all()


def test_where_no_folder_has_the_images(tmp_path, questions, checkpoint_path, capsys):
    file = questions / "MME_test.json"
    argv = ["--model-path", checkpoint_path, "--question-file", file, "--output-dir", tmp_path / "run"]
    argv += ["--device", "cpu"]
    assert main([str(each) for each in argv]) == 2
    assert capsys.readouterr().err == f"error: question file {file} holds no images; see --image-folder\n"


def test_the_digest_is_of_texts_and_their_names(released, rows):
    before = read_questions(released).sha256
    text = next(released.glob("*/*.txt"))
    content = text.read_bytes()
    text.write_bytes(content + b"Is it?\tNo")
    assert read_questions(released).sha256 != before
    text.write_bytes(content)
    assert read_questions(released).sha256 == before
    text.rename(text.with_name("other.txt"))
    assert read_questions(released).sha256 != before


def test_what_is_wrong_is_said(tmp_path, released):
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    with pytest.raises(HeadflowError, match="holds no CATEGORY"):
        read_questions(nothing)
    (nothing / "MME_test.json").touch()
    with pytest.raises(HeadflowError, match=r"give the file itself, such as .*nothing/MME_test\.json"):
        read_questions(nothing)
    text = next(released.glob("*/*.txt"))
    text.write_text("Is it?\tYes\n\nIs it not? No\n")
    with pytest.raises(HeadflowError, match=f"{text.name}, line 3, has no tab"):
        read_questions(released)
    lines = tmp_path / "some.jsonl"
    lines.write_text('{"image": "a", "text": "b"}\n\n{"image"\n')
    with pytest.raises(HeadflowError, match="line 3, is not JSON"):
        read_questions(lines)
    lines.write_text("\n")
    with pytest.raises(HeadflowError, match="holds no questions"):
        read_questions(lines)
    lines.write_text('{"image": "a"}\n')
    with pytest.raises(HeadflowError, match="row 0 has no `question`"):
        read_questions(lines)
