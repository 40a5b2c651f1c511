"""Benchmarks as released -> rows with the fields of MME_test.json, or only the answers.

MME is a folder. Texts and images of a category are together in CATEGORY, or in CATEGORY/questions_answers_YN and
CATEGORY/images. Each line of a text is a question, a tab, and Yes or No.

AMBER has queries in one file. The answers and kinds of all queries are in another, `annotations.json`, by their `id`,
beside the queries or in the folder above.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from extract.questions.text_files import numbered_lines, read_rows, read_text
from schemas.errors import HeadflowError
from schemas.text import counted

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
YES_OR_NO = "Please answer yes or no."  # ends MME's questions, but not those in LLaVA's file
ANNOTATIONS = "annotations.json"  # of AMBER
_ID, _QUERY = "id", "query"
_OWN = ("answer", "truth", "label", "category")  # fields that say what annotations would
Row = dict[str, Any]


def read_released(folder: Path) -> list[Row]:
    """The questions of all categories, sorted by the names of categories and files.

    Raises:
        HeadflowError: a line has no tab, or a text is not UTF-8.
    """
    return [row for category in _visible(folder) for row in _category(category)]


def released_texts(folder: Path) -> list[Path]:
    """The texts of all categories, in the same order."""
    return [text for category in _visible(folder) for text in _texts(category)]


def add_answers(rows: Sequence[Row], folder: Path) -> None:
    """Add the answers of MME's release to rows without one, as LLaVA's own scorer does.

    A row gets the answer to the same question about the same image of its category.
    """
    wanted = {str(row.get("category")) for row in rows if row.get("answer") is None}
    try:
        found = [row for category in folder.iterdir() if category.name in wanted for row in _category(category)]
    except HeadflowError:
        return  # texts that are not MME's
    answers = {_key(row): row["answer"] for row in found}
    for row in rows:
        if row.get("answer") is None:
            row["answer"] = answers.get(_key(row))


def _key(row: Row) -> tuple[str, str, str]:
    """What is the same in every form of MME: category, name of the image without folder and suffix, and question."""
    image = PurePosixPath(str(row["image_file"])).stem
    return str(row.get("category")), image, str(row["question"]).removesuffix(YES_OR_NO).strip()


def _folders(category: Path) -> tuple[Path, Path]:
    """The folders of a category's texts and of its images."""
    texts = category / "questions_answers_YN"
    return (texts, category / "images") if texts.is_dir() else (category, category)


def _texts(category: Path) -> list[Path]:
    return _files(_folders(category)[0], ".txt")


def _files(folder: Path, suffix: str) -> list[Path]:
    """The files of a folder with a suffix in any case, by name."""
    return [each for each in _visible(folder) if each.suffix.lower() == suffix] if folder.is_dir() else []


def _visible(folder: Path) -> list[Path]:
    """What a folder holds, by name, without hidden files, such as those that macOS adds (._01.txt)."""
    return sorted(each for each in folder.iterdir() if each.name[0] != ".")


def _category(category: Path) -> Iterator[Row]:
    """The questions of one category; an image that does not exist is named as a .jpg."""
    _, images = _folders(category)
    found = {image.stem: image for suffix in reversed(IMAGE_SUFFIXES) for image in _files(images, suffix)}
    for file in _texts(category):
        image = found.get(file.stem, images / f"{file.stem}.jpg")
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


def is_query(row: Any) -> bool:
    """Whether a row is a query of AMBER, which lacks its answer."""
    return isinstance(row, dict) and row.keys() >= {_ID, _QUERY} and not row.keys() & {*_OWN}


def find_annotations(path: Path) -> Path | None:
    """The annotations of a file of queries; None if there are none where they belong."""
    folder = path.absolute().parent
    return next((each for each in (folder / ANNOTATIONS, folder.parent / ANNOTATIONS) if each.is_file()), None)


def with_annotations(rows: Sequence[Any], annotations: Path) -> tuple[list[Any], str]:
    """Rows with their id as `question_id`, and with `category` and `answer`; and a line that says so.

    A description that is asked for, AMBER's generative part, has no answer.

    Raises:
        HeadflowError: the annotations cannot be read, or are others.
    """
    known = read_rows(annotations)
    if not all(isinstance(each, dict) and each.keys() >= {_ID, "type", "truth"} for each in known):
        raise HeadflowError(f"{annotations} has entries without `id`, `type` and `truth`, which AMBER's have")
    by_id = {str(each[_ID]): each for each in known}
    found, unknown = [], 0
    for row in rows:
        own = by_id.get(str(row[_ID]), {})
        unknown += not own
        truth = own.get("truth") if isinstance(own.get("truth"), str) else None
        found.append({"question_id": row[_ID], **row, "category": own.get("type"), "answer": truth})
    lacking = f"; {counted(unknown, 'query is', 'queries are')} not in it" if unknown else ""
    return found, f"answers and categories are those of {annotations}{lacking}"
