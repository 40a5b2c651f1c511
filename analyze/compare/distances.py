"""How far several runs are from each other: the distributions of their head values."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.stats import wasserstein_distance

from analyze.tables.bins import FINE
from analyze.tables.frames import Heads
from analyze.tables.tallies import tally


def distances(runs: Mapping[str, Heads], flows: Sequence[str], text_scope: str | None = None) -> pd.DataFrame:
    """The distance of each two runs in each flow.

    It is the 1-Wasserstein distance of the distributions of all values (of samples, layers and heads): by how much, on
    average, one must move them to get the other's. It needs neither the same samples nor the same heads.

    Returns:
        `flow`, `a`, `b` (names of runs), `distance` (a mass, 0 to 1); both orders, and 0 of a run to itself.

    Raises:
        HeadflowError: a run cannot be read.
    """
    counts = {name: _counts(heads, flows, text_scope) for name, heads in runs.items()}
    middles = (np.arange(FINE + 1) + 0.5) / FINE
    rows = [
        (flow, one, other, wasserstein_distance(middles, middles, counts[one][flow], counts[other][flow]))
        for flow in flows
        for one in runs
        for other in runs
    ]
    return pd.DataFrame(rows, columns=["flow", "a", "b", "distance"])


def _counts(heads: Heads, flows: Sequence[str], text_scope: str | None) -> dict[str, np.ndarray]:
    spread = tally(heads, flows, heads.scope(text_scope)).spread
    assert spread is not None
    return {flow: spread.fine_by_layer[flow].to_numpy().reshape(-1, FINE + 1).sum(axis=0) for flow in flows}
