"""Two runs compared: what they answer, where their attention goes, and the verdict in words."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

from analyze.compare.answers import compare_answers
from analyze.compare.heads import HeadDifferences, compare_heads, floor, obstacle
from analyze.compare.masses import Masses, compare_masses, paired_values
from analyze.compare.pairing import Pairs, differing_settings, pair_samples
from analyze.compare.sentences import Sentence
from analyze.compare.verdict import answers_in_words, heads_in_words, masses_in_words
from analyze.statistics.bootstrap import RESAMPLES, SEED
from analyze.statistics.clusters import Clusters
from analyze.tables.frames import Heads
from analyze.tables.text_scope import TextScope
from schemas.workers.tasks import HERE, Workers


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
    """

    pairs: Pairs
    settings: pd.DataFrame
    answers: pd.DataFrame
    masses: list[Masses] = field(default_factory=list)
    heads: list[HeadDifferences] = field(default_factory=list)
    obstacle: Sentence | None = None
    floor: float = 0.0

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
) -> Comparison:
    """Compare two runs on the samples that both have.

    Memory is that of one flow of both runs, 4 bytes for each value, and of its means by image.

    Args:
        flows: columns of `heads` that both runs have.
        text_scope: see `Heads.scope`.
        related: whether one model was made from the other, so that heads of the same index are the same.
        workers: they read the runs; statistics are computed here.

    Raises:
        HeadflowError: no sample is in both, or a run cannot be read.
    """
    pairs = pair_samples(a, b)
    answers = compare_answers(a, b, pairs, resamples=resamples, seed=seed)
    clusters = Clusters.by_name(pairs.table["image"], pairs.table["category"])
    found = Comparison(
        pairs, differing_settings(a, b), answers, obstacle=obstacle(a, b, related=related), floor=floor(a, b)
    )
    scopes: list[TextScope] = [each.scope(text_scope) for each in (a, b)]
    for flow in flows:
        one = paired_values(a, flow, scopes[0], pairs.table["a"], workers)
        other = paired_values(b, flow, scopes[1], pairs.table["b"], workers)
        found.masses.append(compare_masses(flow, one, other, clusters))
        if found.obstacle is None:
            found.heads.append(
                compare_heads(flow, one, other, clusters, floor=found.floor, seed=seed, tests=len(flows))
            )
    return found
