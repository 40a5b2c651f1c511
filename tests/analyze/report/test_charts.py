"""Where the colours of a head map end: at round numbers, and not at a single head far from all others."""

import numpy as np
import pytest

from analyze.report.charts import colour_ends

EVEN = np.linspace(0.1, 0.2, 48)


@pytest.mark.parametrize(
    ("values", "signed", "ends"),
    [
        (EVEN, False, (0.1, 0.2)),
        (np.append(EVEN, 0.9), False, (0.1, 0.2)),  # an outlier has the last colour
        (np.append(EVEN, [0.9, -3]), False, (0.1, 0.2)),  # on both sides
        (np.append(EVEN, 0.24), False, (0.1, 0.24)),  # not far enough to be one
        (np.append(EVEN, [0.9, 0.8, 0.7]), False, (0.1, 0.9)),  # too many of 51 to be any
        (np.append(EVEN, np.nan), False, (0.1, 0.2)),
        (np.append(EVEN, -1.1), True, (-0.2, 0.2)),
        (-EVEN, True, (-0.2, 0.2)),
        ([0.0031, 0.0178], False, (0.003, 0.018)),
        ([0.1, 0.1], False, (0.1, 0.2)),
        ([0.0, 0.0], True, (-1, 1)),
        ([0.5], False, (0.5, 1.0)),
        ([np.nan], False, (0, 1)),
        ([np.nan], True, (-1, 1)),
    ],
)
def test_ends(values, signed, ends):
    assert colour_ends(np.array(values, np.float64), signed=signed) == pytest.approx(ends, abs=1e-12)


def test_all_but_a_few_lie_within():
    random = np.random.default_rng(0)
    for _ in range(200):
        values = random.normal(size=random.integers(1, 200)) * np.exp(random.normal())
        for signed in (False, True):
            low, high = colour_ends(values, signed=signed)
            assert low < high
            outside = ((values < low) | (values > high)).sum()
            assert outside <= (1 if signed else 2) * max(1, 0.05 * len(values))
