"""Visual sinks: image tokens on which heads look whatever the image shows (Kang et al. 2025, arXiv:2503.03321).

In some layers the hidden state of the first token is massive in a few dimensions (Sun et al. 2024, arXiv:2402.17762):
divided by its root mean square, it exceeds 20 in them. An image token that does so in one of these dimensions is a
visual sink. The paper names the dimensions of its models; here they are those of the first token itself. A state of
width D has at most the root of D in a dimension, so in models of width 400 and less no sink can be told.
"""

import torch
from torch import Tensor

from schemas.columns import MASSIVE


def can_be_told(states: Tensor) -> bool:
    """Whether a state of this width can be massive in a dimension."""
    return states.shape[-1] > MASSIVE**2


def visual_sinks(states: Tensor, first: Tensor, image: Tensor) -> Tensor:
    """Which image tokens are visual sinks.

    Args:
        states: [images, length, width], what a layer reads.
        first: int64 [images], the column of the first token.
        image: int64 [images, tokens], the columns of image tokens.

    Returns:
        bool [images, tokens].
    """
    row = torch.arange(len(states), device=states.device)
    massive = _normed(states[row, first]) > MASSIVE
    tokens = states[row[:, None], image]
    return ((_normed(tokens) > MASSIVE) & massive[:, None]).any(dim=-1)


def _normed(states: Tensor) -> Tensor:
    """Absolute values over the root mean square of each state, float32."""
    single = states.float()
    rms = single.square().mean(dim=-1, keepdim=True).sqrt()
    return single.abs() / rms.clamp_min(torch.finfo(torch.float32).tiny)
