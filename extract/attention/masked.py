"""Observation of models whose attention is not plain softmax over all earlier tokens, layer by layer as they run.

In them tokens of an image may see each other, a prefix all of itself, a layer no further than its window, and scores
may be capped. The mask is the model's own; output and masses come from one float32 softmax under it, in pieces of
`extract.attention.masses.SCRATCH` bytes.
"""

from dataclasses import replace

import torch
from torch import Tensor

from extract.attention.blocks import Block
from extract.attention.masses import mean_masses_of_sequences, softmax_attention
from extract.attention.packing import Batch
from schemas.roles import IMAGE, PADDING, QUESTION, ROLES

DESCRIPTION = "softmax in float32 under the model's own mask"


def with_padding(seen: Tensor) -> Tensor:
    """A mask in which a query that sees nothing sees everything, so that nothing is NaN: it is padding."""
    return seen | ~seen.any(dim=-1, keepdim=True)


class MaskedObservation:
    """What one forward pass shows: pass it each layer in order, then ask for the masses."""

    def __init__(self, batch: Batch) -> None:
        """Observe a batch of questions in sequences of their own, which is on the model's device."""
        roles = batch.roles
        length, read = roles.shape[1], batch.layout.read
        last = torch.arange(length, device=roles.device) == batch.last[:, None]
        text = (roles != IMAGE) & (roles != PADDING)
        self._block = Block(
            rows=slice(0, read),
            columns=slice(0, length),
            seen=None,
            on_role=(roles[..., None] == torch.arange(len(ROLES), device=roles.device)).float(),
            groups=torch.stack([roles == IMAGE, roles == QUESTION, last, text], dim=1)[..., :read].float(),
        )
        self._sums: list[Tensor] = []

    def attend(
        self, query: Tensor, key: Tensor, value: Tensor, scale: float, *, mask: Tensor, softcap: float | None
    ) -> Tensor:
        """Attention of one layer.

        Args:
            query: [images, heads, read, head_dim], see `extract.attention.layout.Layout`.
            key: [images, kv_heads, length, head_dim]; `value` too.
            scale: factor of the scores.
            mask: bool [images, 1, read, length], True if the query sees the key.
            softcap: see `extract.attention.masses.softmax_attention`.

        Returns:
            Output like `query`.
        """
        block = replace(self._block, seen=with_padding(mask[:, 0]))
        output, sums = softmax_attention(query, key, value, block, scale=scale, softcap=softcap)
        self._sums.append(sums)
        return output

    def masses(self) -> Tensor:
        """The columns of masses, float32 [questions, layers, heads, columns], on the model's device."""
        return mean_masses_of_sequences(torch.stack(self._sums), self._block.groups.sum(dim=-1))
