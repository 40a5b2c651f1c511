"""The observer as an attention function of transformers, through its public attention interface.

An `Observation` travels to the layers as the keyword `observation` of the forward call, and comes back with the masses.
"""

from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, PreTrainedModel
from transformers.masking_utils import AttentionMaskInterface

from extract.observer import Observation

NAME = "headflow"
UNSUPPORTED = ("softcap", "position_bias", "s_aux")  # options that change the softmax


def observed_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    observation: Observation,
    scaling: float | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """The attention function of one layer, in the shape that transformers calls it; see `Observation.attend`.

    Returns:
        Output [images, length, heads, head_dim], and nothing in the place of the attention weights.

    Raises:
        ValueError: the model asks for attention that is not plain softmax over all earlier tokens.
    """
    asked = [name for name in UNSUPPORTED if options.get(name) is not None]
    if asked or attention_mask is not None:
        raise ValueError(f"attention with {', '.join(asked) or 'a mask'} cannot be observed")
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    return observation.attend(query, key, value, scale).transpose(1, 2), None


def _no_mask(*_: Any, **__: Any) -> None:
    """What a query sees follows from the batch's own layout."""


def observe_language_model(model: PreTrainedModel) -> None:
    """Let `observed_attention` run in the language model of a vision-language model; its vision tower is left alone."""
    AttentionInterface.register(NAME, observed_attention)
    AttentionMaskInterface.register(NAME, _no_mask)
    model.set_attn_implementation({"text_config": NAME})
