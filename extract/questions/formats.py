"""Every form in which MME comes, and LLaVA's files of other benchmarks -> rows with the fields of MME_test.json.

MME_test.json    a list of `{question_id, image_file, question, answer, category}`
*.jsonl          LLaVA's files of MME and POPE, a `{question_id, image, text, category}` a line
*.json           LLaVA's file of ScienceQA, a list of `{id, image, conversations}`
*.parquet        the hub's lmms-lab/MME with its images: a file, or a folder of shards
a folder         MME as released, a folder for each category
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from extract.questions.mme_release import numbered_lines, read_released, read_text, released_texts
from extract.questions.parquet import ImageBytes, find_shards, read_texts
from schemas.errors import HeadflowError
from schemas.text import one_line

MME_SUFFIX = "\nAnswer the question using a single word or phrase."  # what LLaVA appends to MME's questions
ALIASES = {"image": "image_file", "text": "question", "label": "answer"}


@dataclass(frozen=True)
class QuestionFile:
    """What a question file or folder holds.

    Attributes:
        rows: the questions in its order, with the fields of MME_test.json, not checked. The field `text` comes
            without `MME_SUFFIX`, with which LLaVA's files end it, because prompts append it.
        sha256: of the file; of several files, of their names and contents.
        images: the images in Parquet, or the folder itself; None: the file does not say where its images are.
    """

    rows: list[Any]
    sha256: str
    images: Path | ImageBytes | None


def read_question_file(path: Path) -> QuestionFile:
    """Read a question file or folder of any form.

    Raises:
        HeadflowError: nothing is there, it is not of the form that its name promises, or it holds no questions.
    """
    if shards := find_shards(path):
        rows = list(read_texts(shards))
        sha256 = _sha256(path) if path.is_file() else _sha256_of_files({shard.name: shard for shard in shards})
        file = QuestionFile(rows, sha256, ImageBytes(shards))
    elif path.is_dir():
        file = _read_release(path)
    else:
        text = read_text(path)
        rows = _json_lines(text, path) if path.suffix == ".jsonl" else _json_list(text, path)
        file = QuestionFile([_with_mme_names(row) for row in rows], _sha256(path), None)
    if not file.rows:
        raise HeadflowError(f"question file {path} holds no questions")
    return file


def _read_release(folder: Path) -> QuestionFile:
    rows = read_released(folder)
    if not rows:
        raise HeadflowError(
            f"question folder {folder} holds no CATEGORY/*.txt, no CATEGORY/questions_answers_YN and no *.parquet"
        )
    texts = {text.relative_to(folder).as_posix(): text for text in released_texts(folder)}
    return QuestionFile(list(rows), _sha256_of_files(texts), folder)


def _json_lines(text: str, path: Path) -> list[Any]:
    return [_json(line, f"{path}, line {number},") for number, line in numbered_lines(text)]


def _json_list(text: str, path: Path) -> list[Any]:
    rows = _json(text, str(path))
    if not isinstance(rows, list):
        raise HeadflowError(f"question file {path} holds a JSON {type(rows).__name__}, not a list of questions")
    return rows


def _json(text: str, name: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise HeadflowError(f"question file {name} is not JSON: {one_line(error)}") from None


def _with_mme_names(row: Any) -> Any:
    """A row with the field names of MME_test.json in place of LLaVA's."""
    if not isinstance(row, dict):
        return row
    row = _with_first_messages(row) if isinstance(row.get("conversations"), list) else dict(row)
    for theirs, ours in ALIASES.items():
        if theirs in row and ours not in row:
            value = row.pop(theirs)
            row[ours] = value.removesuffix(MME_SUFFIX) if theirs == "text" and isinstance(value, str) else value
    return row


def _with_first_messages(row: dict[str, Any]) -> dict[str, Any]:
    """A row with the first question and answer of its `conversations`; some of ScienceQA's have no image."""

    def first(sender: str) -> Any:
        messages = (message for message in row["conversations"] if isinstance(message, dict))
        return next((message.get("value") for message in messages if message.get("from") == sender), None)

    return {"question_id": row.get("id"), "image": None, "question": first("human"), "answer": first("gpt"), **row}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sha256_of_files(files: Mapping[str, Path]) -> str:
    """The hash of several files' names and contents, in their order."""
    whole = hashlib.sha256()
    for name, file in files.items():
        whole.update(f"{name}\0".encode())
        whole.update(bytes.fromhex(_sha256(file)))
    return whole.hexdigest()
