"""Observation of causal models, layer by layer as they run.

The output is that of a fused causal kernel, so the logits of one question on one image are bitwise those of the
unobserved model with the same kernel (torch may choose another for it, as on Hopper that of cuDNN). The masses come
from the same call's logsumexp. Further questions after one prefix (see `extract.attention.layout`) take an explicit
softmax, which gives their output and their masses at once.
"""

import torch
from torch import Tensor

from extract.attention.blocks import Block
from extract.attention.kernels import Kernel
from extract.attention.masses import block_sums, mean_masses, softmax_attention
from extract.attention.packing import Batch

HELD_ON_CUDA = 2**28  # bytes; there a launch costs as much as a small reduction


class Observation:
    """What one forward pass shows: pass it each layer in order, then ask for the masses."""

    def __init__(self, batch: Batch, kernel: Kernel, *, hold: int = 0) -> None:
        """Observe a batch, which is on the model's device.

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
            key: [images, kv_heads, length, head_dim]; `value` too.
            scale: factor of the scores.

        Returns:
            Output like `query`.
        """
        further = self._batch.further
        if further is None:
            output, lse = self._kernel.attend(query, key, value, scale)
        else:
            output, some = torch.empty_like(query), slice(0, self._batch.layout.causal)
            output[:, :, some], lse = self._kernel.attend(query[:, :, some], key[:, :, some], value[:, :, some], scale)
            rows = further.rows
            output[:, :, rows], sums = softmax_attention(query[:, :, rows], key, value, further, scale=scale)
            self._further.append(sums)
        if scale != self._scale:
            self._reduce()
            self._scale = scale
        self._held.append((query, key, lse))
        if sum(query.nbytes for query, _, _ in self._held) >= self._hold:
            self._reduce()
        return output

    def masses(self) -> Tensor:
        """The columns of masses, float32 [questions, layers, heads, columns], on the model's device."""
        self._reduce()
        further = torch.stack(self._further) if self._further else None
        return mean_masses(torch.cat(self._image), torch.cat(self._first), further, self._batch)

    def _reduce(self) -> None:
        if not self._held:
            return
        for block, sums in ((self._batch.image, self._image), (self._batch.first, self._first)):
            layers = [_cut(block, *layer) for layer in self._held]
            query, key, lse = (_stack(each) for each in zip(*layers, strict=True))
            sums.append(block_sums(query, key, lse, block, scale=self._scale))
        self._held = []


def _cut(block: Block, query: Tensor, key: Tensor, lse: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The queries, keys and logsumexp of a block."""
    return _take(query, block.rows), _take(key, block.columns), _take(lse.unsqueeze(-1), block.rows).squeeze(-1)


def _take(tensor: Tensor, places: slice | Tensor) -> Tensor:
    """Some tokens of [images, heads, length, width]: a slice of them, or each image's own, int64 [images, tokens]."""
    if isinstance(places, slice):
        return tensor[:, :, places]
    return tensor.gather(2, places[:, None, :, None].expand(-1, tensor.shape[1], -1, tensor.shape[-1]))


def _stack(tensors: tuple[Tensor, ...]) -> Tensor:
    return torch.stack(tensors) if len(tensors) > 1 else tensors[0][None]
