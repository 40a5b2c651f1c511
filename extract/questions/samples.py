"""A question file's rows -> samples."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from extract.questions.content.placing import in_order
from extract.questions.fields import FIELD_NAMES, NO_TEXT, is_missing
from schemas.columns import N_IMAGES, PICTURES, UNKNOWN
from schemas.errors import HeadflowError
from schemas.text import SampleIds, short, storable

BETWEEN = " + "  # names of images that stand as one text


class Unusable(Exception):
    """A sample that cannot be observed: a reason from `schemas.columns.REASONS`, and the detail."""

    def __init__(self, reason: str, detail: str, *, image_sha256: str | None = None) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.image_sha256 = image_sha256


@dataclass(frozen=True)
class Sample:
    """One question about one or several images.

    A name of an image, and `question`, may be empty: such a sample is skipped with a reason.

    Attributes:
        images: the names of its images, one or more, in the order of the prompt.
        row: its place in the question file, from 0.
        difficulty: what makes it hard, in a word.
        options: the answers that it offers; None where those of its task are.
        hint: what is said before the question.
        groups: what tells the questions that it is scored with from others, for each named group of its task.
        prompt: name of the wording that it is asked in; None where there is one.
        numbers: the place of each image among those of its row, from 0; empty: their order is that of the row.
        shown: a sample about the image that the model is given in place of its own; None: its own.
        boxes: where the answer lies, `(x0, y0, x1, y1)` in pixels of the original image.
        objects: what is in the image, each `{"name": ..., "words": [...], "boxes": [...]}`, boxes as above.
    """

    sample_id: str
    category: str
    question_id: str | None
    images: tuple[str, ...]
    question: str
    answer: str | None
    row: int
    options: tuple[str, ...] | None = None
    hint: str | None = None
    groups: tuple[str | None, ...] | None = None
    prompt: str | None = None
    difficulty: str | None = None
    boxes: tuple[tuple[float, ...], ...] | None = None
    objects: tuple[Mapping[str, Any], ...] | None = None
    numbers: tuple[int, ...] = ()
    shown: "Sample | None" = None

    @property
    def image(self) -> str:
        """The names of its images as one text."""
        return BETWEEN.join(self.images)

    def record(self) -> dict[str, Any]:
        """What goes into the table `samples`; empty text becomes None."""
        values = {name: value for name, value in vars(self).items() if name not in ("images", "numbers", "shown")}
        values |= {"image": self.image, N_IMAGES: len(self.images)}
        values |= {"image_shown": self.shown.image if self.shown else None}
        if len(self.images) > 1:
            values[PICTURES] = [{"image": name or None} for name in self.images]
        return {name: None if value == "" else value for name, value in values.items()}


@dataclass(frozen=True)
class Skipped:
    """A sample that cannot be observed, and the reason."""

    sample: Sample
    cause: Unusable

    def record(self) -> dict[str, Any]:
        """What goes into the table `samples`, but for the reason."""
        return {**self.sample.record(), "image_sha256": self.cause.image_sha256}


def make_samples(rows: Sequence[dict[str, Any]], path: Path) -> list[Sample]:
    """The samples of a question file, in its order.

    Args:
        rows: as `without_faults` returns them.
        path: of the file, for errors.

    Returns:
        `sample_id` is the `question_id`, with `#2`, `#3` ... for its later questions, or the row number (from 0) where
        there is none.

    Raises:
        HeadflowError: a field is not text, `boxes` are no rectangles, or `objects` are not as `Sample` has them.
    """
    samples: list[Sample] = []
    ids = SampleIds()
    for number, row in enumerate(rows):
        texts = {name: _text(row.get(name), name, number, path) for name in FIELD_NAMES if name not in NO_TEXT}
        options, hint = _options(row.get("options")), _text(row.get("hint"), "hint", number, path)
        names = _images(row.get("image_file"), number, path)
        order = in_order((hint or "", texts["question"] or "", *(options or ())), len(names))
        samples.append(
            Sample(
                sample_id=ids.give(texts["question_id"], number),
                category=(texts["category"] or "").strip() or UNKNOWN,
                question_id=texts["question_id"],
                images=tuple(names[place] for place in order),
                question=texts["question"] or "",
                answer=texts["answer"],
                row=number,
                options=options,
                hint=hint,
                difficulty=texts["difficulty"],
                boxes=_boxes(row.get("boxes"), number, path),
                objects=_objects(row.get("objects"), number, path),
                numbers=() if order == sorted(order) else tuple(order),
            )
        )
    return samples


def check_field(name: str, value: Any, number: int, path: Path) -> None:
    """Raise `HeadflowError` if the value of a field is none that `make_samples` can read."""
    readers: dict[str, Callable[[Any, int, Path], Any]] = {
        "image_file": _images,
        "boxes": _boxes,
        "objects": _objects,
    }
    if name in readers:
        readers[name](value, number, path)
    else:
        _text(value, name, number, path)


def _text(value: Any, name: str, number: int, path: Path) -> str | None:
    """A field as text; numbers are written out, a value that is missing is None."""
    if is_missing(value):
        return None
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise HeadflowError(f"question file {path}: row {number}: `{name}` is a {type(value).__name__}, not text")


def _images(value: Any, number: int, path: Path) -> list[str]:
    """The names of a row's images; an empty one where it has none."""
    several = value if isinstance(value, list) else [value]
    return [_text(each, "image_file", number, path) or "" for each in several] or [""]


