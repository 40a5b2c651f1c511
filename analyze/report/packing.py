"""Arrays and texts in a form that a page can hold: small, and never read as anything but data."""

import base64
import gzip
import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

DIGITS = 19  # binary, that numbers keep after the first one of the largest
SMALLEST, FASTEST = 9, 1  # levels of gzip
WIDEST = np.iinfo(np.uint16).max
# What could end the script that holds the text, or a line of it; in JSON they stand only in strings
ESCAPES = {ord(letter): f"\\u{ord(letter):04x}" for letter in "<>&\u2028\u2029"}


class Arrays:
    """Arrays by name, packed one after the other, compressed and in letters."""

    def __init__(self) -> None:
        self.index: dict[str, tuple[str, int, int]] = {}  # type, first byte, number of values
        self._bytes = bytearray()

    def add(self, name: str, values: npt.NDArray[Any]) -> None:
        """Add an array, flat: whole numbers unsigned, in 16 bits where these hold them; others as float32.

        Others are rounded to a millionth of the largest one. The first bytes of all numbers stand together, then the
        second ones, and so on: both make the page smaller.
        """
        if values.dtype != np.uint8:
            whole = np.issubdtype(values.dtype, np.integer)
            wide = whole and values.size > 0 and int(values.max()) > WIDEST
            values = values.astype((np.uint32 if wide else np.uint16) if whole else np.float32)
        self._bytes += bytes(-len(self._bytes) % 4)  # a browser reads numbers of 4 bytes only at multiples of 4
        self.index[name] = (str(values.dtype), len(self._bytes), values.size)
        if values.dtype == np.float32:
            values = _rounded(values)
        flat = np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<"))).reshape(-1)
        self._bytes += flat.view(np.uint8).reshape(-1, flat.itemsize).T.tobytes()

    def packed(self, level: int = SMALLEST) -> str:
        """All arrays as one text: gzip, in base64."""
        return base64.b64encode(gzip.compress(bytes(self._bytes), level, mtime=0)).decode("ascii")


def _rounded(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Numbers as multiples of a power of 2 that is a millionth of the largest one, or less."""
    most = np.abs(values, where=np.isfinite(values), out=np.zeros(values.shape)).max(initial=0)
    step = 2.0 ** (np.floor(np.log2(most)) - DIGITS) if most > 0 else 1.0
    return (np.rint(values / step) * step).astype(np.float32)


@dataclass(frozen=True)
class Piece:
    """A part of the page's data that the page can load by itself.

    Attributes:
        data: what JSON holds; `arrays`: what it does not.
        page: which page it is of; the page takes no other.
    """

    name: str
    data: dict[str, Any]
    arrays: Arrays
    page: str = ""

    def text(self, level: int = SMALLEST) -> str:
        """The piece as JSON, with its arrays packed: `{page, data, index, packed}`."""
        packed = self.arrays.packed(level)
        return script_json({"page": self.page, "data": self.data, "index": self.arrays.index, "packed": packed})

    def script(self) -> str:
        """The piece as a script that gives it to the page which loads it."""
        return f"headflowPiece({script_json(self.name)},{self.text(FASTEST)})\n"


def script_json(value: Any) -> str:
    """A value as JSON that may stand in a script element: no text in it can end the element."""
    try:
        text = _dumped(value)
        text.encode("utf-8")
    except (TypeError, ValueError):  # NaN, infinity, other keys than texts and numbers, half of a letter
        text = _dumped(as_plain(value))
    return text.translate(ESCAPES)


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=as_plain)


def as_plain(value: Any) -> Any:
    """A value of numpy or pandas as JSON has it; None for what is missing, NaN and infinity."""
    if isinstance(value, dict):
        return {str(name): as_plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [as_plain(each) for each in value]
    value = value.item() if isinstance(value, np.generic) else value
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if isinstance(value, bool | int | str):
        return value.encode("utf-8", "replace").decode("utf-8") if isinstance(value, str) else value
    return float(value) if isinstance(value, float) else str(value)


def shortest(value: Any) -> float | None:
    """A float32 as the shortest decimal that reads back as itself; None for what is missing."""
    return None if value is None or not math.isfinite(value) else float(str(np.float32(value)))
