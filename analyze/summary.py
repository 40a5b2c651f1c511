"""Mean, standard deviation, extremes and quantiles of each flow: of the whole run, by layer and by category."""

from typing import Any

import numpy as np
import pandas as pd

from analyze.tables.bins import QUANTILES, quantile
from analyze.tables.tallies import Spread, Tally

GROUPS = ("overall", "layer", "category")


def summarise(tally: Tally) -> pd.DataFrame:
    """Statistics of the flows that were tallied, with their spread.

    Returns:
        One row per (group, name, flow): `rows`, `mean`, `std` (of the population), `min`, `q05`, `q25`, `median`,
        `q75`, `q95`, `max`. Group is `overall`, `layer` or `category`. Quantiles are off by less than 1e-4, the rest is
        exact.

    Raises:
        ValueError: the tally was made without its spread.
    """
    if tally.spread is None:
        raise ValueError("a summary needs a tally with its spread")
    tables = {group: _statistics(tally, tally.spread, group) for group in GROUPS}
    return pd.concat(tables, names=["group"]).reset_index().astype({"name": str})


def _statistics(tally: Tally, spread: Spread, group: str) -> pd.DataFrame:
    """The statistics of one group, by (name, flow)."""
    rows = _grouped(tally.rows, group).sum()
    mean, square = (_grouped(table, group).sum().div(rows, axis=0) for table in (tally.sums, spread.squares))
    low, high = _grouped(spread.minima, group).min(), _grouped(spread.maxima, group).max()
    fine = spread.fine_by_category if group == "category" else spread.fine_by_layer
    fine = fine if group in fine.index.names else pd.concat({"all": fine.groupby("bin").sum()})
    by_name = fine.groupby(level=0, sort=False)
    columns = {
        "mean": mean,
        "std": np.sqrt((square - mean**2).clip(lower=0)),
        "min": low,
        **{name: by_name.agg(quantile, share).clip(low, high) for name, share in QUANTILES.items()},
        "max": high,
    }
    table = pd.concat(columns, axis=1, names=["statistic", "flow"]).rename_axis(index="name").stack("flow")
    table = table[list(columns)]
    table.insert(0, "rows", rows.loc[table.index.get_level_values("name")].to_numpy())
    return table


def _grouped(table: Any, group: str) -> Any:
    """A table of the tally, grouped by a level of its index; all in one for `overall`."""
    return table.groupby(group if group in table.index.names else np.full(len(table), "all"), sort=False)
