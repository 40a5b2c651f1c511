"""Oracle: of values that could each have been the one found, at most as many have a small p as it says."""

import numpy as np
import pytest

from analyze.statistics.heads.permutations import permutation_p


@pytest.mark.parametrize("values", [[-10.0] + 18 * [0.0] + [10.0], [*range(20)], [*np.geomspace(1, 100, 40)]])
def test_of_values_that_could_have_been_found_few_have_a_small_p(values):
    p = np.array([permutation_p(found, np.delete(values, place)) for place, found in enumerate(values)])
    assert all((p <= level).mean() <= level + 1e-9 for level in (0.025, 0.05, 0.1, 0.2))
    assert p.min() <= 0.1
