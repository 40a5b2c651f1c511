"""Chinese for what the code says in English: TOML files by name, each text under the name of what it describes.

A file has sections, such as the tables of the contract or the commands of a stage. What several sections describe in
the same words stands in `shared`; what only one has, or has in words of its own, stands in that section. `phrases` has
what the tables say themselves, by its English. `{tasks}` are the meanings of all tasks.
"""

import tomllib
from functools import cache
from pathlib import Path

from schemas.errors import HeadflowError

FOLDER = Path(__file__).parent / "chinese"
LANGUAGES = ("en", "zh")
_SHARED, _PHRASES = "shared", "phrases"


def _texts(name: str) -> dict[str, dict[str, str]]:
    return tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))


@cache
def _tasks() -> str:
    return "；".join(f"`{name}`：{meaning}" for name, meaning in _texts("contract")["tasks"].items())


class Words:
    """The texts of one file in a language; English ones are those of the code."""

    def __init__(self, name: str, language: str) -> None:
        self.language = language
        self.texts = _texts(name)
        self.used: dict[tuple[str, str], set[str]] = {}  # section and name in the file -> the English of its uses

    def text(self, section: str, name: str, english: str) -> str:
        """The text about `name` in the language; raises `HeadflowError` if there is none."""
        place = section if name in self.texts.get(section, {}) else _SHARED
        self.used.setdefault((place, name), set()).add(english)
        if self.language == "en":
            return english
        if name not in self.texts.get(place, {}):
            raise HeadflowError(f"there is no Chinese for {section}.{name}: {english}")
        return self.texts[place][name].replace("{tasks}", _tasks())

    def has(self, english: str) -> bool:
        """Whether there is such a word or phrase."""
        return english in self.texts[_PHRASES]

    def word(self, english: str) -> str:
        """A word or a phrase that the tables themselves have, such as a heading; empty text stays empty."""
        return self.text(_PHRASES, english, english) if english else ""

    def unused(self) -> list[str]:
        """The texts that nothing asked for."""
        known = [(section, name) for section, texts in self.texts.items() for name in texts]
        return [f"{section}.{name}" for section, name in known if (section, name) not in self.used]

    def ambiguous(self) -> list[str]:
        """The texts that stand for several English ones."""
        return [f"{section}.{name}" for (section, name), english in self.used.items() if len(english) > 1]
