"""Two runs compared: what they answer, where their attention goes, and the verdict in words."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

from analyze.compare.answers import SAME, compare_answers
from analyze.compare.heads import WANTED, HeadDifferences, compare_heads, floor, obstacle
from analyze.compare.masses import Masses, compare_masses, paired_values
from analyze.compare.pairing import Pairs, differing_settings, pair_samples
from analyze.statistics.bootstrap import RESAMPLES, SEED
from analyze.statistics.clusters import Clusters
from analyze.tables.frames import Heads
from analyze.tables.text_scope import TextScope

SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Comparison:
    """The result of comparing two runs.

    Attributes:
        settings: see `differing_settings`.
        answers: see `compare_answers`.
        masses: of each flow.
        heads: of each flow; empty if heads cannot be matched by their index.
        obstacle: why they cannot; empty if they can.
        floor: differences of masses that do not exceed it are those of rounding.
    """

    pairs: Pairs
    settings: pd.DataFrame
    answers: pd.DataFrame
    masses: list[Masses] = field(default_factory=list)
    heads: list[HeadDifferences] = field(default_factory=list)
    obstacle: str = ""
    floor: float = 0.0

    @property
    def means(self) -> pd.DataFrame:
        """The means of all flows: `flow`, `a`, `b`, `difference`, `low`, `high`."""
        return pd.concat([each.means for each in self.masses], ignore_index=True)

    def verdict(self) -> list[str]:
        """The result in words, a line each."""
        return [*self._answers_in_words(), *self._masses_in_words(), *self._heads_in_words()]

    def _other_answers(self) -> list[str]:
        number = self.pairs.other_answers
        return [f"answers: {number} paired samples have other right answers in B than in A, and do not count"] * (
            number > 0
        )

    def _answers_in_words(self) -> list[str]:
        accuracy = self.answers[self.answers["measure"] == "accuracy"]
        if accuracy.empty:
            return [*self._other_answers(), "answers: none of the paired samples has one right answer, yes or no"]
        *_, whole = accuracy.to_dict("records")
        off, low, high = whole["difference"], whole["low"], whole["high"]
        size = f"{off:+.1f} points of accuracy, 95% interval {low:+.1f} to {high:+.1f}"
        if whole["note"] == SAME:
            lines = [f"answers: no difference: {SAME}, of {whole['images']}"]
        elif whole["note"]:
            lines = [f"answers: no difference can be told over all: {whole['note']} ({off:+.1f} points of accuracy)"]
        elif low <= 0 <= high:
            lines = [f"answers: no significant difference over all ({size})"]
        else:
            lines = [f"answers: B is right {'more' if off > 0 else 'less'} often ({size})"]
        some = accuracy[:-1][(accuracy["adjusted_p"][:-1] <= SIGNIFICANT) & (accuracy["note"][:-1] == "")]
        named = ", ".join(f"{row['category']} {row['difference']:+.1f}" for _, row in some.iterrows())
        number = len(accuracy) - 1
        lines.append(
            f"by category: significant in {len(some)} of {number}: {named} (false discovery rate 5%)"
            if len(some)
            else f"by category: no significant difference in any of {number} (false discovery rate 5%)"
        )
        return [*self._other_answers(), *lines]

    def _masses_in_words(self) -> list[str]:
        """The mean over samples and heads of each flow; a difference below the noise of rounding is none."""
        lines = []
        for _, row in self.means.iterrows():
            size = f"{row['a']:.4f} and {row['b']:.4f}, B − A {row['difference']:+.4f}"
            if abs(row["difference"]) <= self.floor:
                lines.append(f"{row['flow']}: {row['a']:.4f} in both, but for rounding ({self.floor:g})")
            elif pd.isna(row["low"]):
                lines.append(f"{row['flow']}: {size}; one image, no interval")
            else:
                lines.append(f"{row['flow']}: {size}, 95% interval {row['low']:+.4f} to {row['high']:+.4f}")
        return lines

    def _heads_in_words(self) -> list[str]:
        if self.obstacle:
            return [f"heads are not compared by index: {self.obstacle}"]
        lines = []
        for each in self.heads:
            flow, number = each.table["flow"].iloc[0], int(each.table["significant"].sum())
            agree = f"{min(each.correlation, 1):.3f}" if each.correlation is not None else "cannot be told"
            found = f"{number} of {len(each.table)} heads differ significantly" if number else "no head differs"
            lines.append(f"heads, {flow}: {found} (beyond rounding, {self.floor:g}); correlation without noise {agree}")
            if number and each.reliability is not None and each.images_needed is not None:
                images = (
                    f"{max(2, math.ceil(each.images_needed))}" if each.images_needed < float("inf") else "no number of"
                )
                lines[-1] += f"; reliability of the differences {each.reliability:.2f}, {WANTED} with {images} images"
        return lines


def compare(
    a: Heads,
    b: Heads,
    flows: Sequence[str],
    *,
    text_scope: str | None = None,
    related: bool = False,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Comparison:
    """Compare two runs on the samples that both have.

    Memory is that of one flow of both runs, 4 bytes for each value, and of its means by image.

    Args:
        flows: columns of `heads` that both runs have.
        text_scope: see `Heads.scope`.
        related: whether one model was made from the other, so that heads of the same index are the same.

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
        one = paired_values(a, flow, scopes[0], pairs.table["a"])
        other = paired_values(b, flow, scopes[1], pairs.table["b"])
        found.masses.append(compare_masses(flow, one, other, clusters))
        if not found.obstacle:
            found.heads.append(compare_heads(flow, one, other, clusters, floor=found.floor, seed=seed))
    return found
