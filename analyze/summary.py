"""Mean, spread and quantiles of each flow: of the whole run, by layer and by category."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analyze.tables.blocks import Codes, Heads
from analyze.tables.counts import bin_index
from analyze.tables.flows import Array, TextScope

QUANTILES = {"q05": 0.05, "q25": 0.25, "median": 0.5, "q75": 0.75, "q95": 0.95}
FINE_EDGES = np.linspace(0.0, 1.0, 10_001)  # quantiles are off by less than one of these bins, 1e-4
GROUPS = ("overall", "layer", "category")


class _Tally:
    """Statistics of one flow in each of some groups, from values that come block by block."""

    def __init__(self, groups: int) -> None:
        self.rows = np.zeros(groups, np.int64)
        self.sums = np.zeros(groups)
        self.squares = np.zeros(groups)
        self.lowest = np.full(groups, np.inf)
        self.highest = np.full(groups, -np.inf)
        self.fine = np.zeros((groups, len(FINE_EDGES)), np.int64)

    def add(self, group: Codes, values: Array) -> None:
        self.rows += np.bincount(group, minlength=len(self.rows))
        self.sums += np.bincount(group, values, minlength=len(self.rows))
        self.squares += np.bincount(group, values**2, minlength=len(self.rows))
        np.minimum.at(self.lowest, group, values)
        np.maximum.at(self.highest, group, values)
        cell = group * len(FINE_EDGES) + bin_index(values.clip(0, 1), FINE_EDGES)
        self.fine += np.bincount(cell, minlength=self.fine.size).reshape(self.fine.shape)

    def row(self, group: int) -> dict[str, float]:
        """The statistics of one group."""
        below = np.concatenate([[0], np.cumsum(self.fine[group][:-1])]) / self.rows[group]
        quantiles = {
            name: float(np.clip(np.interp(share, below, FINE_EDGES), self.lowest[group], self.highest[group]))
            for name, share in QUANTILES.items()
        }
        mean = self.sums[group] / self.rows[group]
        return {
            "rows": int(self.rows[group]),
            "mean": mean,
            "std": float(np.sqrt(max(0.0, self.squares[group] / self.rows[group] - mean**2))),
            "min": self.lowest[group],
            **quantiles,
            "max": self.highest[group],
        }


def summarise(heads: Heads, flows: Sequence[str], scope: TextScope) -> pd.DataFrame:
    """Statistics of flows, streamed once.

    Returns:
        One row per (group, name, flow): `rows`, `mean`, `std` (of the population), `min`, `q05`, `q25`, `median`,
        `q75`, `q95`, `max`. Group is `overall`, `layer` or `category`. Quantiles are interpolated in bins of 1e-4, the
        rest is exact.
    """
    names: dict[str, list[str]] = {
        "overall": ["all"],
        "layer": [str(layer) for layer in range(heads.layers)],
        "category": heads.categories,
    }
    tallies = {(group, flow): _Tally(len(names[group])) for group in ("layer", "category") for flow in flows}
    tallies |= {("overall", flow): _Tally(1) for flow in flows}
    for block in heads.blocks(flows, scope):
        codes = {"overall": np.zeros_like(block.layer), "layer": block.layer, "category": block.category}
        for (group, flow), tally in tallies.items():
            tally.add(codes[group], block.flows[flow])
    return pd.DataFrame(
        [
            {"group": group, "name": name, "flow": flow, **tallies[group, flow].row(code)}
            for group in GROUPS
            for code, name in enumerate(names[group])
            for flow in flows
        ]
    )
