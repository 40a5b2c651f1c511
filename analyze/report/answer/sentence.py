"""The page's first sentence: which heads look most and matter most, and whether looking goes with mattering.

It is a claim. With nothing there (heads alike, or without an effect, or looking that has nothing to do with mattering),
it is false in at most 5% of runs: each of its parts holds for all heads together, and the last has a level of `LEVEL`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from analyze.report.measures import Measure, Measured
from analyze.report.overview import Score
from analyze.report.tallying import agreement
from analyze.report.words import Words, number
from analyze.statistics.heads.means import ABOVE, BELOW, HeadMeans, Lead
from analyze.statistics.heads.permutations import agreement_of_heads
from analyze.statistics.intervals import FEW_IMAGES
from analyze.tables.frames import Heads
from analyze.tables.values import names_of_heads

LEVEL = 0.01  # of the claim that looking goes with mattering
DRAWS = 2_000  # permutations of heads
_DIGITS = 2


@dataclass(frozen=True)
class Part:
    """A part of the sentence, and the key of the measure by which it names heads."""

    text: str
    measure: str | None = None


def sentence(heads: Heads, measured: Measured, score: Score | None, words: Words, seed: int) -> list[Part]:
    """What the run says of its heads, in one sentence.

    Args:
        score: the accuracy, where there is one.

    Returns:
        Its parts, with what stands between them.
    """
    look, effect = measured.first_looking(), measured.first_mattering()
    parts = list(_of_heads(heads, look, effect, words, seed))
    if effect is None:
        parts.append(Part(words["answer_unmeasured"]))
    if score is not None:
        span = words.span(score.low, score.high) if score.low == score.low else words["no_interval"]
        parts.append(Part(words.filled("answer_score", value=number(score.value), span=span)))
    joined = [part for each in parts for part in (Part(words["semicolon"]), each)][1:]
    first = replace(joined[0], text=f"{joined[0].text[:1].upper()}{joined[0].text[1:]}")
    return [first, *joined[1:], Part(words["stop"])]


def _of_heads(heads: Heads, look: Measure | None, effect: Measure | None, words: Words, seed: int) -> Iterator[Part]:
    """Which head is highest by each measure, and whether both orders agree."""
    names = names_of_heads(heads.run.manifest)
    shown = [each for each in (look, effect) if each is not None]
    if shown and (images := min(each.found.of_heads.images for each in shown)) < FEW_IMAGES:
        yield Part(words.filled("answer_few", number=images, needed=FEW_IMAGES))
        return
    if look is not None:
        means = look.found.of_heads
        if (lead := means.lead()) is not None:
            values = {"number": means.heads, "measure": words.flow(look.name)}
            yield Part(_first("look", lead, means, words, names, **values), look.key)
    if effect is not None:
        done = "" if effect.job is None else words.done(effect.job)
        yield Part(_of_effects(effect.found.of_heads, words, names, done), effect.key)
    if look is not None and effect is not None:
        yield Part(_of_both(look, effect, heads, words, seed))


def _of_effects(means: HeadMeans, words: Words, names: list[str], done: str) -> str:
    """The head without which the lead falls most, or where that may be none, rises most.

    Args:
        done: how heads are knocked out, in words.
    """
    highest, lowest = means.lead(), means.lead(lowest=True)
    if highest is None or lowest is None:
        return words["answer_effect_unknown"]
    if means.told[highest.first] == ABOVE:
        return _first("effect", highest, means, words, names, done=done, change=words["answer_falls"])
    if means.told[lowest.first] == BELOW:
        return _first("effect", lowest, means, words, names, done=done, change=words["answer_rises"])
    return _first("none", highest, means, words, names, done=done)


def _first(kind: str, lead: Lead, means: HeadMeans, words: Words, names: list[str], **values: object) -> str:
    """The head that comes first, and whether that can be told."""
    cell = lead.first
    value = abs(means.mean[cell]) if kind == "effect" else means.mean[cell]
    known = {"head": names[cell], "value": _number(value), "span": _span(means, cell, words)}
    if kind == "none":
        return words.filled("answer_effect_none", **known, **values)
    if lead.told:
        return words.filled(f"answer_{kind}_apart", **known, **values)
    rivals = names[lead.second]
    if lead.rivals > 1:
        rivals = words.filled("answer_more", names=rivals, number=lead.rivals - 1)
    return words.filled(f"answer_{kind}_rivals", **known, **values, rivals=rivals)


def _span(means: HeadMeans, cell: int, words: Words) -> str:
    """The corrected interval of a head, of the size of its mean where that is told to be below 0."""
    low, high = (float(ends[cell]) for ends in means.corrected)
    if means.told[cell] == BELOW:
        low, high = -high, -low
    return words.span(low, high, _DIGITS)


def _number(value: float) -> str:
    return number(float(value), _DIGITS)


def _of_both(look: Measure, effect: Measure, heads: Heads, words: Words, seed: int) -> str:
    """Whether heads that look more matter more: looking on one half of the images, the effect on the other."""
    one, other = look.found.half_means(0), effect.found.half_means(1)
    known = np.isfinite(one) & np.isfinite(other)
    layer = np.repeat(np.arange(heads.shape[0]), heads.heads)[known]
    found = agreement_of_heads(one[known], other[known], layer, DRAWS, seed) if known.sum() > 2 else None
    whole = agreement(look.found.means()[0], effect.found.means()[0])
    if found is None or whole is None:
        return words["answer_relation_unknown"]
    sure = found.p <= LEVEL and found.within * whole > 0
    name = "untold" if not sure else "more" if whole > 0 else "less"
    return words.filled(f"answer_relation_{name}", value=number(whole, 2, sign=True))
