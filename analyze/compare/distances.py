"""How far several runs are from each other: the distributions of their head values."""

from collections.abc import Mapping, Sequence
from itertools import combinations, product

import numpy as np
import pandas as pd
from scipy.stats import wasserstein_distance

from analyze.tables.bins import FINE
from analyze.tables.frames import Heads
from analyze.tables.tallies import tally
from schemas.workers.work import HERE, Workers


def distances(
    runs: Mapping[str, Heads], flows: Sequence[str], text_scope: str | None = None, workers: Workers = HERE
) -> pd.DataFrame:
    """The distance of each two runs in each flow.

    It is the 1-Wasserstein distance of the distributions of all values (of samples, layers and heads): by how much, on
    average, one must move them to get the other's. It needs neither the same samples nor the same heads.

    Returns:
        `flow`, `a`, `b` (names of runs), `distance` (a mass, 0 to 1); both orders, and 0 of a run to itself.

    Raises:
        HeadflowError: a run cannot be read.
    """
    counts = {name: _counts(heads, flows, text_scope, workers) for name, heads in runs.items()}
    middles = (np.arange(FINE + 1) + 0.5) / FINE
    rows = []
    for flow in flows:
        between = {
            frozenset(pair): wasserstein_distance(middles, middles, *(counts[name][flow] for name in pair))
            for pair in combinations(runs, 2)
        }
        rows += [(flow, *pair, between.get(frozenset(pair), 0.0)) for pair in product(runs, repeat=2)]
    return pd.DataFrame(rows, columns=["flow", "a", "b", "distance"])


def _counts(heads: Heads, flows: Sequence[str], text_scope: str | None, workers: Workers) -> pd.DataFrame:
    """How many values of each flow, its column, are in each fine bin."""
    found = tally(heads, flows, heads.scope(text_scope), workers=workers)
    assert found.spread is not None
    return found.spread.fine_by_layer.groupby("bin").sum()
