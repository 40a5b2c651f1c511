"""What watches each layer of a model whose attention is not plain softmax over all earlier tokens.

There tokens of an image may see each other, a prefix all of itself, a layer no further than its window, and scores may
be capped. The mask is the model's own; output and masses come from one float32 softmax under it, in pieces of
`extract.attention.masses.SCRATCH` bytes.
"""

from dataclasses import replace

import torch
from torch import Tensor

from extract.attention.masses import flows_from_rows, masked_attention
from extract.attention.packing import Batch, Strip
from schemas.roles import IMAGE, PADDING, QUESTION, ROLES

DESCRIPTION = "softmax in float32 under the model's own mask"


class MaskedObservation:
    """What one forward pass shows: feed it each layer in order, then ask for the flows."""

    def __init__(self, batch: Batch) -> None:
        """Watch a batch of questions in sequences of their own, which is on the model's device."""
        roles = batch.roles
        length = roles.shape[1]
        last = torch.arange(length, device=roles.device) == batch.last[:, None]
        text = (roles != IMAGE) & (roles != PADDING)
        self._strip = Strip(
            rows=slice(0, length),
            columns=None,
            seen=None,
            on_role=(roles[..., None] == torch.arange(len(ROLES), device=roles.device)).float(),
            groups=torch.stack([roles == IMAGE, roles == QUESTION, last, text], dim=1).float(),
        )
        self._sums: list[Tensor] = []

    def attend(
        self, query: Tensor, key: Tensor, value: Tensor, scale: float, *, mask: Tensor, softcap: float | None
    ) -> Tensor:
        """Attention of one layer.

        Args:
            query: [images, heads, length, head_dim].
            key: [images, kv_heads, length, head_dim]; `value` likewise.
            scale: factor of the scores.
            mask: bool [images, 1, length, length], true where the query sees the key.
            softcap: see `extract.attention.masses.masked_attention`.

        Returns:
            Output like `query`.
        """
        seen = mask[:, 0]
        seen = seen | ~seen.any(dim=-1, keepdim=True)  # a padding row sees something too, so that nothing is NaN
        strip = replace(self._strip, seen=seen)
        output, sums = masked_attention(query, key, value, strip, scale=scale, softcap=softcap)
        self._sums.append(sums)
        return output

    def flows(self) -> Tensor:
        """The flow columns, float32 [questions, layers, heads, flows], on the model's device."""
        return flows_from_rows(torch.stack(self._sums), self._strip.groups.sum(dim=-1))
