"""Every form in which MME comes, and LLaVA's files of other benchmarks -> rows with the fields of MME_test.json.

*.json, *.jsonl    MME_test.json, LLaVA's files of MME, POPE and ScienceQA, and others with such fields
*.csv, *.tsv       the same as a table
*.parquet          the hub's lmms-lab/MME with its images: a file, or a folder of shards
a folder           MME as released, a folder for each category
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from extract.questions.fields import to_mme_fields
from extract.questions.mme_release import read_released, released_texts
from extract.questions.parquet import ImageBytes, columns_of_shards, find_shards, read_table, read_texts
from extract.questions.text_files import TABLES, read_rows
from extract.questions.unread import check_asked_whole, columns_of, notes, without_encoded
from schemas.errors import HeadflowError


@dataclass(frozen=True)
class QuestionFile:
    """What a question file or folder holds.

    Attributes:
        rows: the questions in its order, with the fields of MME_test.json, not checked.
        sha256: of the file; of several files, of their names and contents.
        images: the images in Parquet, or the folder itself; None: the file does not say where its images are.
        notes: what it has beside its questions and is not asked, in a line each.
    """

    rows: list[Any]
    sha256: str
    images: Path | ImageBytes | None
    notes: list[str] = field(default_factory=list)


def read_question_file(path: Path) -> QuestionFile:
    """Read a question file or folder of any form.

    Raises:
        HeadflowError: nothing is there, it is not of the form that its name promises, it holds no questions, or these
            are others without what is not asked, such as options.
    """
    columns: list[str] = []
    if shards := find_shards(path):
        file, columns = _read_shards(path, shards), columns_of_shards(shards)
    elif path.is_dir():
        file = _read_release(path)
    else:
        file = QuestionFile(read_rows(path), _sha256(path), None)
    if not file.rows:
        raise HeadflowError(f"question file {path} holds no questions")
    check_asked_whole(file.rows, path)
    rows, encoded = without_encoded(file.rows, path)
    where = f"question file {path}: row"
    return replace(
        file,
        rows=[to_mme_fields(row, f"{where} {number}") for number, row in enumerate(rows)],
        notes=notes(columns or columns_of(rows), rows, encoded),
    )


def _read_shards(path: Path, shards: Sequence[Path]) -> QuestionFile:
    table = read_table(shards)
    rows = list(read_texts(shards)) if table is None else table
    sha256 = _sha256(path) if path.is_file() else _sha256_of_files({shard.name: shard for shard in shards})
    return QuestionFile(rows, sha256, ImageBytes(shards) if table is None else None)


def _read_release(folder: Path) -> QuestionFile:
    rows = read_released(folder)
    if not rows:
        files = sorted(file.name for file in folder.iterdir() if file.suffix.lower() in (".json", ".jsonl", *TABLES))
        raise HeadflowError(
            f"question folder {folder} holds no CATEGORY/*.txt, no CATEGORY/questions_answers_YN and no *.parquet"
            + (f"; give the file itself, such as {folder / files[0]}" if files else "")
        )
    texts = {text.relative_to(folder).as_posix(): text for text in released_texts(folder)}
    return QuestionFile(list(rows), _sha256_of_files(texts), folder)


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
