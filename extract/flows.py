"""The one place that reduces attention: from queries and keys to masses, from masses to the 17 flow columns.

A mass is the attention of one query summed over the keys of one role, 0 to 1. Masses are summed over groups of
queries as each layer runs; means are taken at the end, over all layers at once.
"""

import torch
from torch import Tensor

from schemas.columns import FLOW_NAMES, PARTITIONS
from schemas.roles import IMAGE, PADDING, QUESTION, ROLES, TEXT

GROUPS = ("t", *PARTITIONS)  # the query groups of `role_sums`: text, image (v), question (q), last token (a)
CHUNK = 128  # queries whose scores are held at once


def query_groups(roles: Tensor) -> Tensor:
    """Which queries belong to which group.

    Args:
        roles: int [batch, sequence], codes of `schemas.roles`, `PADDING` where there is no token.

    Returns:
        float32 [batch, groups, sequence], 1 where the query belongs to the group, groups as in `GROUPS`.
    """
    prompt = roles != PADDING
    position = torch.arange(roles.shape[1], device=roles.device)
    last = torch.where(prompt, position, -1).amax(dim=1, keepdim=True)
    text, image, question = prompt & (roles != IMAGE), roles == IMAGE, roles == QUESTION
    return torch.stack([text, image, question, position == last], dim=1).float()


def role_sums(query: Tensor, key: Tensor, roles: Tensor, *, scale: float, mask: Tensor | None) -> Tensor:
    """Attention masses on each role, summed over each group of queries, in float32.

    Softmax is taken over `CHUNK` queries at a time, so no sequence x sequence matrix is ever held.

    Args:
        query: [batch, heads, sequence, head_dim], any float dtype.
        key: [batch, kv_heads, sequence, head_dim]; heads is a multiple of kv_heads (grouped-query attention).
        roles: int [batch, sequence], as in `query_groups`.
        scale: factor of the scores, usually head_dim ** -0.5.
        mask: bool [batch, 1, sequence, sequence], true where a query sees a key; or None for causal attention.

    Returns:
        float32 [batch, heads, groups, roles], groups as in `GROUPS`, roles as in `schemas.roles.ROLES`.
    """
    batch, heads, length, _ = query.shape
    kv_heads = key.shape[1]
    groups = query_groups(roles)
    on_role = torch.stack([roles == code for code in range(len(ROLES))], dim=-1).float()
    key = key.float().transpose(-1, -2).unsqueeze(2)
    position = torch.arange(length, device=query.device)
    sums = query.new_zeros((batch, heads, len(GROUPS), len(ROLES)), dtype=torch.float32)
    for start in range(0, length, CHUNK):
        rows = slice(start, min(start + CHUNK, length))
        some = query[:, :, rows].float() * scale
        scores = some.unflatten(1, (kv_heads, heads // kv_heads)) @ key
        seen = mask[:, :, None, rows] if mask is not None else position[rows, None] >= position
        scores = scores.masked_fill(~seen, torch.finfo(torch.float32).min)
        masses = scores.softmax(dim=-1).flatten(1, 2) @ on_role.unsqueeze(1)
        sums += groups[:, None, :, rows] @ masses
    return sums


def flows_from_sums(sums: Tensor, roles: Tensor) -> Tensor:
    """The flow columns: means over queries, from sums over queries.

    Args:
        sums: float32 [layers, batch, heads, groups, roles], one `role_sums` for each layer.
        roles: int [batch, sequence]; each sequence has text, image and question tokens.

    Returns:
        float32 [batch, layers, heads, flows], flows as in `schemas.columns.FLOW_NAMES`.
    """
    counts = query_groups(roles).sum(dim=-1)
    means = sums / counts[None, :, None, :, None]
    text, image = (means[..., GROUPS.index(group), :] for group in ("t", "v"))
    crossings = torch.stack([text[..., IMAGE], image[..., TEXT].sum(dim=-1)], dim=-1)
    partitions = means[..., 1:, :].flatten(-2)
    return torch.cat([crossings, partitions], dim=-1).transpose(0, 1).contiguous()


def reference_flows(attention: Tensor, roles: Tensor) -> dict[str, Tensor]:
    """The definitions, word for word; slow, for tests and readers.

    Args:
        attention: float64 [heads, sequence, sequence], rows are queries, each sums to 1.
        roles: int [sequence].

    Returns:
        float64 [heads] for each flow column.
    """
    keys = {role.short: roles == code for code, role in enumerate(ROLES)}
    queries = {"v": roles == IMAGE, "q": roles == QUESTION, "a": torch.arange(len(roles)) == len(roles) - 1}
    text = roles != IMAGE

    def flow(rows: Tensor, columns: Tensor) -> Tensor:
        return attention[:, rows][:, :, columns].sum(dim=-1).mean(dim=-1)

    flows = {"t2v": flow(text, ~text), "v2t": flow(~text, text)}
    flows |= {f"{group}2{role}": flow(queries[group], keys[role]) for group in queries for role in keys}
    return {name: flows[name] for name in FLOW_NAMES}
