"""Whether a model answers at once: what probability the answers hold as its first token.

A model that thinks first, or whose template ends in `<think>`, begins with another token. Its `margin`, `p_yes` and
`p_no` are then of a token that is no answer.
"""

from collections.abc import Sequence

import numpy as np

LITTLE = 0.01  # of the probability
MOST = 0.5  # of the samples


def not_answered(p_yes: np.ndarray, p_no: np.ndarray, answer_tokens: Sequence[str] = ()) -> str | None:
    """A warning if the answers hold less than `LITTLE` in more than `MOST` of the samples; else None.

    Args:
        p_yes: [samples], 0 to 1; NaN where a sample has none. `p_no` too.
        answer_tokens: the two tokens that `margin` compares; empty if that is not known. `p_yes` and `p_no` say
            nothing of other words than yes and no.
    """
    held = p_yes.astype(np.float64) + p_no.astype(np.float64)
    held = held[~np.isnan(held)]
    little = int((held < LITTLE).sum())
    if little <= MOST * len(held) or not _yes_and_no(answer_tokens):
        return None
    return (
        f"`p_yes` and `p_no` together are below {LITTLE:.0%} in {little:,} of {len(held):,} samples: the first token "
        "is no answer (the model may think first), so `margin`, and what rests on it, does not tell what the model says"
    )


def _yes_and_no(tokens: Sequence[str]) -> bool:
    """Whether two tokens spell yes and no, or begin to."""
    texts = sorted((token.strip(" ▁Ġ").lower() for token in tokens), reverse=True)
    return all(word.startswith(text) for word, text in zip(("yes", "no"), texts, strict=False))
