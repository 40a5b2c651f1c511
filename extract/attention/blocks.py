"""Blocks of the attention matrices: which queries by which keys are observed, and what is summed over them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from extract.attention.layout import SHARED, Layout
from schemas.roles import IMAGE, PADDING, QUESTION, ROLES


class OnDevice:
    """A dataclass of tensors that moves as one."""

    def to(self, device: torch.device, *, non_blocking: bool = False) -> Self:
        """The same on a device; fields that are not tensors stay as they are."""
        moved: dict[str, Any] = {}
        for field in fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            is_tensor = isinstance(value, Tensor | OnDevice)
            moved[field.name] = value.to(device, non_blocking=non_blocking) if is_tensor else value
        return replace(self, **moved)  # type: ignore[type-var]


@dataclass(frozen=True)
class Block(OnDevice):
    """Some rows of the attention matrices by some columns, and what is summed over them.

    Attributes:
        rows: the queries, the same of each image; or int64 [images, rows], each image's own.
        columns: the keys, the same of each image; or int64 [images, keys].
        seen: bool [images, rows, keys], True if the query sees the key; None: each query sees each key.
        on_role: float32 [images, keys, roles], 1 if the key has the role (`schemas.roles.ROLES`).
        groups: float32 [images, groups, rows], 1 if the query belongs to the group.
        whole: True if `columns` holds every key that the queries see. False if the image's keys are left out; the
            image's mass is then 1 minus the others.
    """

    rows: slice | Tensor
    columns: slice | Tensor
    seen: Tensor | None
    on_role: Tensor
    groups: Tensor
    whole: bool = True


def image_block(layout: Layout) -> Block:
    """Rows of image tokens by the text that they see; one group, all image tokens.

    The rows are those from the first to the last image token of any image.
    """
    roles = layout.roles
    marked = np.flatnonzero((roles == IMAGE).any(axis=0))
    rows = slice(int(marked[0]), int(marked[-1]) + 1)
    text = (roles != IMAGE) & (roles != PADDING)
    text[:, rows.stop :] = False
    columns, there = _marked_first(text)
    seen = there[:, None] & (columns[:, None] <= np.arange(rows.start, rows.stop)[:, None])
    on_role = one_hot(np.take_along_axis(roles, columns, axis=1)) * there[..., None]
    return Block(
        rows=rows,
        columns=torch.from_numpy(columns),
        seen=None if seen.all() else torch.from_numpy(seen),
        on_role=torch.from_numpy(on_role),
        groups=_groups([roles == IMAGE], rows),
        whole=False,
    )


def first_block(layout: Layout) -> Block:
    """Rows of the question tokens of each image's first question by all columns before the further questions.

    Two groups, all question tokens and the last one. If the prefix holds question tokens (text between the tiles of an
    image), these are a third.
    """
    roles, owner = layout.roles[:, : layout.causal], layout.owner[:, : layout.causal]
    marked = roles == QUESTION
    rows, there = _marked_first(marked)
    shared = (owner == SHARED) & marked
    masks = _question_masks(roles, owner, [0]) + ([shared] if shared.any() else [])
    groups = np.stack([np.take_along_axis(mask, rows, axis=1) & there for mask in masks], axis=1)
    return Block(
        rows=torch.from_numpy(rows),
        columns=slice(0, layout.causal),
        seen=torch.from_numpy(there[..., None] & (np.arange(layout.causal) <= rows[..., None])),
        on_role=torch.from_numpy(one_hot(roles)),
        groups=torch.from_numpy(groups).float(),
    )


def further_block(layout: Layout) -> Block:
    """Rows of all questions but the first of each image, by all columns.

    Two groups for each question, its own question tokens and the last one.
    """
    length = layout.owner.shape[1]
    rows = slice(layout.causal, length)
    slots = range(1, int(layout.owner.max()))
    return Block(
        rows=rows,
        columns=slice(0, length),
        seen=torch.from_numpy(layout.seen(rows)),
        on_role=torch.from_numpy(one_hot(layout.roles)),
        groups=_groups(_question_masks(layout.roles, layout.owner, slots), rows),
    )


@dataclass(frozen=True)
class Queries(OnDevice):
    """Some queries of each image, and how much each of them counts for each question.

    Attributes:
        rows: int64 [images, queries], their columns in the batch.
        seen: bool [images, queries, length], True if the query sees the key.
        counts: float32 [images, slots, queries]; those of a question add up to 1.
    """

    rows: Tensor
    seen: Tensor
    counts: Tensor


def last_queries(layout: Layout) -> Queries:
    """The last token of each question."""
    ends = find_ends(layout)
    images, slots = ends.rows.shape
    return Queries(ends.rows, ends.seen, torch.eye(slots).expand(images, slots, slots))


def question_queries(layout: Layout) -> Queries:
    """All question tokens of each question, those included that it shares with others (between tiles of an image)."""
    slots = range(int(layout.slot.max()) + 1)
    masks = np.stack(_question_masks(layout.roles, layout.owner, slots)[::2], axis=1)  # [images, slots, length]
    rows, _ = _marked_first(np.asarray(masks.any(axis=1)))
    counts = np.take_along_axis(masks, rows[:, None], axis=2)  # none where an image has fewer
    seen = np.take_along_axis(layout.seen(), rows[..., None], axis=1)
    total = np.maximum(1, counts.sum(axis=2, keepdims=True))
    return Queries(torch.from_numpy(rows), torch.from_numpy(seen), torch.from_numpy(counts / total).float())


@dataclass(frozen=True)
class Ends(OnDevice):
    """The last token of each question, and what it sees.

    Attributes:
        rows: int64 [images, slots], its column; of an image that has fewer questions, 0 for those it lacks.
        seen: bool [images, slots, length], True if it sees the key.
        on_role: float32 [images, length, roles], 1 if the key has the role (`schemas.roles.ROLES`).
    """

    rows: Tensor
    seen: Tensor
    on_role: Tensor


def find_ends(layout: Layout) -> Ends:
    """Where the questions of a batch end."""
    rows = np.zeros((len(layout.roles), int(layout.slot.max()) + 1), np.int64)
    rows[layout.image, layout.slot] = layout.last
    image = np.arange(len(rows))[:, None]
    column = np.arange(layout.owner.shape[1])
    owner = layout.owner[:, None]
    own = (owner == layout.owner[image, rows][..., None]) | (owner == SHARED)
    return Ends(
        rows=torch.from_numpy(rows),
        seen=torch.from_numpy(own & (column <= rows[..., None])),
        on_role=torch.from_numpy(one_hot(layout.roles)),
    )


def question_tokens(layout: Layout) -> Tensor:
    """Which columns hold question tokens of each question's own sequence; bool [questions, length]."""
    masks = _question_masks(layout.roles, layout.owner, range(int(layout.slot.max()) + 1))[::2]
    return torch.from_numpy(np.stack(masks)[layout.slot, layout.image])


