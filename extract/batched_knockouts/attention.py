"""Attention of sequences that share a prefix, with some heads of some of them changed.

The keys of the prefix are the same for all sequences, so that their queries on it are the rows of one matrix. This part
and the causal one on a sequence's own tokens come from two fused calls and are merged by their logsumexps: the softmax
over both is `(o1 exp(lse1) + o2 exp(lse2)) / (exp(lse1) + exp(lse2))`, as in FlashAttention's own blocks (Dao et al.
2022, arXiv:2205.14135).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from extract.attention.kernels import Kernel
from extract.attention.masked import with_padding
from extract.attention.masses import SCRATCH, capped, softmax_pieces
from extract.attention.readers import LayerInput


@dataclass(frozen=True)
class Keys:
    """Keys that the changed heads see before those of their own sequence.

    Attributes:
        key: [kv_heads, keys, head_dim]; `value` too. They are seen by all queries.
    """

    key: Tensor
    value: Tensor


@dataclass(frozen=True)
class Changed:
    """The heads of one layer that are changed, of some sequences.

    Attributes:
        rows: int64 [pairs], the sequence; `heads`: int64 [pairs], the head.
        tokens: bool [sequences, length], the tokens that are changed.
        output: [pairs, head_dim], what takes the place of the head's output; None: it is attention anew, on `before`
            and on what the head may see of its own sequence.
        before: what it sees of the prefix, or of another image.
        hidden: bool [sequences, keys], own keys that it does not see.
        swapped: what takes the place of own keys, bool [sequences, keys]; they are as many as the keys of `other`.
        other: [kv_heads, keys, head_dim] each.
    """

    rows: Tensor
    heads: Tensor
    tokens: Tensor
    output: Tensor | None = None
    before: Keys | None = None
    hidden: Tensor | None = None
    swapped: Tensor | None = None
    other: Keys | None = None


class ChangedAttention:
    """The attention of one layer; `attend` is called by the model's own code, see `transformers_interface`."""

    def __init__(self, kernel: Kernel | None, prefix: Keys | None, changed: Changed | None) -> None:
        """Compute attention.

        Args:
            kernel: None: under the model's own mask.
            prefix: what all sequences see before their own tokens; None: nothing.
            changed: None: nothing is changed.
        """
        self._kernel = kernel
        self._prefix = prefix
        self._changed = changed
        self.output = torch.empty(0)  # of the heads, before their projection; like `query`

    def attend(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        scale: float,
        *,
        mask: Tensor | None = None,
        softcap: float | None = None,
    ) -> Tensor:
        """See `extract.attention.masked.MaskedObservation.attend`; `mask` is None in causal models."""
        layer = LayerInput(query, key, value, scale, mask, softcap)
        if self._kernel is None:
            self.output = _masked(layer)
        elif self._prefix is None:
            self.output, _ = self._kernel.attend(query, key, value, scale)
        else:
            self.output = _behind_prefix(self._kernel, layer, self._prefix)
        if self._changed is not None:
            self._change(self._changed, layer)
        return self.output

    def _change(self, changed: Changed, layer: LayerInput) -> None:
        """Put what the changed heads give into the output."""
        length, width = layer.query.shape[2:]
        keys = layer.key.shape[2] + (changed.before.key.shape[1] if changed.before is not None else 0)
        numbers = length * keys + 3 * keys * width if changed.output is None else 3 * length * width
        step = max(1, SCRATCH // (4 * numbers))
        for start in range(0, len(changed.rows), step):
            at = slice(start, start + step)
            rows, heads = changed.rows[at], changed.heads[at]
            if changed.output is not None:
                new = changed.output[at, None].expand(-1, length, -1)
            else:
                new = _anew(changed, layer, rows, heads)
            tokens = changed.tokens[rows][..., None]
            self.output[rows, heads] = torch.where(tokens, new.to(self.output.dtype), self.output[rows, heads])


def _behind_prefix(kernel: Kernel, layer: LayerInput, prefix: Keys) -> Tensor:
    """Causal attention of sequences [sequences, heads, length, head_dim] on a prefix and on their own tokens."""
    query, scale = layer.query, layer.scale
    sequences, heads, length, width = query.shape
    own, own_lse = kernel.attend(query, layer.key, layer.value, scale)
    together = query.transpose(0, 1).reshape(1, heads, sequences * length, width)
    before, before_lse = kernel.attend(together, prefix.key[None], prefix.value[None], scale, causal=False)
    before = before[0].unflatten(1, (sequences, length)).transpose(0, 1)
    before_lse = before_lse[0].unflatten(1, (sequences, length)).transpose(0, 1)
    share = torch.sigmoid(before_lse - own_lse)[..., None]  # exp(lse1) / (exp(lse1) + exp(lse2))
    return torch.lerp(own.float(), before.float(), share).to(query.dtype)


def _masked(layer: LayerInput) -> Tensor:
    """Attention under a model's own mask, bool [sequences, 1, length, length]."""
    assert layer.mask is not None
    pieces = softmax_pieces(
        layer.query, layer.key, layer.value, with_padding(layer.mask[:, 0]), scale=layer.scale, softcap=layer.softcap
    )
    return torch.cat([output for _, _, output in pieces], dim=2)


def _anew(changed: Changed, layer: LayerInput, rows: Tensor, heads: Tensor) -> Tensor:
    """Attention of changed heads on what they see then, float32 [pairs, length, head_dim].

    A query that sees nothing any more takes nothing.
    """
    query, key, value = layer.query, layer.key, layer.value
    length = query.shape[2]
    kv_head = heads // (query.shape[1] // key.shape[1])
    keys, values = key[rows, kv_head].float(), value[rows, kv_head].float()
    if changed.swapped is not None and changed.other is not None:
        place = changed.swapped[rows][..., None]
        keys = keys.masked_scatter(place, changed.other.key[kv_head].float())
        values = values.masked_scatter(place, changed.other.value[kv_head].float())
    if layer.mask is None:
        seen = torch.ones(length, length, dtype=torch.bool, device=query.device).tril().expand(len(rows), -1, -1)
    else:
        seen = with_padding(layer.mask[rows, 0])
    if changed.hidden is not None:
        seen = seen & ~changed.hidden[rows][:, None]
    if changed.before is not None:
        keys = torch.cat([changed.before.key[kv_head].float(), keys], dim=1)
        values = torch.cat([changed.before.value[kv_head].float(), values], dim=1)
        always = seen.new_ones((len(rows), length, changed.before.key.shape[1]))
        seen = torch.cat([always, seen], dim=-1)
    weights = capped(query[rows, heads].float() @ keys.transpose(-1, -2) * layer.scale, layer.softcap)
    weights = weights.masked_fill_(~seen, -torch.inf).softmax(dim=-1)
    return torch.nan_to_num(weights) @ values
