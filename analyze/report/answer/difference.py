"""What differs between two runs, first: one sentence, and the categories that differ most as a picture of links."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from analyze.report.answer.ranking import SHOWN, picture
from analyze.report.comparison import Compared
from analyze.report.words import Words

_PLACE = "comparison"  # the section of the page that has all of it


@dataclass(frozen=True)
class Difference:
    """What is said and drawn of two runs.

    Attributes:
        picture: SVG; empty where no answer is scored.
    """

    text: str
    picture: str


def difference(compared: Compared, words: Words) -> Difference:
    """The difference of answers and of the mass that is shown first, and the categories with the largest ones."""
    text = words.filled("answer_two", said=words["semicolon"].join(compared.first)) + words["stop"]
    if not compared.answers:
        return Difference(text, "")
    *own, whole = compared.answers
    own.sort(key=lambda row: (not row["significant"], row["untold"], -abs(row["difference"])))
    rows = [whole, *own[: SHOWN - 1]]
    addresses = [f"#at={_PLACE}", *(_address(row["category"]) for row in rows[1:])]
    title = words["accuracy_difference"]
    return Difference(text, picture([_drawn(row) for row in rows], addresses, title, title))


def _address(category: str) -> str:
    """Of a category: its heads and its samples are chosen too."""
    name = quote(category, safe="")
    return f"#category={name}&samples-of={name}&at={_PLACE}"


def _drawn(row: dict[str, Any]) -> dict[str, object]:
    return {"head": row["category"], "value": row["difference"], "low": row["low"], "high": row["high"],
            "clear": row["significant"]}  # fmt: skip
