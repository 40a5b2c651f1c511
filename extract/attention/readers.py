"""What else is read of each layer's attention as it runs, beside the masses."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from extract.attention.masses import softmax_weights
from extract.attention.packing import Batch


@dataclass(frozen=True)
class LayerInput:
    """What the attention of one layer is computed from.

    Attributes:
        query: [images, heads, length, head_dim].
        key: [images, kv_heads, length, head_dim]; `value` likewise.
        scale: factor of the scores.
        mask: the model's own, bool [images, 1, length, length], True if the query sees the key; None: causal.
        softcap: see `extract.attention.masses.softmax_attention`.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    scale: float
    mask: Tensor | None = None
    softcap: float | None = None


class AttentionReader(Protocol):
    """Gets what each layer's attention is computed from, in the order of the layers."""

    def read(self, layer: LayerInput) -> None:
        """Read one layer."""


class PassReader(Protocol):
    """Reads one forward pass for tables of a run."""

    @property
    def readers(self) -> Sequence[AttentionReader]:
        """What reads each layer's attention."""

    def reading(self) -> AbstractContextManager[None]:
        """The context in which the pass runs."""

    def tables(self, found: tuple[Tensor, Tensor, Tensor]) -> dict[str, Tensor]:
        """What the pass brought, by table, of each question, once it is done.

        Args:
            found: what the model's forward pass returned.
        """


def read_pass(
    forward: Callable[..., tuple[Tensor, Tensor, Tensor]],
    batch: Batch,
    inputs: dict[str, Tensor],
    readers: Sequence[PassReader],
) -> tuple[tuple[Tensor, Tensor, Tensor], dict[str, Tensor]]:
    """One pass of a model, and what readers make of it.

    Args:
        forward: `extract.models.checkpoint.Checkpoint.forward`; `batch` and `inputs` as there.

    Returns:
        What `forward` returns, and by table what the readers bring to it.
    """
    with ExitStack() as reading:
        for reader in readers:
            reading.enter_context(reader.reading())
        found = forward(batch, inputs, readers=[each for reader in readers for each in reader.readers])
    tables: dict[str, Tensor] = {}
    with torch.inference_mode():
        for reader in readers:
            tables |= reader.tables(found)
    return found, tables


class ProjectedValues:
    """What the last token of each question takes from each role by way of each head, along one direction.

    It is `sum over keys j of the role: a_j * (v_j . p)`, with the attention `a` of the last token, the values `v`, and
    a vector `p` for each layer and head.
    """

    def __init__(self, batch: Batch, directions: Tensor) -> None:
        """Read a batch, which is on the model's device.

        Args:
            directions: float32 [layers, heads, head_dim].
        """
        self._batch = batch
        self._directions = directions
        self.sums: list[Tensor] = []  # of each layer, float32 [questions, heads, roles]

    def read(self, layer: LayerInput) -> None:
        """See `AttentionReader.read`."""
        ends, query = self._batch.ends, layer.query
        heads, kv_heads = query.shape[1], layer.key.shape[1]
        along = self._directions[len(self.sums)].unflatten(0, (kv_heads, heads // kv_heads))
        numbers = (layer.value.float() @ along.transpose(-1, -2)).transpose(-1, -2).flatten(1, 2)
        rows = query.gather(2, ends.rows[:, None, :, None].expand(-1, heads, -1, query.shape[-1]))
        seen = ends.seen
        if layer.mask is not None:
            seen = layer.mask[:, 0].gather(1, ends.rows[..., None].expand(-1, -1, layer.mask.shape[-1]))
        weights = softmax_weights(rows, layer.key, seen, scale=layer.scale, softcap=layer.softcap)
        sums = (weights * numbers[:, :, None]) @ ends.on_role[:, None]
        self.sums.append(sums[self._batch.owner, :, self._batch.slot])
