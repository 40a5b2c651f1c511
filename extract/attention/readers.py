"""What computes and reads the attention of each layer as it runs, beside what observes a prefill."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from extract.attention.masses import softmax_weights
from extract.attention.packing import Batch


@dataclass(frozen=True)
class LayerInput:
    """What the attention of one layer is computed from.

    Attributes:
        query: [images, heads, read, head_dim], see `extract.attention.layout.Layout`.
        key: [images, kv_heads, length, head_dim]; `value` too.
        scale: factor of the scores.
        mask: the model's own, bool [images, 1, read, length], True if the query sees the key; None: causal.
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


class OwnView:
    """An observation that finds out itself which keys a query sees, without the model's mask."""

    def attend(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        scale: float,
        *,
        softcap: float | None,
        window: int | None,
        across: bool = False,
    ) -> Tensor:
        """Attention of one layer.

        Args:
            query: [images, heads, rows, head_dim].
            key: [images, kv_heads, rows, head_dim]; `value` too.
            scale: factor of the scores.
            softcap: see `extract.attention.masses.softmax_attention`.
            window: how many tokens a query of this layer sees at most, itself included; None: any number.
            across: whether the layer reads the image by cross-attention; `key` and `value` are of no consequence then.

        Returns:
            Output like `query`.
        """
        raise NotImplementedError


# What a forward pass returns, see `extract.models.checkpoint.Checkpoint.forward`: logits, masses, final hidden states
Forward = tuple[Tensor, Tensor, Tensor]


class PassReader:
    """Reads one forward pass for tables of a run.

    Attributes:
        readers: what reads each layer's attention.
        sent: what was copied to the device for it, kept until the pass is done.
    """

    readers: Sequence[AttentionReader] = ()
    sent: Sequence[Any] = ()

    def reading(self) -> AbstractContextManager[None]:
        """The context in which the pass runs."""
        return nullcontext()

    def tables(self, found: Forward) -> dict[str, Tensor]:
        """What the pass brought, by name, such as that of a table: of each question, on the device, once it is done."""
        raise NotImplementedError


def read_pass(
    forward: Callable[..., Forward],
    batch: Batch,
    inputs: dict[str, Tensor],
    readers: Sequence[PassReader],
) -> tuple[Forward, dict[str, Tensor]]:
    """One pass of a model, and what readers make of it.

    Args:
        forward: `extract.models.checkpoint.Checkpoint.forward`; `batch` and `inputs` as there.

    Returns:
        What `forward` returns, and by name what the readers bring.
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
    """What the last token of each question takes from each role by way of each head, along some directions.

    It is `sum over keys j of the role: a_j * (v_j . p)`, with the attention `a` of the last token, the values `v`, and
    a vector `p` for each direction, layer and head. Where the token multiplies what heads put out by a gate `g`, it is
    `sum of a_j * (v_j . (g * p))`.
    """

    def __init__(
        self, batch: Batch, directions: Sequence[Tensor], gate: Callable[[int], Tensor | None] = lambda place: None
    ) -> None:
        """Read a batch, which is on the model's device.

        Args:
            directions: of each layer float32 [directions, heads, head_dim].
            gate: that of the last tokens in a layer, by its place among those that are read, once it runs: float32
                [questions, heads, head_dim]; None: there is none.
        """
        self._batch = batch
        self._directions = directions
        self._gate = gate
        self.sums: list[Tensor] = []  # of each layer, float32 [questions, heads, roles, directions]

    def read(self, layer: LayerInput) -> None:
        """See `AttentionReader.read`."""
        ends, query = self._batch.ends, layer.query
        heads, kv_heads = query.shape[1], layer.key.shape[1]
        rows = query.gather(2, ends.rows[:, None, :, None].expand(-1, heads, -1, query.shape[-1]))
        seen = ends.seen
        if layer.mask is not None:
            seen = layer.mask[:, 0].gather(1, ends.rows[..., None].expand(-1, -1, layer.mask.shape[-1]))
        weights = softmax_weights(rows, layer.key, seen, scale=layer.scale, softcap=layer.softcap)
        if (gate := self._gate(len(self.sums))) is not None:
            self.sums.append(self._gated(weights, layer.value.float(), gate))
            return
        value, sums = layer.value.float(), []
        for direction in self._directions[len(self.sums)]:  # one by one, so that memory does not grow with them
            along = direction.unflatten(0, (kv_heads, heads // kv_heads))
            numbers = (value @ along.transpose(-1, -2)).transpose(-1, -2).flatten(1, 2)
            taken = (weights * numbers[:, :, None]) @ ends.on_role[:, None]
            sums.append(taken[self._batch.owner, :, self._batch.slot])
        self.sums.append(torch.stack(sums, dim=-1))

    def _gated(self, weights: Tensor, value: Tensor, gate: Tensor) -> Tensor:
        """The sums of one layer with a gate; `weights` are float32 [images, heads, slots, length]."""
        images, heads, slots, length = weights.shape
        by_role = weights[..., None, :] * self._batch.ends.on_role.transpose(1, 2)[:, None, None]
        shared = by_role.reshape(images, value.shape[1], -1, length) @ value  # heads that share values, side by side
        taken = shared.view(images, heads, slots, by_role.shape[3], -1)[self._batch.owner, :, self._batch.slot]
        gated = taken * gate[:, :, None]
        return torch.einsum("qhrw,dhw->qhrd", gated, self._directions[len(self.sums)])
