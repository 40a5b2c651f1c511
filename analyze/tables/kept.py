"""Values of each head for each sample, kept in a file as tables are read, so that memory does not grow."""

from collections.abc import Sequence
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from analyze.statistics.clusters import Array, Codes

Steps = npt.NDArray[np.uint16]
NONE, LAST = 2**16 - 1, 2**16 - 2  # no value, and the step of the highest


class KeptValues:
    """The values of one measure: steps from 0 for `low` to `LAST` for `high`, or `NONE`."""

    def __init__(self, file: BinaryIO, shape: tuple[int, int], low: float, high: float) -> None:
        """Keep values [samples, cells] from `low` to `high` at the end of a file, which may hold those of others."""
        self.low, self.high, (self.samples, self.cells) = low, high, shape
        self._file = file
        self._blocks: list[tuple[Codes, int]] = []  # samples, and the first byte
        self._block, self._column = np.full((2, self.samples), -1)  # of each sample

    def add(self, samples: Codes, values: Array) -> None:
        """Keep values of some samples, which have none yet; float64 [samples, cells], NaN for none."""
        known = np.isfinite(values)
        shares = (np.where(known, values, self.low) - self.low) / ((self.high - self.low) or 1)
        steps = np.where(known, np.rint(np.clip(shares, 0, 1) * LAST), NONE).astype(np.uint16)
        self._block[samples], self._column[samples] = len(self._blocks), np.arange(len(samples))
        self._blocks.append((samples, self._file.seek(0, 2)))
        self._file.write(steps.T.tobytes())

    def of_cells(self, first: int, last: int) -> Steps:
        """Those of some consecutive heads, [cells, samples]."""
        found = np.full((last - first, self.samples), NONE, np.uint16)
        for own, begin in self._blocks:
            found[:, own] = self._read(begin, len(own), first, last)
        return found

    def of_samples(self, rows: Sequence[int]) -> Steps:
        """Those of some samples, [rows, cells]."""
        found, wanted = np.full((len(rows), self.cells), NONE, np.uint16), np.asarray(rows, np.int64)
        blocks = self._block[wanted]
        for number in np.unique(blocks[blocks >= 0]):
            own, begin = self._blocks[number]
            place = blocks == number
            found[place] = self._read(begin, len(own), 0, self.cells)[:, self._column[wanted[place]]].T
        return found

    def _read(self, begin: int, samples: int, first: int, last: int) -> Steps:
        self._file.seek(begin + 2 * samples * first)
        steps = np.frombuffer(self._file.read(2 * samples * (last - first)), np.uint16)
        return steps.reshape(last - first, samples)


class ExactValues:
    """The values of one column of `heads` as they are, float32, for statistics that need those of each sample."""

    def __init__(self, file: BinaryIO, shape: tuple[int, int, int]) -> None:
        """Keep values [samples, layers, heads] at the end of a file, which may hold those of others."""
        self._file, self._shape = file, shape
        self._blocks: list[tuple[Codes, int]] = []  # samples, and the first byte

    def add(self, samples: Codes, values: Array) -> None:
        """Keep values of some samples, [samples, layers, heads]."""
        self._blocks.append((samples, self._file.seek(0, 2)))
        self._file.write(values.astype(np.float32).tobytes())

    def read(self) -> npt.NDArray[np.float32]:
        """All of them, float32 [samples, layers, heads]."""
        found = np.empty(self._shape, np.float32)
        for own, begin in self._blocks:
            self._file.seek(begin)
            block = np.frombuffer(self._file.read(4 * len(own) * found[0].size), np.float32)
            found[own] = block.reshape(len(own), *self._shape[1:])
        return found
