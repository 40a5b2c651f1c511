"""Made-up tables of generated tokens."""

import numpy as np

from schemas.columns import STEP_MAPS, STEPS, TOKENS
from tests.support.maps import made_up

WRITTEN = (TOKENS, STEPS, STEP_MAPS)


def made_up_text(random: np.random.Generator, taken: int, heads: int, mapped: int, *, every: int = 1, pieces=None):
    """Made-up tokens of a sample: its values in `WRITTEN`, and in `samples`.

    Args:
        taken: steps of the sample; every so many have rows in `steps` and `step_maps`.
        heads: that have rows in `steps`; `mapped`: in `step_maps`.
        pieces: of the text; None: numbers.
    """
    kept = -(-taken // every)
    tokens = np.abs(random.normal(size=(taken, 3))) * [-1, 1, 1]
    maps, places = made_up(random, kept, mapped)
    texts = [f" {number}" for number in random.integers(0, 100, taken)] if pieces is None else pieces
    grids = {
        TOKENS: tokens.astype(np.float32), "tokens.token_id": random.integers(3, 100, taken), "tokens.text": texts,
        STEPS: random.dirichlet(np.ones(6), (kept, heads)).astype(np.float32),
        STEP_MAPS: maps["maps"][0][:, None], "step_maps.map": maps["maps.map"],
    }  # fmt: skip
    return grids, places | {"text": "".join(texts), "n_generated": taken, "ended": "stop", "answer_step": 0}
