"""Comparisons of a column's numbers, a line for each that is wrong."""

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.columns import Column
from schemas.files.locations import Location
from schemas.files.ranges import SLACK, out_of_range
from schemas.text import counted

# Of a sum of float32 masses: a partition from 1, a mass beyond 0..1; means over thousands of tokens are off by 1e-5
TOLERANCE = 2e-5
TOLERANCE_OF_HALF = SLACK
HALF = ("float16", "bfloat16")


def outside(
    path: Location, content: pa.Table, columns: Iterable[Column], tolerance: float = TOLERANCE
) -> Iterator[str]:
    """Values that are not finite, or out of the ranges of their columns."""
    for column in columns:
        yield from (f"{path}: {wrong}" for wrong in out_of_range(content[column.name], column, tolerance))


def differs(
    path: Location, what: str, how: str, value: npt.NDArray, expected: npt.NDArray | float, tolerance: float = TOLERANCE
) -> Iterator[str]:
    """Report values that differ from `expected`; `how` describes the expected value."""
    error = np.abs(value - expected)
    if not len(error) or error.max() <= tolerance:  # False for NaN
        return
    bad = int((error > tolerance).sum())
    if bad:
        yield f"{path}: {what} {how} in {counted(bad, 'row')} (off by up to {np.nanmax(error):.3g})"
