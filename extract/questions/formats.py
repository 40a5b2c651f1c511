"""Every form in which MME comes, and LLaVA's own files of other benchmarks -> rows with the fields of MME_test.json.

MME_test.json    a list of `{question_id, image_file, question, answer, category}`
*.jsonl          LLaVA's files of MME and POPE, a `{question_id, image, text, category}` a line
*.json           LLaVA's file of ScienceQA, a list of `{id, image, conversations}`
*.parquet        the hub's lmms-lab/MME with its images: a file, or a folder of shards
a folder         MME as released, a folder for each category
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from extract.questions.parquet import ImageBytes, find_shards, read_texts
from extract.questions.release import numbered_lines, read_released, read_text, released_texts
from schemas.errors import HeadflowError
from schemas.text import one_line

MME_SUFFIX = "\nAnswer the question using a single word or phrase."  # what LLaVA asks MME with
ALIASES = {"image": "image_file", "text": "question", "label": "answer"}


def read_rows(path: Path) -> list[Any]:
    """The rows of a question file or folder, in its order.

    Rows of a file are not checked. `text` comes without `MME_SUFFIX`, with which LLaVA's files end it: prompts add it.

    Raises:
        HeadflowError: nothing there, not of the form that its name promises, or no questions.
    """
    if shards := find_shards(path):
        rows = list(read_texts(shards))
    elif path.is_dir():
        rows = read_released(path)
        if not rows:
            raise HeadflowError(
                f"question folder {path} holds no CATEGORY/*.txt, no CATEGORY/questions_answers_YN and no *.parquet"
            )
    elif path.suffix == ".jsonl":
        lines = numbered_lines(read_text(path))
        rows = [_named(_json(line, f"{path}, line {number},")) for number, line in lines]
    else:
        rows = _json(read_text(path), str(path))
        if not isinstance(rows, list):
            raise HeadflowError(f"question file {path} holds a JSON {type(rows).__name__}, not a list of questions")
        rows = [_named(row) for row in rows]
    if not rows:
        raise HeadflowError(f"question file {path} holds no questions")
    return rows


def find_images(path: Path, image_folder: Path | None) -> Path | ImageBytes:
    """Where the images of a question file lie: in its shards, or in a folder, by default the question folder itself.

    Raises:
        HeadflowError: there is no such folder, or none is given.
    """
    if shards := find_shards(path):
        return ImageBytes(shards)
    if image_folder is None and not path.is_dir():
        raise HeadflowError(f"question file {path} holds no images; give --image-folder")
    folder = image_folder or path
    if not folder.is_dir():
        raise HeadflowError(f"--image-folder {folder} is not a directory")
    return folder


def digest(path: Path) -> str:
    """sha256 of a question file; or of the names and contents of its shards, or of the texts of a released folder."""
    if path.is_file():
        return _sha256(path).hex()
    files = {shard.name: shard for shard in find_shards(path)}
    files = files or {text.relative_to(path).as_posix(): text for text in released_texts(path)}
    whole = hashlib.sha256()
    for name, file in files.items():
        whole.update(f"{name}\0".encode())
        whole.update(_sha256(file))
    return whole.hexdigest()


def _sha256(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _named(row: Any) -> Any:
    """A row by the names of MME_test.json, where it has LLaVA's."""
    if not isinstance(row, dict):
        return row
    row = _asked_first(row) if isinstance(row.get("conversations"), list) else dict(row)
    for theirs, ours in ALIASES.items():
        if theirs in row and ours not in row:
            value = row.pop(theirs)
            row[ours] = value.removesuffix(MME_SUFFIX) if theirs == "text" and isinstance(value, str) else value
    return row


def _asked_first(row: dict[str, Any]) -> dict[str, Any]:
    """A row with the first question and answer of its `conversations`; ScienceQA has some about no image."""

    def first(speaker: str) -> Any:
        turns = (turn for turn in row["conversations"] if isinstance(turn, dict))
        return next((turn.get("value") for turn in turns if turn.get("from") == speaker), None)

    return {"question_id": row.get("id"), "image": None, "question": first("human"), "answer": first("gpt"), **row}


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise HeadflowError(f"question file {where} is not JSON: {one_line(error)}") from None
