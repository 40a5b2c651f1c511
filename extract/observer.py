"""The attention function that watches each layer as it runs, through transformers' public attention interface.

The output is that of a fused causal kernel, so the logits of one question on one image are bitwise those of the
unobserved model. The masses come from the same call's logsumexp. Further questions behind one prefix (see
`extract.packing`) take an explicit softmax, which gives their output and their masses at once. An `Observation`
travels to the layers as the keyword `observation` of the forward call, and comes back with the masses.
"""

from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, PreTrainedModel
from transformers.masking_utils import AttentionMaskInterface

from extract.flows import flows_from_sums, masked_attention, strip_sums
from extract.kernels import Kernel
from extract.packing import Batch, Strip

NAME = "headflow"
HELD_ON_CUDA = 2**28  # bytes; there a launch costs as much as a small reduction
UNSUPPORTED = ("softcap", "position_bias", "s_aux")  # options that change the softmax


class Observation:
    """What one forward pass shows: feed it each layer in order, then ask for the flows."""

    def __init__(self, batch: Batch, kernel: Kernel, *, hold: int = 0) -> None:
        """Watch a batch, which is on the model's device.

        Args:
            hold: bytes of queries to keep back until they are reduced, several layers at once; 0: each layer at once.
        """
        self._batch = batch
        self._kernel = kernel
        self._hold = hold
        self._held: list[tuple[Tensor, Tensor, Tensor]] = []
        self._scale = 1.0
        self._image: list[Tensor] = []
        self._first: list[Tensor] = []
        self._further: list[Tensor] = []

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        """Attention of one layer.

        Args:
            query: [images, heads, length, head_dim].
            key: [images, kv_heads, length, head_dim]; `value` likewise.
            scale: factor of the scores.

        Returns:
            Output like `query`.
        """
        output, lse = self._kernel.attend(query, key, value, scale)
        further = self._batch.further
        if further is not None:
            rows = further.rows
            output[:, :, rows], sums = masked_attention(query[:, :, rows], key, value, further, scale=scale)
            self._further.append(sums)
        if scale != self._scale:
            self._reduce()
            self._scale = scale
        self._held.append((query, key, lse))
        if sum(query.nbytes for query, _, _ in self._held) >= self._hold:
            self._reduce()
        return output

    def flows(self) -> Tensor:
        """The flow columns, float32 [questions, layers, heads, flows], on the model's device."""
        self._reduce()
        further = torch.stack(self._further) if self._further else None
        return flows_from_sums(torch.cat(self._image), torch.cat(self._first), further, self._batch)

    def _reduce(self) -> None:
        if not self._held:
            return
        for strip, sums in ((self._batch.image, self._image), (self._batch.first, self._first)):
            layers = [_cut(strip, *layer) for layer in self._held]
            query, key, lse = (_stack(each) for each in zip(*layers, strict=True))
            sums.append(strip_sums(query, key, lse, strip, scale=self._scale))
        self._held = []


def _cut(strip: Strip, query: Tensor, key: Tensor, lse: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The queries, keys and logsumexp of a strip."""
    if strip.columns is not None:
        columns = strip.columns[:, None, :, None].expand(-1, key.shape[1], -1, key.shape[-1])
        key = key.gather(2, columns)
    return query[:, :, strip.rows], key, lse[:, :, strip.rows]


def _stack(tensors: tuple[Tensor, ...]) -> Tensor:
    return torch.stack(tensors) if len(tensors) > 1 else tensors[0][None]


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
