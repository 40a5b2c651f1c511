"""What sets cost against random sets that have as many heads in each layer, or as many layers."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from analyze.prune.design import LEAST
from analyze.statistics.clusters import Array
from analyze.statistics.multiplicity import false_discovery_rate

_BAND = (0.025, 0.5, 0.975)  # of random sets: low, median, high


def against(row: Mapping[Any, Any], random: pd.DataFrame) -> dict[str, float]:
    """How a `least` set compares with its random sets, each once; those that are the same set are left out."""
    if row["order"] != LEAST:
        return {"random": np.nan, "p": np.nan, "p_less": np.nan}
    own = random[(random["group"] == row["group"]) & (random["set"] != row["set"])].drop_duplicates("set")
    return {"random": len(own)} | share_beyond(float(row["effect"]), own["effect"].to_numpy(np.float64))


def share_beyond(value: float, random: Array) -> dict[str, float]:
    """The share of random values, and the value itself, that are as large or larger (`p`), and as small or smaller.

    NaN where there is nothing to compare with. A random set whose effect could not be computed counts as worst.
    """
    number = len(random)
    if not number or np.isnan(value):
        return {"p": np.nan, "p_less": np.nan}
    filled = np.where(np.isnan(random), np.inf, random)
    reached = {"p": (filled >= value).sum(), "p_less": (filled <= value).sum()}
    return {name: float((1 + count) / (number + 1)) for name, count in reached.items()}


def areas(sets: pd.DataFrame, random: pd.DataFrame) -> pd.DataFrame:
    """The areas under the curves; see `Costs`. The random sets of one draw, which are nested, make one curve.

    Where all random sets are the sets themselves, there is nothing to compare with, and `p` and `p_less` are NaN.
    `adjusted_p` is two-sided, and corrected for all criteria of heads, or of layers, by Benjamini and
    Hochberg.
    """
    rows = []
    of_draws = {name: random.pivot(index="draw", columns="group", values=name) for name in ("effect", "loss", "set")}
    for (unit, criterion, order), own in sets.groupby(["unit", "criterion", "order"], sort=False):
        own = own.sort_values("share")
        for measure in ("effect", "loss"):
            area = float(mean_height(own["share"].to_numpy(), own[[measure]].to_numpy().T)[0])
            row: dict[str, object] = {"unit": unit, "criterion": criterion, "order": order, "measure": measure}
            row |= {"area": area}
            if order == LEAST and len(random):
                curves, names = (of_draws[name][own["group"].tolist()] for name in (measure, "set"))
                drawn = mean_height(own["share"].to_numpy(), curves.to_numpy(np.float64))
                low, middle, high = np.quantile(drawn, _BAND) if np.isfinite(drawn).all() else [np.nan] * 3
                others = (names != own["set"].to_numpy()).any(axis=None)
                row |= {"random_median": middle, "random_low": low, "random_high": high}
                row |= share_beyond(area, drawn if others else drawn[:0])
            rows.append(row)
    table = pd.DataFrame(rows)
    if "p" in table:
        both = (2 * table[["p", "p_less"]].min(axis=1, skipna=False)).clip(upper=1)
        table["adjusted_p"] = both.groupby([table["unit"], table["measure"]]).transform(
            lambda own: false_discovery_rate(own.to_numpy())
        )
    return table


def mean_height(shares: Array, curves: Array) -> Array:
    """The mean height of curves [curves, shares], joined by straight lines, from share 0, where nothing is lost."""
    x = np.concatenate([[0.0], shares])
    y = np.concatenate([np.zeros((len(curves), 1)), curves], axis=1)
    heights: Array = (np.diff(x) * (y[:, 1:] + y[:, :-1]) / 2).sum(axis=1) / x[-1]
    return heights


def bands(random: pd.DataFrame, unit: str, measure: str) -> Iterator[tuple[float, Array]]:
    """Of each share, 0 first, the quantiles `_BAND` over all random sets of a unit."""
    yield 0.0, np.zeros(len(_BAND))
    own = random[random["unit"] == unit].drop_duplicates(["share", "set"])
    for share, rows in own.groupby("share"):
        values = rows[measure].to_numpy(np.float64)
        known = values[np.isfinite(values)]
        yield float(str(share)), np.quantile(known, _BAND) if len(known) else np.full(len(_BAND), np.nan)
