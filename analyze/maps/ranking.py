"""Heads by how they look: mass, entropy, sinks, spatial entropy, with intervals by image; and those that localise best.

Kang et al. (CVPR 2025, arXiv:2503.06287) take, of the heads whose attention on the image is high, those that are often
among the ten with the lowest spatial entropy of a sample, and keep three. Here, of the heads that have a map and belong
to the quarter of all heads with the largest mean mass, the three with the lowest mean spatial entropy are taken. A mean
has an interval, and `chosen` says in which share of resamples of images a head is one of the three. Whether any head
localises better than others is told by three that are chosen on one half of the images, against the other candidates on
the other half. The paper takes the bend of the sorted masses in place of a quarter; the bend moves with the single
largest head.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from analyze.maps.halves import Lead, gap, tests_of
from analyze.maps.measures import Measures
from analyze.statistics.bootstrap import Bootstrap
from analyze.statistics.clusters import Array, Clusters, Codes
from analyze.statistics.intervals import FEW_IMAGES, ratio_intervals
from analyze.tables.values import Values

CHOSEN = 3  # heads that localise best
_CANDIDATES = 0.25  # of all heads, those with the largest mass
_NUMBERS = ("mass", "entropy", "sink_share", "spatial_entropy")


@dataclass(frozen=True)
class Looks:
    """Heads by how they look.

    Attributes:
        table: a row for each head: `layer`, `head`, each of `_NUMBERS` with its bounds `_low` and `_high`, `candidate`,
            `localises`, `chosen`; NaN where it cannot be told: `chosen` on fewer than `FEW_IMAGES` images.
        layers: a row for each layer: `layer`, `mass` and `sink` (means over heads and samples), `sink_share`, `low`,
            `high`.
        threshold: the mean mass from which on heads are candidates.
        least: the lowest mean entropy of a head that has a map; NaN where none is known.
        lead: spatial entropy of three candidates minus that of the others, see above; None where it cannot be measured.
        layer: the layer with the largest share on sinks, chosen on one half of the images, and its lead over the other
            layers together on the other half; None where there is no other, or no sink.
    """

    table: pd.DataFrame
    layers: pd.DataFrame
    threshold: float
    least: float
    lead: Lead | None
    layer: tuple[int, Lead] | None

    @property
    def told(self) -> bool:
        """Whether heads are found to localise best, on images that did not choose them."""
        return self.lead is not None and self.lead.high < 0  # False where NaN

    @property
    def localising(self) -> list[tuple[int, int]]:
        """The heads that localise best, the best one first."""
        rows = self.table[self.table["localises"]].sort_values("spatial_entropy", kind="stable")
        return [(int(layer), int(head)) for layer, head in zip(rows["layer"], rows["head"], strict=True)]


def rank_looks(samples: pd.DataFrame, values: Mapping[str, Values], measures: Measures, bootstrap: Bootstrap) -> Looks:
    """Heads by how they look.

    Args:
        samples: the rows of `samples` that were measured.
        values: of the table `maps`, `mass`, `entropy` and `sink`, [samples, layers, heads], NaN for null.
        measures: of the same samples; so is `bootstrap`.
    """
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
    columns: dict[str, npt.NDArray[np.generic]] = {**measures.columns}
    for name in _NUMBERS:
        columns[name] = ratio(*ratios[name])
        columns[f"{name}_low"], columns[f"{name}_high"] = ratio_intervals(clusters, *ratios[name], least=0.0)
    table = pd.DataFrame(columns)
    threshold = float(np.quantile(table["mass"], 1 - _CANDIDATES))
    table["candidate"] = (table["mass"] >= threshold) & table["spatial_entropy"].notna()
    order = table[table["candidate"]].sort_values("spatial_entropy", kind="stable").index[:CHOSEN]
    table["localises"] = table.index.isin(order)
    table["chosen"] = _chosen(table["candidate"].to_numpy(), bootstrap, *ratios["spatial_entropy"])
    least = float(table["entropy"][measures.kept.ravel()].min())
    tests = tests_of(samples, bootstrap.seed)
    lead = layer = None
    if tests is not None:
        lead = _localising_lead(samples, spatial[:, table["candidate"]], tests)
        layer = _sinking_layer(samples, values, measures.layers, tests)
    return Looks(table, _layers(values, measures.layers, bootstrap), threshold, least, lead, layer)


def _localising_lead(samples: pd.DataFrame, spatial: Values, tests: npt.NDArray[np.bool_]) -> Lead | None:
    """Spatial entropy [samples, candidates] of the three lowest on one half, minus that of others, on the other."""
    if spatial.shape[1] <= CHOSEN:
        return None
    order = np.argsort(_known_means(spatial[~tests], axis=0), kind="stable")  # NaN comes last
    chosen, others = (_known_means(spatial[tests][:, some], axis=1) for some in (order[:CHOSEN], order[CHOSEN:]))
    return gap(samples[tests], chosen - others)


def _known_means(values: Values, axis: int) -> Array:
    """Means of the values that are known; NaN where none is."""
    known = np.isfinite(values)
    return ratio_of(np.where(known, values, 0).sum(axis=axis, dtype=np.float64), known.sum(axis=axis))


def _sinking_layer(
    samples: pd.DataFrame, values: Mapping[str, Values], layers: Codes, tests: npt.NDArray[np.bool_]
) -> tuple[int, Lead] | None:
    """See `Looks.layer`. The share is that of each sample, so that images count alike."""
    sink, mass = (values[name].sum(axis=2, dtype=np.float64) for name in ("sink", "mass"))
    if sink.shape[1] < 2 or not np.nan_to_num(sink).any():
        return None
    layer = int(np.argmax(ratio(*(np.nan_to_num(each)[~tests] for each in (sink, mass)))))
    others = [number for number in range(sink.shape[1]) if number != layer]
    own = ratio_of(sink[tests, layer], mass[tests, layer])
    return int(layers[layer]), gap(
        samples[tests], own - ratio_of(*(each[tests][:, others].sum(axis=1) for each in (sink, mass)))
    )


def ratio(sums: Array, counts: Array) -> Array:
    """The ratio of sums over images; NaN where nothing is counted."""
    return ratio_of(sums.sum(axis=0), counts.sum(axis=0))


def ratio_of(above: npt.NDArray[np.number], below: npt.NDArray[np.number]) -> Array:
    """The ratio of numbers; NaN where nothing is counted."""
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Array = np.divide(above, below, dtype=np.float64)
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


def _layers(values: Mapping[str, Values], layers: Codes, bootstrap: Bootstrap) -> pd.DataFrame:
    """The sink share of each layer: sum of sink over sum of mass."""
    known = np.isfinite(values["sink"])
    sums, counts = (
        bootstrap.clusters.sums(np.where(known, values[name], 0).sum(axis=2, dtype=np.float64))
        for name in ("sink", "mass")
    )
    low, high = ratio_intervals(bootstrap.clusters, sums, counts, least=0.0)
    number = known.sum(axis=(0, 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        means = {name: each.sum(axis=0) / number for name, each in (("mass", counts), ("sink", sums))}
    return pd.DataFrame({"layer": layers, **means, "sink_share": ratio(sums, counts), "low": low, "high": high})
