"""The rows of generated tokens, added up part by part: a run of any size is read in bounded memory.

A row of a step says where heads looked when they chose the token of that step; its query is the token before.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from analyze.statistics.clusters import Array, Clusters, Codes
from analyze.tables.frames import Heads
from analyze.tables.rows import part_cells
from analyze.tables.values import generated_tokens
from schemas.columns import STEP_NAMES, STEPS
from schemas.errors import HeadflowError
from schemas.files.locations import Location
from schemas.store.grids import Grid
from schemas.store.run import Run

IMAGE_ROLE = STEP_NAMES.index("g2v")  # the column of image mass
FIXED_SHARE = 0.5  # of the texts, at least, are in the fixed set


@dataclass(frozen=True)
class Texts:
    """The texts of a run that have rows.

    Attributes:
        samples: the rows of `samples` that have a text, with their positions in `Heads.samples` as index.
        counts: how many of each text's steps have rows, int64 [texts], from 1.
        every: how far apart these steps are.
        kept: which heads have rows, bool [layers, heads].
        layers: those of `kept`, in order, int64.
    """

    samples: pd.DataFrame
    counts: Codes
    every: int
    kept: npt.NDArray[np.bool_]
    layers: Codes

    @classmethod
    def of(cls, heads: Heads) -> "Texts":
        """Those of the observed samples of a run.

        Raises:
            HeadflowError: it has no table of steps, or no text.
        """
        if STEPS not in heads.run.manifest.tables:
            raise HeadflowError(f"{heads.run.path} has no table `{STEPS}`: extract it again with generated tokens")
        grid = Grid.of(heads.run, STEPS)
        taken = generated_tokens(heads.samples)
        own = np.flatnonzero(heads.observed.to_numpy() & (taken > 0))
        if not len(own):
            raise HeadflowError(f"{heads.run.path}: no observed sample has a text")
        counts = -(-taken[own] // grid.every)
        return cls(heads.samples.iloc[own].set_axis(own), counts, grid.every, grid.kept, heads.attending)

    @cached_property
    def clusters(self) -> Clusters:
        """The images of the texts."""
        return Clusters.of(self.samples).once()

    @property
    def steps(self) -> npt.NDArray[np.int64]:
        """The steps that have rows in the longest text, int64 [steps]."""
        return np.arange(int(self.counts.max())) * self.every

    @cached_property
    def fixed(self) -> tuple[npt.NDArray[np.bool_], int]:
        """Which texts are in the fixed set, bool [texts], and how many steps with rows all of them have.

        The number is the largest one that at least half of all texts have.
        """
        length = int(np.sort(self.counts)[::-1][int(np.ceil(FIXED_SHARE * len(self.counts))) - 1])
        return self.counts >= length, length

    @cached_property
    def row_text(self) -> Codes:
        """The text of each pair of (text, step) that has rows, in order, int64 [pairs]."""
        return np.repeat(np.arange(len(self.counts)), self.counts)

    @cached_property
    def row_step(self) -> Codes:
        """The place of each pair's step among `steps`, int64 [pairs]."""
        return np.arange(len(self.row_text)) - np.repeat(np.cumsum(self.counts) - self.counts, self.counts)


@dataclass(frozen=True)
class Written:
    """What was read.

    Attributes:
        texts: that are read.
        masses: means over the heads that have rows, float64 [pairs of `Texts.row_text`, columns of `STEP_NAMES`].
        by_head: sums of image mass over the texts that write at each step, float64 [steps, layers, heads].
        by_head_fixed: the same, of the fixed set.
        writing: image mass of each head, mean over a text's steps from the second one that has rows on, summed over
            the texts of an image that have such a step, float64 [images, layers, heads].
        prompt: of the same texts, that of step 0.
        second: of the same texts, that of step 1; all 0 where it has no rows.
        several: how many such texts each image has, float64 [images].
    """

    texts: Texts
    masses: Array
    by_head: Array
    by_head_fixed: Array
    writing: Array
    prompt: Array
    second: Array
    several: Array


def read_written(heads: Heads) -> Written:
    """Add up the rows of generated tokens of all observed samples, once.

    Memory is 48 bytes for each (text, step), 16 for each (step, head), and 24 for each (image, head).

    Raises:
        HeadflowError: see `Texts.of` and `part_cells`.
    """
    adding = _Adding(Texts.of(heads))
    for part, own, ids in heads.each_part():
        adding.add(heads.run, heads.run.path / STEPS / part.name, ids, own)
    return adding.result()


class _Adding:
    """Adds up the rows of parts, which stand in the order of the texts."""

    def __init__(self, texts: Texts) -> None:
        clusters, shape = texts.clusters, texts.kept.shape
        self._texts, self._cells = texts, int(texts.kept.sum())
        self._place = np.full(int(texts.samples.index.max()) + 1, -1)  # of a sample among the texts
        self._place[texts.samples.index] = np.arange(len(texts.samples))
        self._sums = np.zeros((len(texts.row_text), len(STEP_NAMES)))
        self._heads = np.zeros((2, len(texts.steps), self._cells))  # of all texts, and of the fixed set
        self._images = np.zeros((3, clusters.images, self._cells))  # writing, prompt, second
        self._shape, self._first = shape, 0

    def add(self, run: Run, path: Location, samples: list[str], own: Codes) -> None:
        """Add the rows of one part.

        Args:
            samples: ids of its observed samples, those that are read first.
            own: the positions of the latter in `Heads.samples`.
        """
        texts, cells = self._texts, self._cells
        taken = self._place[own[own < len(self._place)]]
        number = int(texts.counts[taken[taken >= 0]].sum())  # pairs of the part that are read
        pairs = slice(self._first, self._first + number)
        text, step = texts.row_text[pairs], texts.row_step[pairs]
        image, fixed = texts.clusters.image[text], texts.fixed[0][text]
        beyond = texts.counts[text] - 1
        for _, cell, batch in part_cells(run, path, samples, STEP_NAMES):
            kept = cell < number * cells
            pair, head = np.divmod(cell if kept.all() else cell[kept], cells)
            for column, name in enumerate(STEP_NAMES):
                values = batch[name].to_numpy().astype(np.float64)[kept]
                self._sums[pairs, column] += np.bincount(pair, values, minlength=number)
                if column == IMAGE_ROLE:
                    mass = values
            place = step[pair] * cells + head
            np.add.at(self._heads[0].reshape(-1), place, mass)
            own_set = fixed[pair]
            np.add.at(self._heads[1].reshape(-1), place[own_set], mass[own_set])
            place = image[pair] * cells + head
            several = beyond[pair] > 0
            later, first = several & (step[pair] > 0), several & (step[pair] == 0)
            second = several & (step[pair] * texts.every == 1)
            np.add.at(self._images[0].reshape(-1), place[later], mass[later] / beyond[pair][later])
            np.add.at(self._images[1].reshape(-1), place[first], mass[first])
            np.add.at(self._images[2].reshape(-1), place[second], mass[second])
        self._first += number

    def result(self) -> Written:
        """What was added up."""
        texts = self._texts
        several = texts.clusters.sums((texts.counts > 1).astype(np.float64))
        (everyone, fixed), (writing, prompt, second) = self._whole(self._heads), self._whole(self._images)
        return Written(texts, self._sums / self._cells, everyone, fixed, writing, prompt, second, several)

    def _whole(self, values: Array) -> Array:
        """Values [..., heads that have rows] as [..., layers, heads]; 0 of the others."""
        found = np.zeros((*values.shape[:-1], *self._shape))
        found[..., self._texts.kept] = values
        return found
