"""The files that scorers of other tools read, from the questions of a run."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from analyze.scorers.reading import (
    Reading,
    by_lmms_mme,
    by_lmms_pope,
    by_mme,
    by_pope,
    by_vlmevalkit_option,
    by_vlmevalkit_word,
)
from analyze.scorers.rows import images, labels, questions
from schemas.columns import GROUPS
from schemas.errors import HeadflowError
from schemas.tasks import HALLUSION, MME, OPTION_LETTERS, POPE, Task

Files = Mapping[str, str]  # by name, within the folder


@dataclass(frozen=True)
class Form:
    """What a tool's scorer reads.

    Attributes:
        files: the questions, the task, and the names of the model and of the benchmark there -> the files.
        reading: how the scorer reads the answers to questions of a task; None: another model does, or it is not known.
        tasks: the tasks that it scores; empty: all.
        names: the benchmark of a task there, where that is not the name of the task.
        together: how many questions it expects on an image; None: any number.
    """

    files: Callable[[pd.DataFrame, Task, str, str], Files]
    reading: Callable[[Task], Reading | None]
    tasks: Sequence[Task] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    together: int | None = None

    @property
    def labelled(self) -> bool:
        """Whether its files have the right answers; else the tool has them."""
        return bool(self.tasks)


def _mme(table: pd.DataFrame, task: Task, model: str, name: str) -> Files:
    """A text for each category: image, question, right answer, answer; the two questions on an image in a row."""
    lines = pd.Series(
        ["\t".join(cells) for cells in zip(images(table), questions(table), labels(table), table["text"], strict=True)],
        table.index,
        dtype=object,
    )
    found = {}
    for category, rows in table.groupby(table["category"].astype(str), sort=False):
        first = rows.groupby("pairs")["pairs"].transform(lambda own: own.index[0])
        order = first.sort_values(kind="stable").index
        found[f"{_file(category)}.txt"] = "".join(f"{line}\n" for line in lines[order])
    return found


def _pope(table: pd.DataFrame, task: Task, model: str, name: str) -> Files:
    """Labels and answers of each category as POPE reads them, and all questions and answers as LLaVA does."""
    records = [
        {
            "question_id": sample, "image": image, "question": question, "text": question, "label": label.lower(),
            "category": category, "answer": answer,
        }
        for sample, image, question, label, category, answer in zip(
            table["sample_id"].astype(str), images(table), questions(table), labels(table),
            table["category"].astype(str), table["text"], strict=True,
        )
    ]  # fmt: skip
    found = {
        "questions.jsonl": _lines(records, "question_id", "image", "text", "category"),
        "answers.jsonl": _lines([each | {"text": each["answer"]} for each in records], "question_id", "text"),
    }
    for category in table["category"].astype(str).unique():
        own = [each for each in records if each["category"] == category]
        found[f"labels/coco_pope_{_file(category)}.json"] = _lines(own, "question_id", "image", "text", "label")
        found[f"answers/{_file(category)}.jsonl"] = _lines(own, "question", "answer")
    return found


def _vlmevalkit(table: pd.DataFrame, task: Task, model: str, name: str) -> Files:
    """The table of predictions that VLMEvalKit evaluates, with tabs."""
    rows = {
        "index": _indices(table, task),
        "question": questions(table),
        "answer": labels(table) if task.options else table["answer"].fillna("").tolist(),
        "category": table["category"].astype(str).tolist(),
        "image_path": images(table),
    }
    if task is HALLUSION and table[GROUPS].notna().all():
        rows["l2-category"] = ["_".join(index.split("_")[:2]) for index in rows["index"]]
    if not task.options:
        rows["hint"] = table["hint"].fillna("").tolist()
        rows["answer"] = ["" if pd.isna(place) else OPTION_LETTERS[int(place)] for place in table["right"]]
        for place in range(max(map(len, table["options"]), default=0)):
            texts = [each[place] if place < len(each) else "" for each in table["options"]]
            rows[OPTION_LETTERS[place]] = texts
    text = io.StringIO()
    whole = pd.DataFrame(rows | {"prediction": table["text"].tolist()})
    whole.to_csv(text, sep="\t", index=False, quoting=csv.QUOTE_ALL, lineterminator="\n")
    return {f"{_file(model)}_{_file(name)}.tsv": text.getvalue()}


def _indices(table: pd.DataFrame, task: Task) -> list[Any]:
    """The index of each question in VLMEvalKit's table: its id where all have a number of their own, or its row."""
    if task is HALLUSION and table[GROUPS].notna().all():
        return [f"{_of_set(*groups)}" for groups in table[GROUPS]]
    ids = table["question_id"].fillna("").astype(str)
    if ids.str.fullmatch(r"\d{1,18}").all() and ids.is_unique:
        return ids.astype("int64").tolist()
    return _rows(table)


def _rows(table: pd.DataFrame) -> list[int]:
    """The row of each question in the question file.

    Raises:
        HeadflowError: they are not known, as in a run that is merged from several question files.
    """
    if table["row"].isna().any():
        raise HeadflowError(
            "the places of questions in their file are not known, as they are of several files, and the scorer finds "
            "questions by them; write the answers of each run by itself"
        )
    return table["row"].astype("int64").tolist()


def _of_set(figure: str, question: str) -> str:
    """The index of a question of HallusionBench from the names of its groups: `VD_illusion_1_0_0_0`."""
    begin, number = figure.rsplit("_", 2)[0], figure.rsplit("_", 2)[1:]
    return "_".join([begin, "1", *number, question.rsplit("_", 1)[1]])


def _lmms_eval(table: pd.DataFrame, task: Task, model: str, name: str) -> Files:
    """A line for each question as lmms-eval logs samples, and the log that its model `from_log` reads."""
    right = labels(table) if task.options else table["answer"].fillna("").tolist()
    samples = [
        {"doc_id": row, "target": target, "resps": [[text]], "filtered_resps": [text]}
        for row, target, text in zip(_rows(table), right, table["text"], strict=True)
    ]
    log = {
        "args": {"model": "headflow", "model_args": model, "limit": None},
        "model_configs": {"task": name},
        "logs": samples,
    }
    return {
        f"samples_{_file(name)}.jsonl": _lines(samples, *samples[0]),
        f"{_file(name)}.json": json.dumps(log, ensure_ascii=False, indent=1) + "\n",
    }


def _lines(records: Sequence[Mapping[str, Any]], *names: str) -> str:
    return "".join(json.dumps({name: each[name] for name in names}, ensure_ascii=False) + "\n" for each in records)


def _file(name: object) -> str:
    """A name as part of a file's."""
    return str(name).replace("/", "_").replace("\\", "_").replace("\0", "_") or "_"


def _by_lmms(task: Task) -> Reading | None:
    return {MME.name: by_lmms_mme, POPE.name: by_lmms_pope}.get(task.name)


FORMS = {
    "mme": Form(_mme, lambda task: by_mme, (MME,), together=2),
    "pope": Form(_pope, lambda task: by_pope, (POPE,)),
    "vlmevalkit": Form(
        _vlmevalkit,
        lambda task: by_vlmevalkit_word if task.options else by_vlmevalkit_option,
        names={"mme": "MME", "pope": "POPE", "amber": "AMBER", "hallusion": "HallusionBench"},
    ),
    "lmms-eval": Form(_lmms_eval, _by_lmms, names={"hallusion": "hallusion_bench_image"}),
}
