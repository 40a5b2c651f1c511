"""A question file's rows -> samples."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from extract.questions.formats import read_rows
from extract.questions.release import add_answers
from schemas.columns import UNKNOWN
from schemas.errors import HeadflowError
from schemas.sample_ids import SampleIds
from schemas.text import storable

REQUIRED = ("image_file", "question")
FIELDS = (*REQUIRED, "question_id", "answer", "category")


class Unusable(Exception):
    """A sample that cannot be observed: a reason from `schemas.columns.REASONS`, and the detail."""

    def __init__(self, reason: str, detail: str, *, image_sha256: str | None = None) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.image_sha256 = image_sha256


@dataclass(frozen=True)
class Sample:
    """One question about one image. `image` and `question` may be empty: such a sample is skipped with a reason.

    Attributes:
        row: its number in the question file, from 0.
    """

    sample_id: str
    category: str
    question_id: str | None
    image: str
    question: str
    answer: str | None
    row: int

    def record(self) -> dict[str, str | int | None]:
        """What goes into the table `samples`, empty text as null."""
        return {name: None if value == "" else value for name, value in vars(self).items()}


def read_questions(path: Path, num_samples: int = -1, image_folder: Path | None = None) -> list[Sample]:
    """Read a question file.

    Args:
        path: a file or folder that `read_rows` knows.
        num_samples: the first so many; -1 or 0: all. Ids do not depend on it.
        image_folder: where it is MME's release, questions without an answer take theirs from the texts in it.

    Returns:
        The samples in the order of the file. `sample_id` is the `question_id`, with `#2`, `#3` ... for its later
        questions, or the row number (from 0) where there is none.

    Raises:
        HeadflowError: as `read_rows`, or a row without an image or a question.
    """
    rows = _rows(path)
    if image_folder is not None and image_folder.is_dir():
        add_answers(rows, image_folder)
    samples: list[Sample] = []
    ids = SampleIds()
    for number, row in enumerate(rows):
        texts = {name: _text(row.get(name), name, number, path) for name in FIELDS}
        samples.append(
            Sample(
                sample_id=ids.give(texts["question_id"], number),
                category=(texts["category"] or "").strip() or UNKNOWN,
                question_id=texts["question_id"],
                image=texts["image_file"] or "",
                question=texts["question"] or "",
                answer=texts["answer"],
                row=number,
            )
        )
    return samples[:num_samples] if num_samples > 0 else samples


def by_image(samples: Iterable[Sample]) -> list[list[Sample]]:
    """Samples by the image that they name."""
    groups: dict[str, list[Sample]] = {}
    for sample in samples:
        groups.setdefault(sample.image, []).append(sample)
    return list(groups.values())


def take_chunk(samples: Sequence[Sample], number: int, index: int) -> list[Sample]:
    """The samples of a chunk: LLaVA's own division, runs of equal length, but of images, so that pairs stay together.

    Args:
        number: of chunks.
        index: of the chunk, from 0.
    """
    groups = by_image(samples)
    size = -(-len(groups) // number)
    return [sample for group in groups[index * size : (index + 1) * size] for sample in group]


def _rows(path: Path) -> list[dict[str, Any]]:
    """The rows of the file, each an object with what a sample needs."""
    rows = read_rows(path)
    bad = [
        (number, "is not an object" if not isinstance(row, dict) else f"has no `{missing}`")
        for number, row in enumerate(rows)
        if (missing := next((name for name in REQUIRED if not isinstance(row, dict) or name not in row), None))
    ]
    if bad:
        number, what = bad[0]
        others = f" (and {len(bad) - 1} more rows like it)" if len(bad) > 1 else ""
        raise HeadflowError(
            f"question file {path}: row {number} {what}{others}; each row needs {' and '.join(REQUIRED)}"
        )
    return rows


def _text(value: Any, name: str, number: int, path: Path) -> str | None:
    """A field as text; numbers are written out, null stays null."""
    if value is None:
        return None
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise HeadflowError(f"question file {path}: row {number}: `{name}` is a {type(value).__name__}, not text")
