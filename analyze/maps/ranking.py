"""Heads by how they look: mass, entropy, sinks, spatial entropy, with intervals by image; and those that localise best.

Kang et al. (CVPR 2025, arXiv:2503.06287) take, of the heads whose attention on the image is high, those that are often
among the ten with the lowest spatial entropy of a sample, and keep three. Here, of the heads that have a map and belong
to the quarter of all heads with the largest mean mass, the three with the lowest mean spatial entropy are taken. A mean
has an interval, and `chosen` says in which share of resamples of images a head is one of the three. The paper takes the
bend of the sorted masses in place of a quarter; the bend moves with the single largest head.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from analyze.maps.measures import Measures
from analyze.statistics.bootstrap import Bootstrap
from analyze.statistics.clusters import Array, Clusters
from analyze.statistics.intervals import FEW_IMAGES, ratio_intervals
from analyze.tables.values import Values, head_columns

CHOSEN = 3  # heads that localise best
CANDIDATES = 0.25  # of all heads, those with the largest mass
NUMBERS = ("mass", "entropy", "sink_share", "spatial_entropy")


@dataclass(frozen=True)
class Looks:
    """Heads by how they look.

    Attributes:
        table: a row for each head: `layer`, `head`, each of `NUMBERS` with its bounds `_low` and `_high`, `candidate`,
            `localises`, `chosen`; NaN where it cannot be told: `chosen` on fewer than `FEW_IMAGES` images.
        layers: a row for each layer: `layer`, `mass` and `sink` (means over heads and samples), `sink_share`, `low`,
            `high`.
        threshold: the mean mass from which on heads are candidates.
    """

    table: pd.DataFrame
    layers: pd.DataFrame
    threshold: float

    @property
    def localising(self) -> list[tuple[int, int]]:
        """The heads that localise best, the best one first."""
        rows = self.table[self.table["localises"]].sort_values("spatial_entropy", kind="stable")
        return [(int(layer), int(head)) for layer, head in zip(rows["layer"], rows["head"], strict=True)]


def rank_looks(values: Mapping[str, Values], measures: Measures, bootstrap: Bootstrap) -> Looks:
    """Heads by how they look.

    Args:
        values: of the table `maps`, `mass`, `entropy` and `sink`, [samples, layers, heads], NaN for null.
        measures: of the same samples; so is `bootstrap`.
    """
    shape = values["mass"].shape[1:]
    flat = {name: each.reshape(len(each), -1) for name, each in values.items()}
    spatial = np.full(flat["mass"].shape, np.nan, np.float32)
    spatial[:, measures.kept.ravel()] = measures.spatial
    clusters = bootstrap.clusters
    ratios = {
        "mass": clusters.known_sums(flat["mass"]),
        "entropy": clusters.known_sums(flat["entropy"]),
        "sink_share": _of_mass(clusters, flat["sink"], flat["mass"]),
        "spatial_entropy": clusters.known_sums(spatial),
    }
    columns: dict[str, npt.NDArray[np.generic]] = {**head_columns(np.empty(shape))}
    for name in NUMBERS:
        columns[name] = ratio(*ratios[name])
        columns[f"{name}_low"], columns[f"{name}_high"] = ratio_intervals(bootstrap, *ratios[name])
    table = pd.DataFrame(columns)
    threshold = float(np.quantile(table["mass"], 1 - CANDIDATES))
    table["candidate"] = (table["mass"] >= threshold) & table["spatial_entropy"].notna()
    order = table[table["candidate"]].sort_values("spatial_entropy", kind="stable").index[:CHOSEN]
    table["localises"] = table.index.isin(order)
    table["chosen"] = _chosen(table["candidate"].to_numpy(), bootstrap, *ratios["spatial_entropy"])
    return Looks(table, _layers(values, bootstrap), threshold)


def ratio(sums: Array, counts: Array) -> Array:
    """The ratio of sums over images; NaN where nothing is counted."""
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Array = sums.sum(axis=0) / counts.sum(axis=0)
    return found


def _of_mass(clusters: Clusters, sink: Values, mass: Values) -> tuple[Array, Array]:
    """Sums of sink and of mass, of the samples whose sinks are known."""
    known = np.isfinite(sink)
    return clusters.sums(np.where(known, sink, 0)), clusters.sums(np.where(known, mass, 0))


def _chosen(candidate: npt.NDArray[np.bool_], bootstrap: Bootstrap, sums: Array, counts: Array) -> Array:
    """In which share of resamples of images each candidate is one of the three; 0 for others; NaN if images are few."""
    if bootstrap.clusters.images < FEW_IMAGES:
        return np.full(len(candidate), np.nan)
    shares = np.zeros(len(candidate))
    places = np.flatnonzero(candidate)
    if len(places):
        draws = bootstrap.ratios(sums[:, places], counts[:, places])
        first = np.argsort(draws, axis=1, kind="stable")[:, :CHOSEN]  # NaN comes last
        shares[places] = np.bincount(first.ravel(), minlength=len(places)) / len(draws)
    return shares


def _layers(values: Mapping[str, Values], bootstrap: Bootstrap) -> pd.DataFrame:
    """The sink share of each layer: sum of sink over sum of mass."""
    layers = values["mass"].shape[1]
    known = np.isfinite(values["sink"])
    sums, counts = (
        bootstrap.clusters.sums(np.where(known, values[name], 0).sum(axis=2, dtype=np.float64))
        for name in ("sink", "mass")
    )
    low, high = ratio_intervals(bootstrap, sums, counts)
    number = known.sum(axis=(0, 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        means = {name: each.sum(axis=0) / number for name, each in (("mass", counts), ("sink", sums))}
    return pd.DataFrame(
        {"layer": np.arange(layers), **means, "sink_share": ratio(sums, counts), "low": low, "high": high}
    )
