"""Attention reduced: from queries and keys to masses, from masses to the 17 columns.

A mass is the attention of one query summed over the keys of one role, 0 to 1. Masses are summed over groups of
queries, layer by layer; means are taken at the end, over all layers at once.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from extract.attention.blocks import Block
from extract.attention.packing import Batch
from schemas.roles import IMAGE, ROLES

SCRATCH = 2**28  # bytes of float32 scores that are held at once


def attention_scores(query: Tensor, key: Tensor) -> Tensor:
    """Products of queries and keys, summed and returned in float32 whatever their dtype.

    Args:
        query: [..., heads, queries, head_dim].
        key: [..., kv_heads, keys, head_dim]; heads is a multiple of kv_heads (grouped-query attention).

    Returns:
        float32 [..., heads, queries, keys], a fresh tensor.
    """
    *lead, heads, rows, width = query.shape
    kv_heads, keys = key.shape[-3:-1]
    key = key.flatten(0, -3).transpose(-1, -2)
    query = query.reshape(len(key), heads // kv_heads * rows, width)  # each may be 0
    if query.dtype == torch.float32:
        products = torch.bmm(query, key)
    elif query.is_cuda:
        products = torch.bmm(query, key, out_dtype=torch.float32)
    else:
        products = torch.bmm(query.float(), key.float())
    return products.reshape(*lead, heads, rows, keys)


def block_sums(query: Tensor, key: Tensor, lse: Tensor, block: Block, *, scale: float) -> Tensor:
    """Attention masses of a block, summed over each group of its queries; holds no more than `SCRATCH` bytes of scores.

    A weight is `exp(scale * q.k - lse)`, so only the block is computed, not the rows that it is cut from.

    Args:
        query: [layers, images, heads, rows, head_dim], the block's rows.
        key: [layers, images, kv_heads, keys, head_dim], the block's columns.
        lse: float32 [layers, images, heads, rows], logsumexp of the scaled scores of each whole row.
        scale: factor of the scores, usually head_dim ** -0.5.

    Returns:
        float32 [layers, images, heads, groups, roles].
    """
    layers, images, heads, rows, _ = query.shape
    one_row = 4 * images * heads * key.shape[3]
    some_rows = max(1, SCRATCH // max(1, one_row))
    some_layers = max(1, SCRATCH // max(1, one_row * rows))
    sums = query.new_zeros((layers, images, heads, block.groups.shape[1], len(ROLES)), dtype=torch.float32)
    for first in range(0, layers, some_layers):
        at = slice(first, first + some_layers)
        for start in range(0, rows, some_rows):
            part = slice(start, start + some_rows)
            sums[at] += _part_sums(query[at, :, :, part], key[at], lse[at, :, :, part], block, part, scale)
    if not block.whole:
        sums[..., IMAGE] = (block.groups.sum(dim=-1)[:, None] - sums.sum(dim=-1)).clamp_min_(0)
    return sums


def _part_sums(query: Tensor, key: Tensor, lse: Tensor, block: Block, rows: slice, scale: float) -> Tensor:
    """`block_sums` of some of the rows."""
    weights = torch.add(-lse.unsqueeze(-1), attention_scores(query, key), alpha=scale)
    if block.seen is not None:
        weights.masked_fill_(~block.seen[:, None, rows], -torch.inf)
    return block.groups[:, None, :, rows] @ weights.exp_() @ block.on_role[:, None]


def softmax_attention(
    query: Tensor, key: Tensor, value: Tensor, block: Block, *, scale: float, softcap: float | None = None
) -> tuple[Tensor, Tensor]:
    """Attention of some rows by float32 softmax over all columns, and its masses.

    Args:
        query: [images, heads, rows, head_dim], the block's rows.
        key: [images, kv_heads, length, head_dim], all columns; `value` too.
        block: one with `seen`.
        softcap: the limit that scaled scores approach, `softcap * tanh(score / softcap)`; None: there is none.

    Returns:
        Output like `query`, and float32 [images, heads, groups, roles], masses summed over each group.
    """
    assert block.seen is not None
    outputs = []
    sums = query.new_zeros((), dtype=torch.float32)
    for some, weights, output in softmax_pieces(query, key, value, block.seen, scale=scale, softcap=softcap):
        outputs.append(output)
        sums = sums + block.groups[:, None, :, some] @ (weights @ block.on_role[:, None])
    return torch.cat(outputs, dim=2), sums


def softmax_pieces(
    query: Tensor, key: Tensor, value: Tensor, seen: Tensor, *, scale: float, softcap: float | None = None
) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Attention by float32 softmax, in pieces of rows that hold no more than `SCRATCH` bytes of scores.

    Args:
        seen: bool [images, rows, length], True if the query sees the key.
        query, key, value, softcap: see `softmax_attention`.

    Yields:
        Which rows, their weights float32 [images, heads, rows, length], and their output, like `query`.
    """
    images, heads = query.shape[:2]
    kv_heads = key.shape[1]
    for some in pieces(query, key):
        weights = softmax_weights(query[:, :, some], key, seen[:, some], scale=scale, softcap=softcap)
        shared = weights.to(value.dtype).unflatten(1, (kv_heads, heads // kv_heads)).flatten(2, 3)
        yield some, weights, (shared @ value).reshape(images, heads, -1, value.shape[-1])


def pieces(query: Tensor, key: Tensor) -> Iterator[slice]:
    """Rows of queries whose scores together take no more than `SCRATCH` bytes; shapes as in `softmax_attention`."""
    images, heads, rows, _ = query.shape
    step = max(1, SCRATCH // (4 * images * heads * key.shape[2]))
    for start in range(0, rows, step):
        yield slice(start, start + step)


def softmax_weights(query: Tensor, key: Tensor, seen: Tensor, *, scale: float, softcap: float | None = None) -> Tensor:
    """Attention of some rows by float32 softmax, [images, heads, rows, length]; see `softmax_pieces`."""
    scores = capped(attention_scores(query, key).mul_(scale), softcap)
    return torch.where(seen[:, None], scores, -torch.inf).softmax(dim=-1)  # faster than to fill with a mask


def capped(scores: Tensor, softcap: float | None) -> Tensor:
    """Scaled scores with their limit `softcap`, see `softmax_attention`; in place."""
    return scores if softcap is None else scores.div_(softcap).tanh_().mul_(softcap)


def mean_masses(image: Tensor, first: Tensor, further: Tensor | None, batch: Batch) -> Tensor:
    """The columns of each question: means over queries, from sums over queries.

    Args:
        image: float32 [layers, images, heads, 1, roles], summed over all image tokens.
        first: float32 [layers, images, heads, 2 or 3, roles], the groups of `Batch.first`.
        further: float32 [layers, images, heads, groups, roles], those of `Batch.further`; None if there is none.

    Returns:
        float32 [questions, layers, heads, columns], columns as in `schemas.columns.FLOW_NAMES`.
    """
    counts = batch.first.groups.sum(dim=-1)
    questions, shared = first.split([2, first.shape[3] - 2], dim=3)
    counts, shared_counts = counts.split([2, counts.shape[1] - 2], dim=1)
    if further is not None and batch.further is not None:
        further, further_counts = further.clone(), batch.further.groups.sum(dim=-1)
        further[:, :, :, ::2] += shared.sum(dim=3, keepdim=True)
        further_counts[:, ::2] += shared_counts.sum(dim=1, keepdim=True)
        questions = torch.cat([questions, further], dim=3)
        counts = torch.cat([counts, further_counts], dim=-1)
    questions = questions.unflatten(3, (-1, 2)).movedim(3, 2)[:, batch.owner, batch.slot]
    counts = counts.unflatten(-1, (-1, 2))[batch.owner, batch.slot]
    # A token before the image cannot see it: the image's mass from all text is that from the question
    t2v = questions[..., 0, IMAGE] / batch.text_tokens[:, None]
    of_question, of_last = (questions / counts[:, None, :, None]).unbind(dim=-2)
    of_image = (image.squeeze(3) / batch.image.groups.sum(dim=-1)[:, None])[:, batch.owner]
    v2t = _on_text(of_image)
    crossings = torch.stack([t2v, v2t], dim=-1)
    return torch.cat([crossings, of_image, of_question, of_last], dim=-1).transpose(0, 1).contiguous()


def mean_masses_of_sequences(sums: Tensor, counts: Tensor) -> Tensor:
    """The columns of questions in sequences of their own, in which any token may see any other.

    Args:
        sums: float32 [layers, questions, heads, 4, roles], summed over image tokens, question tokens, the last token,
            and all text tokens.
        counts: float32 [questions, 4], how many tokens these are.

    Returns:
        float32 [questions, layers, heads, columns], columns as in `schemas.columns.FLOW_NAMES`.
    """
    of_image, of_question, of_last, of_text = (sums / counts[:, None, :, None]).unbind(dim=3)
    crossings = torch.stack([of_text[..., IMAGE], _on_text(of_image)], dim=-1)
    return torch.cat([crossings, of_image, of_question, of_last], dim=-1).transpose(0, 1).contiguous()


def _on_text(masses: Tensor) -> Tensor:
    """Masses on all roles but the image, summed: [..., roles] -> [...]. On CUDA, a list of them would be waited for."""
    return torch.cat([masses[..., :IMAGE], masses[..., IMAGE + 1 :]], dim=-1).sum(dim=-1)
