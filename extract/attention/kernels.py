"""Attention that returns its logsumexp: a fused kernel if there is one, else a portable fallback.

The logsumexp of a query is the logarithm of its softmax denominator, so that any single attention weight is
`exp(scale * q.k - logsumexp)`: FlashAttention's own bookkeeping (Dao et al. 2022, arXiv:2205.14135, algorithm 1). The
fused operators are private to torch, so each is tried on a small problem with a known answer before it is trusted.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

CHUNK = 128  # queries whose scores the fallback holds at once


class Attend(Protocol):
    """Attention with its logsumexp."""

    def __call__(
        self, query: Tensor, key: Tensor, value: Tensor, scale: float, *, causal: bool = True
    ) -> tuple[Tensor, Tensor]:
        """Attention of one layer.

        Args:
            query: [batch, heads, queries, head_dim].
            key: [batch, kv_heads, keys, head_dim]; `value` too.
            causal: whether no query sees a later key; there are then as many keys as queries.

        Returns:
            Output like `query`, and the natural logsumexp of the scaled scores, float32 [batch, heads, queries].
        """


@dataclass(frozen=True)
class Kernel:
    """A way to compute attention and its logsumexp.

    Attributes:
        description: in words, for people.
        attend: see `Attend`. The output is bitwise that of torch's own attention if that picks the same kernel.
    """

    description: str
    attend: Attend


def _flash_cpu(
    query: Tensor, key: Tensor, value: Tensor, scale: float, *, causal: bool = True
) -> tuple[Tensor, Tensor]:
    operator = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    output, lse = operator(query, key, value, 0.0, causal, scale=scale)
    return output, lse


def _flash_cuda(
    query: Tensor, key: Tensor, value: Tensor, scale: float, *, causal: bool = True
) -> tuple[Tensor, Tensor]:
    operator = torch.ops.aten._scaled_dot_product_flash_attention
    output, lse, *_ = operator(query, key, value, 0.0, causal, False, scale=scale)
    return output, lse


def _efficient_cuda(
    query: Tensor, key: Tensor, value: Tensor, scale: float, *, causal: bool = True
) -> tuple[Tensor, Tensor]:
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key, value = (each.repeat_interleave(groups, dim=1) for each in (key, value))
    operator = torch.ops.aten._scaled_dot_product_efficient_attention
    output, lse, *_ = operator(query, key, value, None, True, 0.0, causal, scale=scale)
    return output, lse[..., : query.shape[2]]  # the operator pads it


def _portable(query: Tensor, key: Tensor, value: Tensor, scale: float, *, causal: bool = True) -> tuple[Tensor, Tensor]:
    gqa = query.shape[1] != key.shape[1]
    output = scaled_dot_product_attention(query, key, value, is_causal=causal, scale=scale, enable_gqa=gqa)
    return output, logsumexp(query, key, scale, causal=causal)


def logsumexp(query: Tensor, key: Tensor, scale: float, *, causal: bool) -> Tensor:
    """The logsumexp of attention, float32 [batch, heads, queries], computed from `CHUNK` queries at a time."""
    heads, length = query.shape[1:3]
    key = key.float().transpose(-1, -2).repeat_interleave(heads // key.shape[1], dim=1)
    position = torch.arange(key.shape[-1], device=query.device)
    chunks = []
    for start in range(0, length, CHUNK):
        rows = slice(start, start + CHUNK)
        scores = query[:, :, rows].float() @ key * scale
        if causal:
            scores.masked_fill_(position[rows, None] < position, -torch.inf)
        chunks.append(scores.logsumexp(dim=-1))
    return torch.cat(chunks, dim=-1)


FLASH_CPU = Kernel("flash kernel of the CPU, observed by its own logsumexp", _flash_cpu)
FLASH_CUDA = Kernel("flash kernel of CUDA, observed by its own logsumexp", _flash_cuda)
EFFICIENT_CUDA = Kernel("memory-efficient kernel of CUDA, observed by its own logsumexp", _efficient_cuda)
PORTABLE = Kernel("sdpa, observed by chunked float32 softmax", _portable)
FUSED = {"cpu": (FLASH_CPU,), "cuda": (FLASH_CUDA, EFFICIENT_CUDA)}


def choose_kernel(device: torch.device, dtype: torch.dtype, *, heads: int, kv_heads: int, head_dim: int) -> Kernel:
    """The first fused kernel of the device that works for this dtype and shape, else the portable one."""
    random = torch.Generator().manual_seed(0)
    shapes = [(2, number, 70, head_dim) for number in (heads, kv_heads, kv_heads)]
    query, key, value = (torch.randn(shape, generator=random).to(device, dtype) for shape in shapes)
    scale = head_dim**-0.5
    for kernel in FUSED.get(device.type, ()):
        if all(_works(kernel, query, key, value, scale, causal=causal) for causal in (True, False)):
            return kernel
    return PORTABLE


def _works(kernel: Kernel, query: Tensor, key: Tensor, value: Tensor, scale: float, *, causal: bool) -> bool:
    """Whether the operator is there, takes these inputs, and agrees with the portable way."""
    expected_output, expected_lse = _portable(query, key, value, scale, causal=causal)
    try:
        with torch.inference_mode():
            output, lse = kernel.attend(query, key, value, scale, causal=causal)
    except (RuntimeError, AttributeError, TypeError, ValueError):  # private operators may go, or change
        return False
    if output.shape != expected_output.shape or lse.shape != expected_lse.shape or lse.dtype != torch.float32:
        return False
    half = query.dtype != torch.float32
    same_output = torch.allclose(output.float(), expected_output.float(), rtol=0, atol=0.05 if half else 1e-4)
    return same_output and torch.allclose(lse, expected_lse, rtol=0, atol=1e-3 if half else 1e-4)
