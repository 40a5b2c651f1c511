"""What is said of two runs compared, as names and values: `sentences.toml` has the words, in English and in Chinese."""

import string
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from analyze.statistics.clusters import Clusters

_FILE = Path(__file__).parent / "sentences.toml"
LANGUAGES = ("en", "zh")
JOINED = {"en": ", ", "zh": "、"}  # between the items of a list
MINUS = "−"


@cache
def templates() -> dict[str, list[str]]:
    """The sentences by name, in the order of `LANGUAGES`."""
    found: dict[str, list[str]] = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return found


class _Counting(string.Formatter):
    """Writes `{number:|image|images}` as `1 image` or `2 images`; the number may be a text."""

    def format_field(self, value: Any, format_spec: str) -> str:
        if not format_spec.startswith("|"):
            return str(super().format_field(value, format_spec))
        one, many = format_spec[1:].split("|")
        return f"{value} {one if str(value) == '1' else many}"


class _WithMinus(_Counting):
    """Writes negative numbers with the sign of minus, in place of a hyphen."""

    def format_field(self, value: Any, format_spec: str) -> str:
        text = super().format_field(value, format_spec)
        return text.replace("-", MINUS) if isinstance(value, int | float) else text


class Sentence:
    """A sentence by its name; a value may be a sentence too, or a list of them. As text it is that of a terminal."""

    def __init__(self, name: str, /, **values: Any) -> None:
        self.name, self.values = name, values

    def __str__(self) -> str:
        values = {name: ", ".join(map(str, each)) if isinstance(each, list) else each
                  for name, each in self.values.items()}  # fmt: skip
        return _Counting().format(templates()[self.name][0], **values)

    def in_words(self, language: str) -> str:
        """The sentence in a language, with the sign of minus, as in print."""
        values = {name: _in_words(each, language) for name, each in self.values.items()}
        return _WithMinus().format(templates()[self.name][LANGUAGES.index(language)], **values)


def of_units(name: str, clusters: Clusters, **values: Any) -> Sentence:
    """A sentence about images, or the one about sets of images where these are the unit."""
    return Sentence(name if clusters.shown is None else f"{name}_in_sets", **values)


def _in_words(value: Any, language: str) -> Any:
    if isinstance(value, list):
        return JOINED[language].join(_in_words(each, language) for each in value)
    return value.in_words(language) if isinstance(value, Sentence) else value
