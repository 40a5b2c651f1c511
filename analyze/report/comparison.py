"""Two runs compared, and what cutting heads costs: tables that other commands compute, as rows of the page's charts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analyze.compare.comparison import Comparison, KeptFlows, compare
from analyze.compare.sentences import Sentence
from analyze.compare.verdict import clear
from analyze.report.words import Words
from analyze.statistics.clusters import Array
from analyze.tables.frames import Heads
from analyze.tables.tallies import Tally
from schemas.errors import HeadflowError
from schemas.text import one_line

_FLOWS = ("t2v", "v2t", "q2v", "a2v")
COSTS = ("unit", "criterion", "order", "share", "number", "accuracy", "score", "loss", "loss_low", "loss_high", "p")
_BAND = (0.025, 0.975)  # of random sets
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Compared:
    """Two runs, A and B.

    Attributes:
        names: of A and B.
        verdict: in words, a line each; `first`: those that are said first.
        flows: the mass columns that are compared.
        paired: how many samples were paired, in words.
        answers: accuracy by category, with the paired interval of B - A; `significant`: whether it is; `untold`: that
            it cannot be told, and there is no interval; `told`: which of these, in words.
        heads: B - A of each head and flow; `significant` too; empty where heads cannot be matched by their index.
        profiles: mean of each layer of both runs by relative depth, by flow.
        means: of each flow, in both runs.
    """

    names: tuple[str, str]
    flows: list[str]
    verdict: list[str]
    first: list[str]
    paired: str
    answers: Rows
    heads: Rows
    profiles: Rows
    means: Rows


def compared_flows(a: Heads, b: Heads) -> list[str]:
    """The mass columns whose values of both runs are compared."""
    return [flow for flow in _FLOWS if flow in a.run.manifest.flows and flow in b.run.manifest.flows]


def compared_runs(
    a: Heads,
    b: Heads,
    words: Words,
    kept: Sequence[KeptFlows],
    shown: str,
    *,
    text_scope: str | None,
    related: bool,
    seed: int,
) -> Compared:
    """Compare two runs as the command `compare` does.

    Args:
        kept: the values of `compared_flows`, of A and of B.
        shown: the mass column that the page shows first.

    Raises:
        HeadflowError: no sample is in both.
    """
    flows = compared_flows(a, b)
    found = compare(a, b, flows, text_scope=text_scope, related=related, seed=seed, kept=kept)
    names = tuple(f"{Path(each.run.manifest.model or '').name} ({each.run.path.resolve().name})" for each in (a, b))
    profiles = found.profiles
    profiles["run"] = profiles["run"].map(dict(zip("ab", names, strict=True)))
    return Compared(
        names=(names[0], names[1]),
        flows=flows,
        verdict=[_said(sentence, words) for sentence in found.sentences()],
        first=[_said(sentence, words) for sentence in found.sentences() if _is_first(sentence, shown)],
        paired=found.pairs.sentence().in_words(words.language),
        answers=_answers(found, words),
        heads=_rows(pd.concat([each.table for each in found.heads])) if found.heads else [],
        profiles=_rows(profiles[["run", "flow", "layer", "depth", "mean", "low", "high"]]),
        means=_rows(found.means),
    )


def _is_first(sentence: Sentence, shown: str) -> bool:
    """Whether a sentence of the verdict is about all answers, about categories that differ, or the column shown."""
    of_mass = sentence.name.startswith("mass") and sentence.values["flow"] == shown
    return of_mass or sentence.name.startswith(("answers_", "categories_some", "categories_none"))


def _said(sentence: Sentence, words: Words) -> str:
    """A sentence of the verdict; columns have the names that they have on the page."""
    flow = sentence.values.get("flow")
    named = {} if flow is None else {"flow": str(flow).upper()}
    return Sentence(sentence.name, **sentence.values | named).in_words(words.language)


def means_beside(heads: Heads, found: Tally) -> dict[str, Array]:
    """The means of the other run's heads by mass column, of those that both runs have.

    Args:
        found: the tally of the other run.

    Returns:
        [1 + categories of the run, heads of the other], those of all samples first; NaN where it has none.
    """
    flows = [flow for flow in heads.run.manifest.flows if flow in found.flows]
    whole, by_category = found.means(), found.means_by_category()
    nothing = np.full(len(whole), np.nan)
    there = set(by_category.index.get_level_values("category"))
    rows = [by_category.loc[name] if name in there else None for name in heads.categories]
    return {
        flow: np.stack([whole[flow], *(nothing if row is None else row[flow].to_numpy() for row in rows)])
        for flow in flows
    }


def _answers(found: Comparison, words: Words) -> Rows:
    table = found.answers[found.answers["measure"] == "accuracy"]
    significant, untold = clear(table), table["note"] != ""
    rows = _rows(table.assign(significant=significant, untold=untold))
    for row in rows:
        row["told"] = words["significant" if row["significant"] else "not_significant"]
        if row["untold"]:
            row["told"] = row["note"].in_words(words.language)
        row["note"] = str(row["note"])
    return [*rows[:-1], *(row | {"category": words["all"]} for row in rows[-1:])]


def pruning_of(folder: Path) -> tuple[Rows, Rows]:
    """What sets of heads or layers cost, and the band of random sets, from the tables that `prune` wrote; else empty.

    Raises:
        HeadflowError: a table is there and cannot be read, or lacks a column.
    """
    if not (folder / "sets.csv").is_file():
        return [], []
    sets, random = (_table(folder / name) for name in ("sets.csv", "random.csv"))
    try:
        by_share = random.groupby(["unit", "share"])["loss"]
        low, high = (by_share.quantile(end) for end in _BAND)
        band = pd.DataFrame({"low": low, "median": by_share.median(), "high": high}).reset_index()
        return _rows(sets[list(COSTS)]), _rows(band)
    except KeyError as error:
        raise HeadflowError(f"{folder}: the tables of prune lack {one_line(error)}; run prune again") from None


def _table(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise HeadflowError(f"{path} cannot be read: {one_line(error)}") from None


def _rows(table: pd.DataFrame) -> Rows:
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def flows_of(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The flows of some rows, each once."""
    return list(dict.fromkeys(str(row["flow"]) for row in rows))
