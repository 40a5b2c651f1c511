"""What differs between two runs, first: one sentence, and the categories that differ most as a picture of links."""

from dataclasses import dataclass
from typing import Any

from analyze.report.answer.links import category_address
from analyze.report.answer.ranking import SHOWN, picture
from analyze.report.comparison import Compared
from analyze.report.words import Words


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
    addresses = [category_address(None), *(category_address(row["category"]) for row in own[: SHOWN - 1])]
    title = words["accuracy_difference"]
    return Difference(text, picture([_drawn(row) for row in rows], addresses, title, title))


def _drawn(row: dict[str, Any]) -> dict[str, object]:
    return {"head": row["category"], "value": row["difference"], "low": row["low"], "high": row["high"],
            "clear": row["significant"]}  # fmt: skip
