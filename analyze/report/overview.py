"""What was run, how well it answers, and how attention is distributed."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analyze.prune.halves import answered
from analyze.report.packing import Arrays
from analyze.scores.intervals import score_intervals
from analyze.scores.mme import TOTALS, mme_scores, total_name, total_scores
from analyze.statistics.bootstrap import Bootstrap
from analyze.statistics.clusters import Clusters
from analyze.statistics.intervals import share_interval
from analyze.tables.frames import Heads
from analyze.tables.tallies import Tally
from analyze.tables.text_scope import TextScope

MOST_POINTS = 200  # of a category
SETTINGS = (
    *("model", "revision", "architecture", "dtype", "conv_mode", "prompt_suffix", "question_file"),
    *("image_preprocessing", "system_span", "removed", "images", "derived", "started"),
)
SESSION = ("device", "kernel", "git_commit", "versions")


@dataclass(frozen=True)
class Score:
    """One of the figures that stand first: its name, the value, its interval, and the most that it could be."""

    name: str
    value: float
    low: float
    high: float
    most: float


def settings(heads: Heads, scope: TextScope) -> list[tuple[str, str]]:
    """What was run: fields of `run.json` and of the newest session that say something, as text."""
    manifest = heads.manifest
    sessions = [session for ledger in heads.run.ledgers.values() for session in ledger.sessions]
    rows: list[tuple[str, Any]] = [(name, getattr(manifest, name, None)) for name in SETTINGS]
    rows += [("shape", f"{heads.layers} × {heads.heads}"), ("samples", _samples(heads)), ("text_scope", scope.name)]
    rows += [("prompt", heads.prompt)] + [(name, getattr(sessions[-1], name)) for name in SESSION if sessions]
    return [(name, _text(value)) for name, value in rows if value not in (None, "", {}, [])]


def _samples(heads: Heads) -> str:
    statuses = heads.samples["reason"].where(~heads.observed, "ok").value_counts()
    return ", ".join(f"{number:,} {name}" for name, number in statuses.items())


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}: {each}" for name, each in value.items())
    return str(value)


def scores(heads: Heads, seed: int) -> tuple[list[Score], pd.DataFrame]:
    """The figures that stand first, and the scores by category; both empty where no right answer is yes or no."""
    table = mme_scores(heads.samples)
    if table.empty:
        return [], table
    table = score_intervals(pd.concat([table, total_scores(table)]), heads.samples, seed=seed)
    first = []
    for total, names in TOTALS.items():
        rows = table[table["category"].isin([total, total_name(total, [total])]) & table["accuracy"].isna()]
        if len(rows) and np.isfinite(rows["score"].iloc[-1]):
            row = rows.iloc[-1]
            most = MOST_POINTS * int(table["category"].isin(names).sum())
            first.append(Score(total, row["score"], row["low"], row["high"], most))
    return [*first, _accuracy(heads, seed)], table


def _accuracy(heads: Heads, seed: int) -> Score:
    samples = answered(heads)
    clusters = Clusters.of(samples)
    right = clusters.sums(samples["right"].to_numpy().astype(float))
    found = share_interval(Bootstrap(clusters, seed=seed), right, clusters.counts)
    row = found.columns("value", "low", "high", scale=100)
    return Score("accuracy", **row, most=100)


def add_distributions(arrays: Arrays, tally: Tally) -> list[str]:
    """Add the histograms of all layers, of each layer and of each category, as `plots` draws them.

    The array is [1 + layers + categories, flows, bins]: shares of all values in each bin.

    Returns:
        The flows.
    """
    bins = len(tally.grid.edges) - 1
    tables = [tally.shares(), tally.shares("layer"), tally.shares("category")]
    found = [table.to_numpy().reshape(-1, bins, len(tally.flows)).transpose(0, 2, 1) for table in tables]
    arrays.add("shares", np.concatenate(found))
    return list(tally.flows)
