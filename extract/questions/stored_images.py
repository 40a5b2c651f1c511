"""Images that a question file holds itself: how the rest of this stage asks for them, and those in base64."""

import base64
import binascii
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from extract.questions.fields import FIELD_NAMES, images_of
from extract.questions.samples import Sample

ENCODED = ("data:image/", "iVBORw0KGgo", "/9j/", "R0lGOD", "UklGR")  # how PNG, JPEG, GIF and WebP begin in base64
_NAME = FIELD_NAMES["image_file"][0]
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})+(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_LONGEST_REFERENCE = 64  # characters; a longer text is an image itself


class StoredImages(ABC):
    """The images of a question file, by the places in which they are."""

    @abstractmethod
    def places(self, sample: Sample) -> tuple[Any, ...]:
        """Where the images of a sample are, in the order of its prompt."""

    @abstractmethod
    def where(self, place: Any) -> str:
        """A place, in words."""

    @abstractmethod
    def __getitem__(self, place: Any) -> bytes | None:
        """The bytes of an image, None if there is none; raises `HeadflowError` if it cannot be read."""


class EncodedImages(StoredImages):
    """Images in base64, as VLMEvalKit's tables have them, held in memory by their names."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts

    def places(self, sample: Sample) -> tuple[str, ...]:
        """The names of its images."""
        return sample.images

    def where(self, place: str) -> str:
        """See `StoredImages.where`."""
        return f"name {place}"

    def __getitem__(self, place: str) -> bytes | None:
        """The bytes of an image; what is not base64 has none that are an image."""
        text = self._texts.get(place)
        if text is None:
            return None
        try:
            return base64.b64decode(text.partition(",")[2] if text.startswith("data:") else text)
        except binascii.Error:
            return b""


def take_encoded(rows: Sequence[Any], columns: Sequence[str]) -> tuple[list[Any], EncodedImages]:
    """Rows with the names of their images in place of images in base64, and the images.

    A row without a name of its own for its image is named by its `index`, or its number from 0; of several images, each
    without a name has its place in the row after that. A short cell is the `index` of the row that has the image, as in
    VLMEvalKit's tables.

    Args:
        columns: those that hold images in base64.
    """
    texts: dict[str, str] = {}
    by_index: dict[str, str] = {}
    kept: list[Any] = []
    referring: list[tuple[dict[str, Any], str]] = []
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            kept.append(row)
            continue
        cells = [str(each or "") for each in _images({name: row[name] for name in columns if name in row})]
        others = {name: value for name, value in row.items() if name not in columns}
        kept.append(others)
        cell = cells[0] if len(cells) == 1 else ""
        if len(cells) > 1:
            index = _index(row, number)
            names = _names(others)
            if len(names) != len(cells):
                names = [f"{index}#{place}" for place in range(1, len(cells) + 1)]
            others[_NAME] = names
            for name, each in zip(names, cells, strict=True):
                texts.setdefault(name, each)
        elif len(cell) > _LONGEST_REFERENCE:
            index = _index(row, number)
            others[_NAME] = by_index[index] = _named(others) or index
            texts.setdefault(others[_NAME], cell)
        else:
            referring.append((others, cell))
    for others, cell in referring:
        there = by_index.get(cell, cell)
        others[_NAME] = _named(others) or there
        if there in texts:
            texts.setdefault(others[_NAME], texts[there])
        elif _BASE64.fullmatch(cell) and not cell.isdecimal():  # too short to be an image
            texts.setdefault(others[_NAME], cell)
    return kept, EncodedImages(texts)


def encoded_columns(rows: Sequence[Any], columns: Sequence[str]) -> list[str]:
    """Of some columns, those that hold images in base64."""
    return [
        name
        for name in columns
        if any(is_encoded(each) for row in rows if isinstance(row, dict) for each in _images({name: row.get(name)}))
    ]


def is_encoded(value: Any) -> bool:
    """Whether the value of a cell is an image in base64."""
    return isinstance(value, str) and len(value) > _LONGEST_REFERENCE and value.startswith(ENCODED)


def _index(row: Mapping[str, Any], number: int) -> str:
    """What a row is called where its image has no name."""
    return next((str(value) for name, value in row.items() if name.strip().lower() == "index"), str(number))


def _images(row: Mapping[str, Any]) -> list[Any]:
    """The images of a row, or their names; empty if it has none."""
    return images_of({name.strip().lower(): value for name, value in row.items()}) or []


def _names(row: Mapping[str, Any]) -> list[str]:
    """The names that a row has for its images; empty if it has none."""
    return [str(each or "") for each in _images(row)]


def _named(row: Mapping[str, Any]) -> str:
    """The name that a row has for its image; empty if it has none."""
    return next(iter(_names(row)), "")
