"""How heads and layers rank, what sets of them cost, and which can be cut, in words."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from analyze.knockouts.jobs import HEADS, OF_LAYERS, UNITS
from analyze.prune.criteria import Criterion
from analyze.prune.curves import Costs
from analyze.prune.design import LEAST, MOST
from analyze.prune.plan import Plan
from analyze.prune.ranking import Ranked
from analyze.statistics.reliability import RELIABLE
from schemas.text import counted, listed

_SIGNIFICANT = 0.05
ONE = {HEADS: "head", OF_LAYERS: "layer"}


def ranking_in_words(ranked: Sequence[Ranked], relations: pd.DataFrame, halves: str) -> list[str]:
    """How heads and layers rank, a line each; `halves`: the first line."""
    lines = [halves]
    for unit in UNITS:
        own = [each for each in ranked if each.criterion.unit == unit]
        shares = [f"{each.criterion.name} {_share(each.reliability)}" for each in own]
        lines += [f"{unit}: how far ranks would be the same on other images: {', '.join(shares)}"] if own else []
        found = relations[(relations["unit"] == unit) & (relations["other"] == "effect")]
        effect = next((each for each in own if each.criterion.measured), None)
        sure = None if effect is None else effect.reliability
        lines += [] if effect is None else [f"{unit}: {_of_effect(effect.criterion, own)}"]
        lines += [_relation(row, ONE[unit], sure) for row in found.to_dict("records")]
        if own and effect is None:
            lines.append(f"{unit}: no measured effect to compare with, so how much they matter is not known yet")
    return lines


def _of_effect(effect: Criterion, ranked: Sequence[Ranked]) -> str:
    """What the measured effect is, and which criteria are attention of other tokens than it is about."""
    said = f"the measured effect is the {effect.words} (job {effect.job})"
    criteria = [each.criterion for each in ranked if not each.criterion.measured]
    others = [each.name for each in criteria if effect.query and each.query not in (None, effect.query)]
    return f"{said}; attention of other tokens: {listed(others)}" if others else said


def _share(value: float | None) -> str:
    return "cannot be told" if value is None else f"{value:.2f}"


def _relation(row: Mapping[Any, Any], one: str, reliability: float | None) -> str:
    """A criterion against the measured effect, in words."""
    name = f"{one}s, {row['criterion']} and the measured effect"
    if np.isnan(row["correlation"]):
        return f"{name}: cannot be told, as all are equal"
    clean = "" if np.isnan(row["disattenuated"]) else f", {min(row['disattenuated'], 1):+.2f} without noise"
    found = f"{name}: rank correlation {row['correlation']:+.2f}{clean}"
    if reliability is None or reliability < RELIABLE:
        return f"{found}: says nothing, as the effects would rank otherwise on other images"
    if np.isnan(row["p"]):
        return f"{found}: cannot be told, as all of a layer are equal"
    inside = "within layers, " if one == ONE[HEADS] else ""
    apart = f"on different images {row['halves']:+.2f}" + (f", within layers {row['within']:+.2f}" if inside else "")
    meaning = f"it cannot be told whether {one}s with more of it matter more or less"
    if row["p"] <= _SIGNIFICANT:
        meaning = f"{inside}{one}s with more of it matter {'more' if row['within'] > 0 else 'less'}"
    return f"{found}; {apart} (p {row['p']:.2g}): {meaning}"


def costs_in_words(found: Costs, plan: Plan, sets: int) -> list[str]:
    """What sets cost and which can be cut, a line each; `sets`: how many were measured."""
    score = "" if np.isnan(found.score) or found.task.by_accuracy else f"{found.task.score} {found.score:.1f}, "
    return [
        f"{counted(sets, 'set')} tested on {counted(found.samples, 'question')} on {counted(found.images, 'image')}; "
        f"untouched: {score}{found.accuracy:.1f}% right, lead {found.lead:.2f}",
        *_curves(found),
        _plan(found, plan),
        "the images that ranked were not used to test; the loss of a set need not be the sum of those of its heads, as "
        "heads may back each other up",
        *_optimism(plan),
    ]


def _curves(found: Costs) -> Iterator[str]:
    areas = found.areas[found.areas["measure"] == "effect"]
    for row in areas[areas["order"] == LEAST].to_dict("records"):
        most = areas[
            (areas["order"] == MOST) & (areas["unit"] == row["unit"]) & (areas["criterion"] == row["criterion"])
        ]["area"]
        other = f", the most important first {most.iloc[0]:.2f}" if len(most) else ""
        line = f"{row['unit']}, least {row['criterion']} first: {row['area']:.2f} of lead lost on average{other}"
        if np.isnan(row.get("p", np.nan)):
            none = np.isnan(row.get("random_median", np.nan))
            why = "there are no random sets" if none else "each random set with as many of each layer is the set itself"
            yield f"{line}; no comparison is possible, as {why}"
            continue
        band = f"{row['random_median']:.2f} ({row['random_low']:.2f} to {row['random_high']:.2f})"
        told = "not significantly different from random"
        if row["adjusted_p"] <= _SIGNIFICANT:
            told = f"{'less' if row['p_less'] < row['p'] else 'more'} than random, p {row['adjusted_p']:.2g}"
        yield f"{line}, random {band}: {told}"


def _plan(found: Costs, plan: Plan) -> str:
    if found.points is None:
        return f"plan: cannot be told, as no image has a pair of questions, and so there is no {found.task.score}"
    if plan.candidates.empty:
        return "plan: there is no set to choose from"
    if (row := plan.chosen) is not None:
        return (
            f"plan: cut {_many(row)}, the least {row['criterion']}: {row['loss']:.1f} points of {found.score:.1f} "
            f"lost ({row['loss_low']:.1f} to {row['loss_high']:.1f} with at least 95% confidence); no more than the "
            f"{plan.allowed:g} that are allowed, with 95% confidence whichever of the "
            f"{counted(len(plan.candidates), 'candidate set')} had been chosen (bound {row['bound']:.1f}){_saved(row)}"
        )
    near = plan.candidates[plan.candidates["loss"] <= plan.allowed]
    if near.empty:
        least = plan.candidates.sort_values("loss").iloc[0].to_dict()
        return (
            f"plan: no set lost so little as {_points(plan.allowed)} here; {_many(least)}, the least "
            f"{least['criterion']}, lost {least['loss']:.1f} ({least['loss_low']:.1f} to {least['loss_high']:.1f} "
            "with at least 95% confidence)"
        )
    row = near.sort_values("bound").iloc[0].to_dict()
    return (
        f"plan: cannot tell with so few images: {_many(row)}, the least {row['criterion']}, lose {row['loss']:.1f} "
        f"points here, but may lose {row['bound']:.1f}, and {plan.allowed:g} are allowed; on "
        f"{counted(found.images, 'image')} no loss below {plan.smallest:.1f} can be shown, even of a set that changes "
        "no answer"
    )


def _optimism(plan: Plan) -> Iterator[str]:
    if plan.chosen is not None:
        yield (
            "the plan was chosen for its loss on these questions, so the loss shown is slightly optimistic; that "
            "it is no more than allowed is corrected for the choice"
        )


def _points(value: float) -> str:
    return f"{value:g} point{'' if value == 1 else 's'}"


def _many(row: Mapping[Any, Any]) -> str:
    return f"{row['number']} {row['unit'] if row['number'] > 1 else ONE[row['unit']]} ({100 * row['share']:.1f}%)"


def _saved(row: Mapping[Any, Any]) -> str:
    if np.isnan(row["parameters_saved"]):
        return ""
    return (
        f"; saves {row['parameters_saved']:.1f}% of the parameters, {row['flops_saved']:.1f}% of the operations for "
        f"each token, {row['kv_cache_saved']:.1f}% of the cache of keys and values"
    )
