"""Every form in which MME comes -> rows with the fields of MME_test.json.

MME_test.json    a list of `{question_id, image_file, question, answer, category}`
*.jsonl          LLaVA's own files, a `{question_id, image, text, category}` a line
a folder         MME as released: CATEGORY/*.txt beside its images, or CATEGORY/questions_answers_YN/*.txt and
                 CATEGORY/images; each line is a question, a tab, and Yes or No
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from extract.templates import MME_SUFFIX
from schemas.errors import HeadflowError, one_line

ALIASES = {"image": "image_file", "text": "question", "label": "answer"}
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
Row = dict[str, Any]


def read_rows(path: Path) -> list[Any]:
    """The rows of a question file or folder, in its order; a folder's by category and file, as names sort.

    Rows of a file are not checked. `text` comes without `MME_SUFFIX`, with which LLaVA's files end it: prompts add it.

    Raises:
        HeadflowError: nothing there, not of the form that its name promises, or no questions.
    """
    if path.is_dir():
        rows = [row for category in sorted(path.iterdir()) for row in _released(category)]
        if not rows:
            raise HeadflowError(f"question folder {path} holds no CATEGORY/*.txt and no CATEGORY/questions_answers_YN")
        return rows
    text = _text(path)
    if path.suffix == ".jsonl":
        rows = [_named(_json(line, f"{path}, line {number},")) for number, line in _lines(text)]
    else:
        rows = _json(text, str(path))
        if not isinstance(rows, list):
            raise HeadflowError(f"question file {path} holds a JSON {type(rows).__name__}, not a list of questions")
        rows = [_named(row) for row in rows]
    if not rows:
        raise HeadflowError(f"question file {path} holds no questions")
    return rows


def digest(path: Path) -> str:
    """sha256 of a question file, or of the names and contents of a folder's."""
    if not path.is_dir():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    whole = hashlib.sha256()
    for category in sorted(path.iterdir()):
        for text in _texts(category):
            whole.update(f"{text.relative_to(path).as_posix()}\0".encode())
            whole.update(hashlib.sha256(text.read_bytes()).digest())
    return whole.hexdigest()


def _named(row: Any) -> Any:
    """A row by the names of MME_test.json, where it has LLaVA's."""
    if not isinstance(row, dict):
        return row
    row = dict(row)
    for theirs, ours in ALIASES.items():
        if theirs in row and ours not in row:
            value = row.pop(theirs)
            row[ours] = value.removesuffix(MME_SUFFIX) if theirs == "text" and isinstance(value, str) else value
    return row


def _folders(category: Path) -> tuple[Path, Path]:
    """Where a category's texts and images lie."""
    apart = category / "questions_answers_YN"
    return (apart, category / "images") if apart.is_dir() else (category, category)


def _texts(category: Path) -> list[Path]:
    return sorted(_folders(category)[0].glob("*.txt"))


def _released(category: Path) -> Iterator[Row]:
    """The questions of one category's folder; an image that is missing is named as if it were a .jpg."""
    _, images = _folders(category)
    for file in _texts(category):
        beside = (images / (file.stem + suffix) for suffix in IMAGE_SUFFIXES)
        image = next((each for each in beside if each.is_file()), images / f"{file.stem}.jpg")
        for number, line in _lines(_text(file)):
            question, tab, answer = line.rpartition("\t")
            if not tab:
                raise HeadflowError(f"question file {file}, line {number}, has no tab between question and answer")
            yield {
                "question_id": f"{category.name}/{image.name}",
                "image_file": image.relative_to(category.parent).as_posix(),
                "question": question.strip(),
                "answer": answer.strip(),
                "category": category.name,
            }


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines that are not blank, with their numbers from 1."""
    return ((number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip())


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise HeadflowError(f"question file {path} does not exist") from None
    except UnicodeDecodeError as error:
        raise HeadflowError(f"question file {path} is not text in UTF-8: {one_line(error)}") from None


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise HeadflowError(f"question file {where} is not JSON: {one_line(error)}") from None
