"""Claims about heads: their values permuted among the heads of each layer.

Where two quantities of heads come from the same images, the images' noise counts as agreement, however many images
there are. So one is taken on one half of the images and the other on the other half, and heads are the units: under
permutation within layers, what heads of a layer have in common tells nothing.
"""

from dataclasses import dataclass

import numpy as np

from analyze.statistics.clusters import Array, Codes
from analyze.statistics.distributions import ranks

_ROWS = 1_000  # permutations computed at once


@dataclass(frozen=True)
class Agreement:
    """How the ranks of heads by two quantities agree.

    Attributes:
        correlation: Spearman's, over all heads; `within`: the same with the mean rank of each layer taken off.
        p: two-sided, of `within`; NaN where all heads of each layer are equal, and `within` then too.
    """

    correlation: float
    within: float
    p: float


def agreement_of_heads(one: Array, other: Array, layer: Codes, draws: int, seed: int) -> Agreement | None:
    """The agreement of two quantities that come from different images, each [heads]; None if one is equal or unknown.

    Args:
        layer: of each head; all the same where layers are compared.
    """
    if any(not np.isfinite(each).all() or np.ptp(each) == 0 for each in (one, other)):
        return None
    places = ranks(one), ranks(other)
    own, others = (each - _layer_means(each, layer) for each in places)
    length = float(np.sqrt((own @ own) * (others @ others)))
    correlation = float(np.corrcoef(*places)[0, 1])
    if length < 1e-9:
        return Agreement(correlation, np.nan, np.nan)
    p = permutation_p(float(own @ others), permuted(own, others[:, None], layer, draws, seed)[:, 0])
    return Agreement(correlation, float(own @ others) / length, p)


def permuted(values: Array, fixed: Array, layer: Codes, draws: int, seed: int) -> Array:
    """Products of values that are permuted among the heads of each layer with others that are not.

    Args:
        values: [heads].
        fixed: [heads, statistics].

    Returns:
        Float64 [draws, statistics].
    """
    rng, heads = np.random.default_rng(seed), len(values)
    places = np.argsort(layer, kind="stable")
    found = np.empty((draws, fixed.shape[1]))
    for first in range(0, draws, _ROWS):
        rows = slice(first, min(first + _ROWS, draws))
        order = np.argsort(layer[places] + rng.random((rows.stop - first, heads)), axis=1)
        found[rows] = values[places[order]] @ fixed[places]
    return found


def permutation_p(found: float, drawn: Array) -> float:
    """The share of permutations, and what was found, that are as far from the middle of all of these, two-sided."""
    middle = (drawn.sum() + found) / (len(drawn) + 1)
    reached = np.abs(drawn - middle) >= abs(found - middle) * (1 - 1e-9)
    return float((1 + reached.sum()) / (len(drawn) + 1))


def _layer_means(values: Array, layer: Codes) -> Array:
    means: Array = (np.bincount(layer, values) / np.maximum(np.bincount(layer), 1))[layer]
    return means
