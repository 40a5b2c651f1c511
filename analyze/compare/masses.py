"""Where the attention of two runs goes, without matching heads by their index."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analyze.statistics.clusters import Array, Clusters, ImageSums
from analyze.statistics.intervals import mean_interval
from analyze.tables.frames import Heads
from analyze.tables.text_scope import TextScope
from analyze.tables.values import Values, observed_rows, sample_values
from schemas.workers.tasks import HERE, Workers

BINS = 50  # of a distribution


@dataclass(frozen=True)
class Masses:
    """One flow of two runs on the paired samples; `run` is `a` or `b`.

    Attributes:
        means: one row: `flow`, `a`, `b`, `difference` and its paired interval `low`, `high` (NaN for one image).
        distributions: `run`, `flow`, `left`, `right`, `share`: of the head values in each bin.
        profiles: `run`, `flow`, `layer`, `depth` ((layer + 1/2) / layers), `mean`, `low`, `high`.
        heads: `run`, `flow`, `rank` ((place + 1/2) / heads, largest mean first), `mean`.
    """

    means: pd.DataFrame
    distributions: pd.DataFrame
    profiles: pd.DataFrame
    heads: pd.DataFrame


def paired_values(heads: Heads, flow: str, scope: TextScope, positions: pd.Series, workers: Workers = HERE) -> Values:
    """The values of some samples, float32 [samples, layers, heads], by their positions in the table `samples`."""
    return sample_values(heads, [flow], scope, workers=workers)[flow][observed_rows(heads)[positions.to_numpy()]]


def compare_masses(flow: str, a: Values, b: Values, clusters: Clusters) -> Masses:
    """Compare one flow of two runs.

    Args:
        a, b: of the same samples, [samples, layers, heads] of either run.
    """
    runs = {"a": a, "b": b}
    of_samples = {name: values.mean(axis=(1, 2), dtype=np.float64) for name, values in runs.items()}
    low, high = _interval(clusters, of_samples["b"] - of_samples["a"])
    means = {name: float(values.mean()) for name, values in of_samples.items()}
    row = {"flow": flow, **means, "difference": means["b"] - means["a"], "low": float(low), "high": float(high)}
    tables: dict[str, list[pd.DataFrame]] = {"distributions": [], "profiles": [], "heads": []}
    edges = np.linspace(0, 1, BINS + 1)
    for name, values in runs.items():
        layers = values.shape[1]
        counts, _ = np.histogram(np.clip(values, 0, 1), edges)
        shares = {"left": edges[:-1], "right": edges[1:], "share": counts / values.size}
        tables["distributions"].append(pd.DataFrame({"run": name, "flow": flow} | shares))
        of_layers = values.mean(axis=2, dtype=np.float64)
        bounds = _interval(clusters, of_layers)
        profile = {
            "layer": np.arange(layers),
            "depth": (np.arange(layers) + 0.5) / layers,
            "mean": of_layers.mean(axis=0),
        }
        profile |= dict(zip(("low", "high"), bounds, strict=True))
        tables["profiles"].append(pd.DataFrame({"run": name, "flow": flow} | profile))
        order = np.sort(values.mean(axis=0, dtype=np.float64).ravel())[::-1]
        places = {"rank": (np.arange(len(order)) + 0.5) / len(order), "mean": order}
        tables["heads"].append(pd.DataFrame({"run": name, "flow": flow} | places))
    return Masses(pd.DataFrame([row]), *(pd.concat(each, ignore_index=True) for each in tables.values()))


def _interval(clusters: Clusters, values: Array) -> tuple[Array, Array]:
    """The interval of means over samples [samples, ...]."""
    sums = clusters.sums(values)
    counts = clusters.counts.reshape(-1, *[1] * (sums.ndim - 1))
    return mean_interval(ImageSums.of(sums, np.broadcast_to(counts, sums.shape)))
