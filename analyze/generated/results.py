"""Where the heads of a run look while the model writes: all numbers, from one reading of its rows."""

from dataclasses import dataclass

import pandas as pd

from analyze.generated.reading import Texts, Written, read_written
from analyze.generated.steps import Change, by_layer, by_step, change_along_texts
from analyze.generated.words import of_change, of_texts
from analyze.tables.frames import Heads


@dataclass(frozen=True)
class Writing:
    """Where heads look while the model writes.

    Attributes:
        steps: see `by_step`; `layers`: see `by_layer`.
        change: see `change_along_texts`.
    """

    heads: Heads
    written: Written
    steps: pd.DataFrame
    layers: pd.DataFrame
    change: Change | None

    @property
    def texts(self) -> Texts:
        """The texts that were read."""
        return self.written.texts

    def tables(self) -> dict[str, pd.DataFrame]:
        """The results, by the names of their files."""
        return {"steps.csv": self.steps, "layers.csv": self.layers}

    def verdict(self) -> list[str]:
        """The result in words, a line each."""
        return [*of_texts(self.texts), of_change(self.change)]


def observe_writing(heads: Heads) -> Writing:
    """Where the heads of a run look while it writes.

    Raises:
        HeadflowError: see `read_written`.
    """
    written = read_written(heads)
    return Writing(heads, written, by_step(written), by_layer(written), change_along_texts(written))
