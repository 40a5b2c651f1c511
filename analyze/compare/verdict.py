"""The verdict on two runs: what the tables of a comparison say, a sentence each."""

import math
from collections.abc import Sequence

import pandas as pd

from analyze.compare.heads import WANTED, HeadDifferences
from analyze.compare.sentences import Sentence

_SIGNIFICANT = 0.05
_SAME = ("same", "same_in_sets")
_NAMED = 14  # categories in a sentence: all of MME's


def clear(accuracy: pd.DataFrame) -> pd.Series:
    """Whether the accuracy of each category differs significantly; a difference without an interval does not."""
    return (accuracy["adjusted_p"] <= _SIGNIFICANT) & (accuracy["note"] == "")


def answers_in_words(answers: pd.DataFrame, other_answers: int) -> list[Sentence]:
    """What the runs answer: over all, by category, and where it cannot be told.

    Args:
        answers: see `compare_answers`.
        other_answers: paired samples with different right answers.
    """
    accuracy = answers[answers["measure"] == "accuracy"]
    others = [Sentence("other_answers", number=other_answers)] * (other_answers > 0)
    if accuracy.empty:
        return [*others, Sentence("none_scored")]
    return [*others, _whole(accuracy.iloc[-1]), *_by_category(accuracy[:-1])]


def _whole(row: pd.Series) -> Sentence:
    off, low, high = (float(row[name]) for name in ("difference", "low", "high"))
    if why := row["note"]:
        if why.name in _SAME:
            return Sentence(f"answers_{why.name}", why=why, number=why.values["number"])
        return Sentence("answers_untold", why=why, off=off)
    size = Sentence("answers_size", off=off, low=low, high=high)
    found = row["adjusted_p"] <= _SIGNIFICANT
    name = "answers_alike" if not found else "answers_more" if off > 0 else "answers_less"
    return Sentence(name, size=size)


def _by_category(accuracy: pd.DataFrame) -> list[Sentence]:
    number, some = len(accuracy), accuracy[clear(accuracy)]
    named = [Sentence("category_size", category=row["category"], off=row["difference"]) for _, row in some.iterrows()]
    lines = [
        Sentence("categories_some", some=len(some), number=number, named=named)
        if named
        else Sentence("categories_none", number=number)
    ]
    untold = [row["category"] for _, row in accuracy.iterrows() if row["note"] and row["note"].name not in _SAME]
    if untold:
        more = [Sentence("more", number=len(untold) - _NAMED)] if len(untold) > _NAMED else []
        named = [*untold[:_NAMED], *more]
        lines.append(Sentence("categories_untold", some=len(untold), number=number, named=named))
    return lines


def masses_in_words(means: pd.DataFrame, floor: float) -> list[Sentence]:
    """The mean over samples and heads of each flow; a difference below the noise of rounding is none."""
    lines = []
    for _, row in means.iterrows():
        values = {name: row[name] for name in ("flow", "a", "b", "difference")}
        if abs(row["difference"]) <= floor:
            lines.append(Sentence("mass_rounding", flow=row["flow"], a=row["a"], floor=floor))
        elif pd.isna(row["low"]):
            lines.append(Sentence("mass_one_image", **values))
        else:
            lines.append(Sentence("mass", **values, low=row["low"], high=row["high"]))
    return lines


def heads_in_words(heads: Sequence[HeadDifferences], obstacle: Sentence | None, floor: float) -> list[Sentence]:
    """The heads of each flow, or why they are not compared."""
    if obstacle is not None:
        return [Sentence("heads_obstacle", why=obstacle)]
    return [_heads(each, floor) for each in heads]


def _heads(each: HeadDifferences, floor: float) -> Sentence:
    more = None
    if each.table["significant"].any() and each.reliability is not None and each.images_needed is not None:
        values = {"value": each.reliability, "wanted": WANTED}
        endless = math.isinf(each.images_needed)
        more = (
            Sentence("heads_never", **values)
            if endless
            else Sentence("heads_reliable", **values, images=max(2, math.ceil(each.images_needed)))
        )
    agree = each.correlation if isinstance(each.correlation, Sentence) else f"{min(each.correlation, 1):.3f}"
    flow = each.table["flow"].iloc[0]
    return Sentence("heads_found", flow=flow, found=found_of_heads(each, floor), agree=agree, more=more or "")


def found_of_heads(each: HeadDifferences, floor: float) -> Sentence:
    """How many heads of a flow differ, or why that cannot be told: what the verdict says, and the picture."""
    if some := int(each.table["significant"].sum()):
        return Sentence("heads_differ", some=some, number=len(each.table), floor=floor)
    return each.few or Sentence("heads_alike", floor=floor)