def _marked_first(marked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The marked columns of each image, in order, int64 [images, most]; bool of that shape: which are there."""
    number = marked.sum(axis=1)
    columns = np.argsort(~marked, axis=1, kind="stable")[:, : number.max()]
    return columns, np.arange(number.max()) < number[:, None]


def _question_masks(roles: np.ndarray, owner: np.ndarray, slots: Iterable[int]) -> list[np.ndarray]:
    """For each slot the columns of all of its question's tokens, and that of its last one; bool [images, length]."""
    masks = []
    column = np.arange(owner.shape[1])
    for slot in slots:
        own = owner == slot + 1
        last = np.where(own, column, -1).max(axis=1, keepdims=True)
        masks += [(own | (owner == SHARED)) & (roles == QUESTION), column == last]
    return masks


def _groups(masks: Sequence[np.ndarray], rows: slice) -> Tensor:
    """Masks [images, length] of the queries in each group -> float32 [images, groups, rows]."""
    return torch.from_numpy(np.stack([mask[:, rows] for mask in masks], axis=1)).float()


def one_hot(roles: np.ndarray) -> np.ndarray:
    """Codes of roles [...] -> float32 [..., roles]; padding has no role."""
    return (roles[..., None] == np.arange(len(ROLES))).astype(np.float32)
