"""How sure a measure of heads is, in words: what is told from 0, whether the order is noise, which head is first."""

import math
from dataclasses import dataclass

import numpy as np

from analyze.report.tallying import Order, Tallied
from analyze.report.words import Words, number
from analyze.statistics.heads.means import ABOVE, BELOW, UNTOLD, HeadMeans, Lead
from analyze.statistics.intervals import FEW_IMAGES
from analyze.statistics.multiplicity import FLOOR
from analyze.statistics.reliability import RELIABLE
from analyze.tables.frames import Heads
from analyze.tables.values import names_of_heads

_MOST_IMAGES = 1e5  # more would be no advice


@dataclass(frozen=True)
class Sureness:
    """What is said beside the heads of one measure.

    Attributes:
        order: that their order may be noise, else empty; `pale` says whether the map is to look so.
        told: which heads are told from 0; empty where values are not signed.
        lead: whether the highest head, and of signed values the lowest, is told from all others, a line each.
    """

    pale: bool
    order: str
    told: str
    lead: list[str]


def sureness(found: Tallied, heads: Heads, words: Words, *, signed: bool) -> Sureness:
    """What is said beside the heads of a measure."""
    means = found.of_heads
    known = means.mean[np.isfinite(means.mean)]
    if len(known) and np.ptp(known) <= FLOOR:
        same = words.filled("all_alike", value=number(known[0], 3, sign=signed))
        return Sureness(pale=False, order="", told=_told(means, words) if signed else "", lead=[same])
    names = names_of_heads(heads.run.manifest)
    leads = [means.lead(lowest=lowest) for lowest in ((False, True) if signed else (False,))]
    return Sureness(
        pale=found.order.noise,
        order=_order(found.order, means.images, words),
        told=_told(means, words) if signed else "",
        lead=[_lead(each, end, names, words) for each, end in zip(leads, ("highest", "lowest"), strict=False) if each],
    )


def _order(order: Order, images: int, words: Words) -> str:
    if order.reliability is None:
        return words.filled("order_unknown", images=images)
    if not order.noise:
        return ""
    more = _about(order.images, words, "order_more", wanted=RELIABLE)
    return words.filled("order_noise", value=number(order.reliability, 2), more=more)


def _told(means: HeadMeans, words: Words) -> str:
    """Of signed values, how many heads differ from 0, to either side."""
    told, some = means.told, {}
    if (told == UNTOLD).all():
        return words.filled("told_few", images=means.images, least=FEW_IMAGES)
    some = {"above": int((told == ABOVE).sum()), "below": int((told == BELOW).sum())}
    if any(some.values()):
        return words.filled("told_some", some=sum(some.values()), heads=means.heads, **some)
    return words.filled("told_none", heads=means.heads)


def _lead(lead: Lead, end: str, of_heads: list[str], words: Words) -> str:
    names = {"first": of_heads[lead.first], "second": of_heads[lead.second]}
    if lead.told:
        return words.filled(f"{end}_told", **names)
    if lead.told is None:
        return words.filled(f"{end}_few", least=FEW_IMAGES, **names)
    more = _about(lead.images, words, "lead_more")
    which = "one" if lead.rivals == 1 else "some"
    return words.filled(f"{end}_{which}", rivals=lead.rivals, more=more, **names)


def _about(images: float | None, words: Words, name: str, **values: object) -> str:
    """About how many images it takes, rounded up to two digits; empty where that is no advice."""
    if images is None or not images <= _MOST_IMAGES:
        return ""
    step = 10 ** max(0, math.floor(math.log10(max(images, 1))) - 1)
    return words.filled(name, images=f"{math.ceil(images / step) * step:,}", **values)