def _options(value: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if value is None else tuple(map(storable, value))


def _boxes(value: Any, number: int, path: Path) -> tuple[tuple[float, ...], ...] | None:
    """Rectangles, as lists or (in CSV) as the text of them; None if there are none."""
    if is_missing(value):
        return None
    given = _from_json(value)
    if not isinstance(given, list) or not all(map(_is_rectangle, given)):
        raise HeadflowError(
            f"question file {path}: row {number}: `boxes` is {short(value)}, not [[x0, y0, x1, y1], ...] in pixels, "
            "with x0 <= x1 and y0 <= y1"
        )
    return tuple(tuple(map(float, box)) for box in given) or None


def _from_json(value: Any) -> Any:
    """A value that may be the JSON text of one, as in CSV; None if the text is none."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return None


def _objects(value: Any, number: int, path: Path) -> tuple[Mapping[str, Any], ...] | None:
    """Objects of an image, as a list or (in CSV) as the text of one; an empty list says that none is in it."""
    if is_missing(value):
        return None
    given, where = _from_json(value), f"question file {path}: row {number}: `objects`"
    if not isinstance(given, list):
        raise HeadflowError(f'{where} is {short(value)}, not [{{"name": ..., "words": [...], "boxes": [...]}}, ...]')
    found = []
    for each in given:
        name = each.get("name") if isinstance(each, dict) else None
        if not isinstance(name, str) or not name.strip():
            raise HeadflowError(f"{where} has {short(each)}, which has no `name`")
        words = [name] if is_missing(each.get("words")) else each["words"]
        texts = isinstance(words, list) and all(isinstance(word, str) and word.strip() for word in words)
        if not texts or not words:
            raise HeadflowError(
                f"{where}: `words` of {short(name)} is {short(words)}, which is not a list of one word or more"
            )
        boxes = [] if is_missing(each.get("boxes")) else each["boxes"]
        if not isinstance(boxes, list) or not all(map(_is_rectangle, boxes)):
            raise HeadflowError(f"{where}: `boxes` of {short(name)} is {short(boxes)}, not [[x0, y0, x1, y1], ...]")
        found.append(
            {
                "name": storable(name.strip()),
                "words": [storable(word.strip()) for word in words],
                "boxes": [list(map(float, box)) for box in boxes],
            }
        )
    names = [each["name"] for each in found]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise HeadflowError(f"{where} names {short(twice)} twice; give one entry with all of its boxes")
    return tuple(found)


def _is_rectangle(box: Any) -> bool:
    if not isinstance(box, list) or len(box) != 4:
        return False
    # NaN and infinity are not below
    if not all(isinstance(each, int | float) and not isinstance(each, bool) and abs(each) < 2**31 for each in box):
        return False
    x0, y0, x1, y1 = box
    return bool(x0 <= x1 and y0 <= y1)
