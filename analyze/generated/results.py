"""Where the heads of a run look while the model writes: all numbers, from one reading of its rows."""

from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from analyze.generated.groups import Groups, compare_groups, find_words
from analyze.generated.heads import WritingHeads, most_by_step, rank_heads
from analyze.generated.reading import Texts, Written, read_written
from analyze.generated.steps import MassChange, by_layer, by_step, change_along_texts
from analyze.generated.verdict import of_change, of_groups, of_heads, of_texts
from analyze.generated.vocabulary import Vocabulary
from analyze.statistics.bootstrap import SEED
from analyze.tables.frames import Heads


@dataclass(frozen=True)
class WritingFound:
    """Where heads look while the model writes.

    Attributes:
        steps: see `by_step`; `layers`: see `by_layer`.
        change: see `change_along_texts`.
        ranked: see `rank_heads`.
        groups: see `compare_groups`; None where no words were given.
    """

    heads: Heads
    written: Written
    steps: pd.DataFrame
    layers: pd.DataFrame
    change: MassChange | None
    ranked: WritingHeads | None
    groups: Groups | None

    @property
    def texts(self) -> Texts:
        """The texts that were read."""
        return self.written.texts

    @cached_property
    def most_by_step(self) -> pd.DataFrame | None:
        """Image mass by step of the heads that look most while writing; None where none are ranked."""
        return None if self.ranked is None else most_by_step(self.written, self.ranked)

    def tables(self) -> dict[str, pd.DataFrame]:
        """The results, by the names of their files."""
        ranked = {}
        if self.ranked is not None and self.most_by_step is not None:
            ranked = {"heads.csv": self.ranked.table, "heads_by_step.csv": self.most_by_step}
        groups = {} if self.groups is None else {"groups.csv": self.groups.table}
        return {"steps.csv": self.steps, "layers.csv": self.layers, **ranked, **groups}

    def verdict(self) -> list[str]:
        """The result in words, a line each."""
        groups = [] if self.groups is None else of_groups(self.groups)
        return [*of_texts(self.texts), of_change(self.change), *of_heads(self.ranked), *groups]


def observe_writing(heads: Heads, vocabulary: Vocabulary | None = None, *, seed: int = SEED) -> WritingFound:
    """Where the heads of a run look while it writes.

    Args:
        vocabulary: groups of words that are compared.
        seed: of the halves of the images.

    Raises:
        HeadflowError: see `read_written` and `find_words`.
    """
    written = read_written(heads)
    ranked = rank_heads(written, seed=seed)
    groups = None
    if vocabulary is not None:
        groups = compare_groups(written, find_words(heads, written, vocabulary), vocabulary.groups)
    change = change_along_texts(written)
    return WritingFound(heads, written, by_step(written), by_layer(written), change, ranked, groups)
