"""Mean, standard deviation, extremes and quantiles of each flow: of the whole run, by layer and by category."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from analyze.statistics.intervals import mean_interval
from analyze.tables.bins import FINE, QUANTILES, quantiles
from analyze.tables.frames import Heads
from analyze.tables.tallies import Spread, Tally, tally
from analyze.tables.text_scope import TextScope
from schemas.workers.work import HERE, Workers

GROUPS = ("overall", "layer", "category")
_AT_ONCE = 512  # fine histograms of categories held at once, of all flows together: 40 MB


def summarise(heads: Heads, flows: Sequence[str], scope: TextScope, workers: Workers = HERE) -> pd.DataFrame:
    """Statistics of some flows. Categories are read a few at a time, so that memory does not grow with their number.

    Returns:
        One row per (group, name, flow): `rows`, `mean`, `std` (of the population), `min`, `q05`, `q25`, `median`,
        `q75`, `q95`, `max`, and `low` and `high`, the 95% interval of the mean, with the image as its unit (NaN for one
        image). Group is `overall`, `layer` or `category`. Quantiles are those of pandas, off by less than
        1e-4; the rest is exact.

    Raises:
        HeadflowError: see `tally`.
    """
    whole: Tally | None = None
    categories = []
    number = max(1, _AT_ONCE // len(flows))
    for first in range(0, len(heads.categories), number):
        some = tally(heads.of(heads.categories[first : first + number]), flows, scope, workers=workers)
        categories.append(_statistics(some, "category"))
        whole = some.merged() if whole is None else whole + some.merged()
    assert whole is not None  # a run that can be opened has a category
    tables = [_statistics(whole, "category"), _statistics(whole, "layer"), pd.concat(categories)]
    return pd.concat(dict(zip(GROUPS, tables, strict=True)), names=["group"]).reset_index().astype({"name": str})


def _statistics(found: Tally, level: str) -> pd.DataFrame:
    """The statistics of each `category` or `layer`, by (name, flow)."""
    assert found.spread is not None
    assert found.images is not None
    spread: Spread = found.spread
    rows = found.counted.groupby(level, sort=False).sum()
    mean, square = (table.groupby(level, sort=False).sum() / rows for table in (found.sums, spread.squares))
    low, high = spread.minima.groupby(level, sort=False).min(), spread.maxima.groupby(level, sort=False).max()
    fine = spread.fine_by_category if level == "category" else spread.fine_by_layer
    counts = {flow: fine[flow].to_numpy().reshape(-1, FINE + 1) for flow in found.flows}
    if found.grid.fixed:  # a value where none counts: such rows are left out below
        counts = {flow: _with_a_value(each) for flow, each in counts.items()}
    columns: dict[str, Any] = {"mean": mean, "std": np.sqrt((square - mean**2).clip(lower=0)), "min": low}
    flows = list(found.flows)
    extremes = low[flows].to_numpy(), high[flows].to_numpy()
    of_shares = np.stack([quantiles(counts[flow], list(QUANTILES.values())) for flow in flows], axis=2)
    for name, values in zip(QUANTILES, of_shares, strict=True):
        columns[name] = pd.DataFrame(np.clip(values, *extremes), index=low.index, columns=flows)
    columns["max"] = high
    own = found.images.at(slice(None), -1) if level == "category" else found.images.sum(axis=0).at(0, slice(None, -1))
    # Values that do not count are zeros in sums over images: a mean of fewer is larger in proportion
    whole = found.rows.groupby(level, sort=False).sum().to_numpy()[:, None]
    counting = whole / rows[flows].clip(lower=1).to_numpy()
    for name, bound in zip(("low", "high"), mean_interval(own), strict=True):
        columns[name] = pd.DataFrame(np.clip(bound * counting, 0, 1), index=low.index, columns=flows)  # as masses are
    table = pd.concat(columns, axis=1, names=["statistic", "flow"]).rename_axis(index="name").stack("flow")
    table = table[list(columns)]
    table.insert(0, "rows", rows.rename_axis("name").stack().reindex(table.index).to_numpy())
    return table[table["rows"] > 0] if found.grid.fixed else table


def _with_a_value(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Histograms [groups, bins], with one value in the first bin of groups that have none."""
    first = (counts.sum(axis=1, keepdims=True) == 0) * np.eye(1, counts.shape[1], dtype=np.int64)
    return counts + first
