"""The attention function that watches each layer as it runs, through transformers' public attention interface.

The output comes from transformers' own sdpa attention, so logits are those of the unobserved model. In the place of
the attention weights the function returns the layer's masses; a forward call with `output_attentions=True` collects
them in layer order. Roles travel to it as the keyword `roles` of that call.
"""

from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, PreTrainedModel
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from extract.flows import role_sums

NAME = "headflow"
DESCRIPTION = "sdpa, observed by chunked float32 softmax"


def observed_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    roles: Tensor,
    scaling: float | None = None,
    output_attentions: bool = True,
    **options: Any,
) -> tuple[Tensor, Tensor]:
    """Attention of one layer, and its masses.

    Args:
        module: the layer's attention module.
        query: [batch, heads, sequence, head_dim].
        key: [batch, kv_heads, sequence, head_dim]; `value` likewise.
        attention_mask: bool [batch, 1, sequence, sequence], or None for causal attention.
        roles: int [batch, sequence], codes of `schemas.roles`.
        output_attentions: accepted, so that sdpa does not warn of it.

    Returns:
        The output [batch, sequence, heads, head_dim] of sdpa, and float32 [batch, heads, groups, roles] of `role_sums`.
    """
    sdpa = ALL_ATTENTION_FUNCTIONS["sdpa"]
    output, _ = sdpa(module, query, key, value, attention_mask, scaling=scaling, **options)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    return output, role_sums(query, key, roles, scale=scale, mask=attention_mask)


def observe_language_model(model: PreTrainedModel) -> None:
    """Let `observed_attention` run in the language model of a vision-language model; its vision tower is left alone."""
    AttentionInterface.register(NAME, observed_attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    model.set_attn_implementation({"text_config": NAME})
