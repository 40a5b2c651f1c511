"""The texts of the page in one language, from `templates/words.toml`."""

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analyze.pictures.labels import SOURCES, label
from analyze.pictures.labels import target as target_of

if TYPE_CHECKING:
    from analyze.report.measures import Measure
    from schemas.jobs.settings import JobSettings

_LANGUAGES = {"en": 0, "zh": 1}
_FILE = Path(__file__).parent / "templates" / "words.toml"
_APART = re.compile("(token|patch)(?=[\u4e00-\u9fff])")  # words of Latin letters, and what follows them without a space
_SIGNED = "d"  # begins the names of contributions


@cache
def all_texts() -> dict[str, list[str]]:
    """The texts by name, in the order of `_LANGUAGES`."""
    texts: dict[str, list[str]] = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return texts


class Words:
    """The texts in one language, by name."""

    def __init__(self, language: str) -> None:
        self.language = language
        self.texts = {name: texts[_LANGUAGES[language]] for name, texts in all_texts().items()}

    def __getitem__(self, name: str) -> str:
        """A text."""
        return self.texts[name]

    def get(self, name: str, default: str) -> str:
        """A text, or another one where there is none."""
        return self.texts.get(name, default)

    def filled(self, name: str, /, **values: Any) -> str:
        """A text with its values."""
        text = self.texts[name].format(**values)
        return text if self.language == "en" else _APART.sub(r"\1 ", text)

    def flow(self, name: str) -> str:
        """A mass column: `A2V (last token → image)`; or a contribution: `D2V (added from image)`."""
        source, target = name.partition("2")[0], self.texts[f"role {target_of(name)}"]
        if source == _SIGNED:
            return self.filled("contribution", name=name.upper(), role=target)
        if self.language == "en":
            return label(name)
        return self.filled("mass", name=name.upper(), source=self.texts[f"role {SOURCES[source]}"], target=target)

    def measure(self, one: "Measure") -> str:
        """A measure: a column, or a job with what it did, `heads_edge: cut question → image`."""
        if one.job is None:
            return self.flow(one.name)
        return f"{one.name}{self['colon']}{self.done(one.job)}"

    def done(self, job: "JobSettings") -> str:
        """What a job did: `cut question → image`."""
        roles = " → ".join(self.texts[f"role {role}"] for role in (job.query, job.key) if role is not None)
        return f"{self.texts[f'kind {job.kind}']} {roles}".strip()

    def meaning_of_flow(self, name: str) -> str:
        """What the values of a mass column are, or of a contribution."""
        source, target = name.partition("2")[0], self.texts[f"tokens {target_of(name)}"]
        if source == _SIGNED:
            return self.filled("define_of_contribution", name=name.upper(), target=target)
        return self.filled(
            "define_of_mass", name=name.upper(), source=self.texts[f"tokens {SOURCES[source]}"], target=target
        )

    def meaning(self, one: "Measure") -> str:
        """What the values of a measure are."""
        if one.job is None:
            return self.meaning_of_flow(one.name)
        query, key = (self.texts[f"tokens {role or 'any'}"] for role in (one.job.query, one.job.key))
        done = self.filled(f"done {one.job.kind}", query=query, key=key)
        return self.filled("define_of_effect", name=one.name, done=done)

    def span(self, low: float, high: float, digits: int = 1, *, sign: bool = False) -> str:
        """An interval: `−0.5 to 1.2`."""
        return self.filled("range", low=number(low, digits, sign=sign), high=number(high, digits, sign=sign))


def number(value: float, digits: int = 1, *, sign: bool = False) -> str:
    """A number with the sign of minus, not a hyphen."""
    return f"{value:{'+' if sign else ''}.{digits}f}".replace("-", "−")
