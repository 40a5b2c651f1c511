"""The folder of MME's release -> rows with the fields of MME_test.json, or the answers alone.

A category's texts and images lie together in CATEGORY, or apart in CATEGORY/questions_answers_YN and CATEGORY/images.
Each line of a text is a question, a tab, and Yes or No.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from schemas.errors import HeadflowError
from schemas.text import one_line

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
YES_OR_NO = "Please answer yes or no."  # ends MME's questions, but not those in LLaVA's file
Row = dict[str, Any]


def read_released(folder: Path) -> list[Row]:
    """The questions of all categories, by category and file, as names sort.

    Raises:
        HeadflowError: a line without a tab, or a text that is not UTF-8.
    """
    return [row for category in sorted(folder.iterdir()) for row in _category(category)]


def released_texts(folder: Path) -> list[Path]:
    """The texts of all categories, in that order."""
    return [text for category in sorted(folder.iterdir()) for text in _texts(category)]


def add_answers(rows: Sequence[Row], folder: Path) -> None:
    """Give rows without an answer the one that MME's release has beside their images, as LLaVA's own scorer does."""
    wanted = {str(row.get("category")) for row in rows if row.get("answer") is None}
    try:
        found = [row for category in folder.iterdir() if category.name in wanted for row in _category(category)]
    except HeadflowError:
        return  # there are texts beside the images, but other ones
    answers = {_asked(row): row["answer"] for row in found}
    for row in rows:
        if row.get("answer") is None:
            row["answer"] = answers.get(_asked(row))


def read_text(path: Path) -> str:
    """The content of a question file; raises `HeadflowError` where it is not there, or not UTF-8."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise HeadflowError(f"question file {path} does not exist") from None
    except UnicodeDecodeError as error:
        raise HeadflowError(f"question file {path} is not text in UTF-8: {one_line(error)}") from None


def numbered_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines that are not blank, with their numbers from 1."""
    return ((number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip())


def _asked(row: Row) -> tuple[str, str, str]:
    """What a question is known by in every form of MME: category, image without folder and suffix, and its words."""
    image = PurePosixPath(str(row["image_file"])).stem
    return str(row.get("category")), image, str(row["question"]).removesuffix(YES_OR_NO).strip()


def _folders(category: Path) -> tuple[Path, Path]:
    """Where a category's texts and images lie."""
    apart = category / "questions_answers_YN"
    return (apart, category / "images") if apart.is_dir() else (category, category)


def _texts(category: Path) -> list[Path]:
    return sorted(_folders(category)[0].glob("*.txt"))


def _category(category: Path) -> Iterator[Row]:
    """The questions of one category; an image that is missing is named as if it were a .jpg."""
    _, images = _folders(category)
    for file in _texts(category):
        beside = (images / (file.stem + suffix) for suffix in IMAGE_SUFFIXES)
        image = next((each for each in beside if each.is_file()), images / f"{file.stem}.jpg")
        for number, line in numbered_lines(read_text(file)):
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
