"""Comparisons of a column's numbers, a line for each that is wrong."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from schemas.files.locations import Location

# Of a sum of float32 masses: a partition from 1, a mass beyond 0..1; means over thousands of tokens are off by 1e-5
TOLERANCE = 2e-5
# In half precision masses carry the error of the kernel's logsumexp, about 5e-5 of themselves
TOLERANCE_OF_HALF = 5e-4
HALF = ("float16", "bfloat16")


def not_finite(path: Location, name: str, value: npt.NDArray[np.floating]) -> Iterator[str]:
    """NaN and infinity."""
    if infinite := int((~np.isfinite(value)).sum()):
        yield f"{path}: `{name}` is not finite in {infinite} rows"


def outside(path: Location, name: str, value: npt.NDArray[np.floating], tolerance: float = TOLERANCE) -> Iterator[str]:
    """NaN, and values beyond 0..1."""
    if not len(value) or (float(value.min()) >= -tolerance and float(value.max()) <= 1 + tolerance):  # False for NaN
        return
    value = value.astype(np.float64)
    bad = int(np.isnan(value).sum())
    if bad:
        yield f"{path}: `{name}` is NaN in {bad} rows"
    beyond = int(((value < -tolerance) | (value > 1 + tolerance)).sum())
    if beyond:
        yield f"{path}: `{name}` is outside 0..1 in {beyond} rows ({np.nanmin(value):.6g} to {np.nanmax(value):.6g})"


def differs(
    path: Location, what: str, how: str, value: npt.NDArray, expected: npt.NDArray | float, tolerance: float = TOLERANCE
) -> Iterator[str]:
    """Values that are not as expected, of which `how` says what they should be."""
    error = np.abs(value - expected)
    if not len(error) or error.max() <= tolerance:  # False for NaN
        return
    bad = int((error > tolerance).sum())
    if bad:
        yield f"{path}: {what} {how} in {bad} rows (off by up to {np.nanmax(error):.3g})"
