"""Heads and layers taken out of a model, by zeros in its weights: it computes what it would without them.

Nothing becomes faster: the model keeps its shape, so that its attention is still observed, that of the removed heads
included.
"""

from typing import Any

import torch
from torch import nn

from extract.models.checkpoint import Checkpoint
from schemas.errors import HeadflowError
from schemas.jobs.head_sets import HeadSet


def remove(checkpoint: Checkpoint, chosen: HeadSet) -> None:
    """Take heads and layers out: a head's columns of `o_proj` are 0; a layer adds nothing to what it gets.

    Raises:
        HeadflowError: the model's layers are built in another way than LLaMA's.
    """
    with torch.no_grad():
        for number, layer in enumerate(checkpoint.stack.layers):
            heads = [head for at, head in chosen.heads if at == number]
            if number in chosen.layers:
                for linear in (_linear(layer, "self_attn", "o_proj"), _linear(layer, "mlp", "down_proj")):
                    linear.weight.zero_()
                    if linear.bias is not None:
                        linear.bias.zero_()
            elif heads:
                weight = _linear(layer, "self_attn", "o_proj").weight
                weight.unflatten(1, (checkpoint.heads, -1))[:, heads] = 0


def _linear(layer: Any, part: str, name: str) -> nn.Linear:
    linear = getattr(getattr(layer, part, None), name, None)
    if not isinstance(linear, nn.Linear) or not linear.weight.is_floating_point():
        raise HeadflowError(
            f"a layer of the model has no matrix {part}.{name}, so that heads and layers cannot be taken out",
            setting="plan",
        )
    return linear
