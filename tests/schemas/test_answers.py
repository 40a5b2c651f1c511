"""Oracle: probabilities at and around the limits."""

import numpy as np
import pytest

from schemas.tasks import MME
from schemas.validation.answers import not_answered

HALF, MORE = [0.004] * 2 + [0.2] * 2, [0.004] * 3 + [0.2] * 2


@pytest.mark.parametrize(
    ("p_yes", "p_no", "tokens", "said"),
    [
        (HALF, 0.005, [], False),
        (MORE, 0.005, [], True),
        (MORE, 0.006, [], False),  # 1% is enough
        ([*MORE, np.nan], 0.005, ["Yes", "No"], True),
        (MORE, 0.005, ["▁No", "▁Yes"], True),
        (MORE, 0.005, ["Yes", "N"], True),
        (MORE, 0.005, ["A", "B"], False),
        ([np.nan] * 3, np.nan, [], False),
        ([], 0.0, [], False),
    ],
)
def test_a_warning_where_answers_hold_little_in_more_than_half(p_yes, p_no, tokens, said):
    p_yes = np.array(p_yes)
    found = not_answered({"p_yes": p_yes, "p_no": np.full_like(p_yes, p_no)}, MME, tokens)
    assert (found is not None) == said
    assert found is None or "together are below 1% in 3 of 5 samples: the first token is no answer" in found
