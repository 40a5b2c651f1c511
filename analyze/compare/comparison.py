"""Two runs compared: what they answer, where their attention goes, and the verdict in words; distances of several."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations, product

import numpy as np
import pandas as pd

from analyze.compare.answers import compare_answers
from analyze.compare.heads import HeadDifferences, compare_heads, floor, obstacle
from analyze.compare.pairing import Pairs, differing_settings, pair_samples
from analyze.compare.sentences import Sentence
from analyze.compare.verdict import answers_in_words, heads_in_words, masses_in_words
from analyze.statistics.bootstrap import RESAMPLES, SEED
from analyze.statistics.clusters import Array, Clusters, Codes, ImageSums
from analyze.statistics.intervals import mean_interval
from analyze.tables.bins import FINE
from analyze.tables.frames import Heads
from analyze.tables.kept import ExactValues
from analyze.tables.tallies import tally
from analyze.tables.text_scope import TextScope
from analyze.tables.values import Values, observed_rows, read_together, sample_values
from schemas.errors import HeadflowError
from schemas.manifest import Manifest
from schemas.workers.beside import beside, both
from schemas.workers.work import HERE, Workers

_BINS = 50  # of a distribution
_AT_ONCE = 256  # samples whose values are clipped at once
KeptFlows = Mapping[str, ExactValues]


@dataclass(frozen=True)
class Masses:
    """One flow of two runs on the paired samples; `run` is `a` or `b`.

    Attributes:
        means: one row: `flow`, `a`, `b`, `difference` and its paired interval `low`, `high` (NaN for one image).
        distributions: `run`, `flow`, `left`, `right`, `share`: of the head values in each bin.
        profiles: `run`, `flow`, `layer` (those that attend), `depth` ((layer + 1/2) / layers), `mean`, `low`, `high`.
        heads: `run`, `flow`, `rank` ((place + 1/2) / heads, largest mean first), `mean`.
    """

    means: pd.DataFrame
    distributions: pd.DataFrame
    profiles: pd.DataFrame
    heads: pd.DataFrame


def paired_values(
    runs: Sequence[Heads],
    flows: Sequence[str],
    scopes: Sequence[TextScope],
    pairs: Pairs,
    workers: Workers = HERE,
    kept: Sequence[KeptFlows] | None = None,
) -> Iterator[tuple[str, list[Values]]]:
    """Each flow and its values in the paired samples of both runs, float32 [pairs, layers, heads] each.

    Args:
        kept: of either run, its values by flow, where they were read before.
    """
    rows = [_rows(heads, pairs.table[side].to_numpy()) for heads, side in zip(runs, ("a", "b"), strict=True)]
    if kept is not None:
        for flow in flows:
            yield flow, [each[flow].read()[own] for each, own in zip(kept, rows, strict=True)]
        return
    for together in read_together(flows, *runs):
        one, other = (
            partial(sample_values, heads, together, scope, workers=workers)
            for heads, scope in zip(runs, scopes, strict=True)
        )
        read = both(one, other) if workers is HERE else (one(), other())
        for flow in together:
            yield flow, [values.pop(flow)[own] for values, own in zip(read, rows, strict=True)]


def _rows(heads: Heads, positions: Codes) -> slice | Codes:
    """The rows of some samples among those that were observed; a slice, which copies nothing, if they are all of them.

    Args:
        positions: in `samples`.
    """
    rows = observed_rows(heads)[positions]
    return slice(None) if np.array_equal(rows, np.arange(int(heads.observed.sum()))) else rows


def compare_masses(flow: str, a: Values, b: Values, clusters: Clusters, models: Sequence[Manifest]) -> Masses:
    """Compare one flow of two runs.

    Args:
        a, b: of the same samples, [samples, layers, heads] of either run.
        models: of both runs; layers in which a flow is fixed do not count.
    """
    there = [~np.array(model.fixed(flow)) for model in models]
    named = zip({"a": a, "b": b}.items(), there, strict=True)
    runs = {name: values if own.all() else values[:, own] for (name, values), own in named}
    of_samples = {name: values.mean(axis=(1, 2), dtype=np.float64) for name, values in runs.items()}
    low, high = _interval(clusters, of_samples["b"] - of_samples["a"])
    means = {name: float(values.mean()) for name, values in of_samples.items()}
    row = {"flow": flow, **means, "difference": means["b"] - means["a"], "low": float(low), "high": float(high)}
    one, other = (
        partial(_of_run, name, flow, values, clusters, model, np.array(model.attending)[own])
        for (name, values), model, own in zip(runs.items(), models, there, strict=True)
    )
    tables = [pd.concat(each, ignore_index=True) for each in zip(*both(one, other), strict=True)]
    return Masses(pd.DataFrame([row]), *tables)


def _of_run(
    name: str, flow: str, values: Values, clusters: Clusters, model: Manifest, layers: Codes
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """The rows of one run in `distributions`, `profiles` and `heads` of `Masses`; `layers` are those that count."""
    limits = np.float64(0), np.float64(1)  # so that edges are not rounded to the type of the values
    edges, counts = np.histogram_bin_edges([], _BINS, limits), np.zeros(_BINS, np.int64)
    for first in range(0, len(values), _AT_ONCE):
        counts += np.histogram(np.clip(values[first : first + _AT_ONCE], 0, 1), _BINS, limits)[0]
    shares = {"left": edges[:-1], "right": edges[1:], "share": counts / values.size}
    of_layers = values.mean(axis=2, dtype=np.float64)
    low, high = _interval(clusters, of_layers)
    depth = (layers + 0.5) / model.layers
    profile = {"layer": layers, "depth": depth, "mean": of_layers.mean(axis=0), "low": low, "high": high}
    order = np.sort(values.mean(axis=0, dtype=np.float64).ravel())[::-1]
    places = {"rank": (np.arange(len(order)) + 0.5) / len(order), "mean": order}
    own = {"run": name, "flow": flow}
    return pd.DataFrame(own | shares), pd.DataFrame(own | profile), pd.DataFrame(own | places)


def _interval(clusters: Clusters, values: Array) -> tuple[Array, Array]:
    """The interval of means over samples [samples, ...]."""
    sums = clusters.sums(values)
    counts = clusters.counts.reshape(-1, *[1] * (sums.ndim - 1))
    return mean_interval(ImageSums.of(sums, np.broadcast_to(counts, sums.shape)))


@dataclass(frozen=True)
class Comparison:
    """The result of comparing two runs.

    Attributes:
        settings: see `differing_settings`.
        answers: see `compare_answers`.
        masses: of each flow.
        heads: of each flow; empty if heads cannot be matched by their index.
        obstacle: why they cannot; None if they can.
        floor: differences of masses that do not exceed it are those of rounding.
        units: what is resampled, in words.
    """

    pairs: Pairs
    settings: pd.DataFrame
    answers: pd.DataFrame
    masses: list[Masses] = field(default_factory=list)
    heads: list[HeadDifferences] = field(default_factory=list)
    obstacle: Sentence | None = None
    floor: float = 0.0
    units: str = "images"

    @property
    def means(self) -> pd.DataFrame:
        """The means of all flows: `flow`, `a`, `b`, `difference`, `low`, `high`."""
        return pd.concat([each.means for each in self.masses], ignore_index=True)

    @property
    def distributions(self) -> pd.DataFrame:
        """The distributions of all flows; see `Masses`."""
        return pd.concat([each.distributions for each in self.masses])

    @property
    def profiles(self) -> pd.DataFrame:
        """The profiles of all flows; see `Masses`."""
        return pd.concat([each.profiles for each in self.masses])

    @property
    def head_means(self) -> pd.DataFrame:
        """The heads of all flows; see `Masses`."""
        return pd.concat([each.heads for each in self.masses])

    def tables(self) -> dict[str, pd.DataFrame]:
        """The result as CSV files, by name."""
        tables = {"answers.csv": self.answers, "masses.csv": self.means, "profiles.csv": self.profiles}
        if self.heads:
            tables["heads.csv"] = pd.concat([each.table for each in self.heads])
        return tables

    def sentences(self) -> list[Sentence]:
        """The result in words, a sentence a line."""
        return [
            *self.pairs.of_options(),
            *answers_in_words(self.answers, self.pairs.other_answers),
            *masses_in_words(self.means, self.floor),
            *heads_in_words(self.heads, self.obstacle, self.floor),
        ]

    def verdict(self) -> list[str]:
        """The sentences in English, as a terminal shows them."""
        return list(map(str, self.sentences()))


def compare(
    a: Heads,
    b: Heads,
    flows: Sequence[str],
    *,
    text_scope: str | None = None,
    related: bool = False,
    resamples: int = RESAMPLES,
    seed: int = SEED,
    workers: Workers = HERE,
    kept: Sequence[KeptFlows] | None = None,
) -> Comparison:
    """Compare two runs on the samples that both have.

    Memory is that of `read_together`, of one flow of the paired samples, 4 bytes for each value, and of its means by
    image.

    Args:
        flows: columns of `heads` that both runs have.
        text_scope: that of both; None: see `Heads.scope`.
        related: whether one model was made from the other, so that heads of the same index are the same.
        workers: they read the runs; statistics are computed here.
        kept: of A and B, the values of these flows in this text scope, where they were read before.

    Raises:
        HeadflowError: no sample is in both, they count other text, or a run cannot be read.
    """
    pairs = pair_samples(a, b)
    clusters = pairs.clusters(a.samples).once()
    scopes = _scopes((a, b), flows, text_scope)
    masses, heads = list[Masses](), list[HeadDifferences]()
    why, least = obstacle(a, b, related=related), floor(a, b)
    with beside(partial(compare_answers, a, b, pairs, resamples=resamples, seed=seed)) as answers:
        for flow, (one, other) in paired_values((a, b), flows, scopes, pairs, workers, kept):
            masses.append(compare_masses(flow, one, other, clusters, [a.run.manifest, b.run.manifest]))
            if why is None:
                first = clusters.means(one.reshape(len(one), -1))
                del one
                second = clusters.means(other.reshape(len(other), -1))
                del other
                model, tests = a.run.manifest, len(flows)
                heads.append(compare_heads(flow, first, second, clusters, model, floor=least, seed=seed, tests=tests))
        return Comparison(
            pairs, differing_settings(a, b), answers(), masses, heads, why, floor=least, units=clusters.units[1]
        )


def distances(
    runs: Mapping[str, Heads], flows: Sequence[str], text_scope: str | None = None, workers: Workers = HERE
) -> pd.DataFrame:
    """The distance of each two runs in each flow.

    It is the 1-Wasserstein distance of the distributions of all values (of samples, layers and heads): by how much, on
    average, one must move them to get the other's. It needs neither the same samples nor the same heads.

    Returns:
        `flow`, `a`, `b` (names of runs), `distance` (a mass, 0 to 1); both orders, and 0 of a run to itself.

    Raises:
        HeadflowError: two count other text, or a run cannot be read.
    """
    from scipy.stats import wasserstein_distance  # takes a second, which only several runs need

    scopes = _scopes([*runs.values()], flows, text_scope)
    counts = {
        name: _counts(heads, flows, scope, workers) for (name, heads), scope in zip(runs.items(), scopes, strict=True)
    }
    middles = (np.arange(FINE + 1) + 0.5) / FINE
    rows = []
    for flow in flows:
        between = {
            frozenset(pair): wasserstein_distance(middles, middles, *(counts[name][flow] for name in pair))
            for pair in combinations(runs, 2)
        }
        rows += [(flow, *pair, between.get(frozenset(pair), 0.0)) for pair in product(runs, repeat=2)]
    return pd.DataFrame(rows, columns=["flow", "a", "b", "distance"])


def _scopes(runs: Sequence[Heads], flows: Sequence[str], asked: str | None) -> list[TextScope]:
    """The text scope of each run; raises `HeadflowError` if `t2v` or `v2t` are compared and two count other text."""
    scopes = [each.scope(asked) for each in runs]
    first, *others = zip(runs, scopes, strict=True)
    for heads, scope in others:
        if scope.name != first[1].name and {"t2v", "v2t"} & {*flows}:
            raise HeadflowError(
                f"{first[0].run.path} has t2v and v2t in the text scope {first[1].name}, and {heads.run.path} in "
                f"{scope.name}: ask for one of them for both",
                setting="text_scope",
            )
    return scopes


def _counts(heads: Heads, flows: Sequence[str], scope: TextScope, workers: Workers) -> pd.DataFrame:
    """How many values of each flow, its column, are in each fine bin."""
    found = tally(heads, flows, scope, workers=workers)
    assert found.spread is not None
    return found.spread.fine_by_layer.groupby("bin").sum()
