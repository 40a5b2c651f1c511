"""Prompts -> one batch: the questions about an image behind one copy of its prefix.

A causal model computes the same for the tokens up to the image's last one, whatever is asked. So a sequence holds this
prefix once and then each question with its own position ids; no question sees another. The first question rides with
the prefix, as in any causal sequence; the further ones follow from one common column on:

    prefix 0 | question 0.0 | padding | question 0.1 | question 0.2
    prefix 1 | question 1.0           | question 1.1 | padding

A batch in which each image has one question is an ordinary right-padded batch.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from extract.prompts.prompt import Prompt
from schemas.roles import IMAGE, PADDING, QUESTION, ROLES

SHARED, NOBODY = 0, -1  # owners of a column: the prefix, padding; question k has k + 1
LONGEST_SUFFIXES = 1024  # tokens of further questions behind one prefix; more are asked in a sequence of their own


class OnDevice:
    """A dataclass of tensors that moves as one."""

    def to(self, device: torch.device) -> Self:
        """The same on a device; what is no tensor stays as it is."""
        moved: dict[str, Any] = {}
        for field in fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            moved[field.name] = value.to(device) if isinstance(value, Tensor | OnDevice) else value
        return replace(self, **moved)  # type: ignore[type-var]


@dataclass(frozen=True)
class Strip(OnDevice):
    """Some rows of the attention matrices by some columns, and what is to be summed over them.

    Attributes:
        rows: the queries, the same of each image.
        columns: the keys, int64 [images, keys]; null: all keys.
        seen: bool [images, rows, keys], true where the query sees the key; null: it sees them all.
        on_role: float32 [images, keys, roles], 1 where the key has the role (`schemas.roles.ROLES`).
        groups: float32 [images, groups, rows], 1 where the query belongs to the group.
    """

    rows: slice
    columns: Tensor | None
    seen: Tensor | None
    on_role: Tensor
    groups: Tensor


@dataclass(frozen=True)
class Batch(OnDevice):
    """What the model and its observer need of a batch of images, each with its questions.

    Attributes:
        input_ids: int64 [images, length], with the image token repeated for each image token.
        position_ids: int64 [images, length], each token's place in the sequence of its own question.
        roles: int64 [images, length], codes of `schemas.roles`, `PADDING` included.
        image: rows of image tokens by text; one group, all image tokens.
        first: rows of each image's first question by text; two groups, all question tokens and the last one, and where
            the prefix holds question tokens, text between the tiles of an image, these as a third.
        further: rows of the further questions by all columns, two groups for each, its own question tokens and the last
            one; null where there is none.
        owner: int64 [questions], the row of `input_ids` that holds a question.
        slot: int64 [questions], 0 for the first question of an image, and so on.
        last: int64 [questions], the column of its last token.
        ends: int64 [columns], the columns of last tokens, each once.
        end: int64 [questions], where a question's own stands among them.
        text_tokens: float32 [questions], tokens of the question's own sequence that are not image tokens.
    """

    input_ids: Tensor
    position_ids: Tensor
    roles: Tensor
    image: Strip
    first: Strip
    further: Strip | None
    owner: Tensor
    slot: Tensor
    last: Tensor
    ends: Tensor
    end: Tensor
    text_tokens: Tensor


def prefix_length(prompt: Prompt) -> int:
    """How many tokens stand before what is asked: all up to the last one of the image."""
    return len(prompt.roles) - prompt.roles[::-1].index(IMAGE)


def share_prefix(prompts: Sequence[Prompt]) -> list[list[int]]:
    """Which prompts about one image can stand behind one prefix, as lists of their indices, in order.

    A prompt stands alone where its prefix is another one, or where the questions behind one prefix would exceed
    `LONGEST_SUFFIXES` tokens.
    """
    packs: list[list[int]] = []
    room: dict[tuple[int, ...], int] = {}  # prefix -> the pack that takes further questions
    suffixes: dict[int, int] = {}
    for index, prompt in enumerate(prompts):
        prefix = prefix_length(prompt)
        suffix = len(prompt.input_ids) - prefix
        key = tuple(prompt.input_ids[:prefix])
        pack = room.get(key)
        if pack is not None and suffixes[pack] + suffix <= LONGEST_SUFFIXES:
            packs[pack].append(index)
            suffixes[pack] += suffix
        else:
            room[key] = len(packs)
            suffixes[len(packs)] = 0
            packs.append([index])
    return packs


def pack(images: Sequence[Sequence[Prompt]]) -> Batch:
    """Lay out a batch.

    Args:
        images: for each image its prompts, one or more; those of one image differ behind their prefix only.
    """
    causal = max(len(prompts[0].input_ids) for prompts in images)  # columns before the further questions
    further = [sum(len(prompt.input_ids) - prefix_length(prompt) for prompt in prompts[1:]) for prompts in images]
    shape = (len(images), causal + max(further))
    ids = np.full(shape, images[0][0].input_ids[-1])  # any token but the image's may pad
    positions = np.zeros(shape, np.int64)
    roles = np.full(shape, PADDING)
    owner = np.full(shape, NOBODY)
    questions = []  # image, slot, last column, text tokens
    for image, prompts in enumerate(images):
        free = causal
        for slot, prompt in enumerate(prompts):
            prefix, length = prefix_length(prompt), len(prompt.input_ids)
            start, skip = (0, 0) if slot == 0 else (free, prefix)
            columns = slice(start, start + length - skip)
            ids[image, columns] = prompt.input_ids[skip:]
            positions[image, columns] = np.arange(skip, length)
            roles[image, columns] = prompt.roles[skip:]
            owner[image, columns] = slot + 1
            if slot == 0:
                owner[image, :prefix] = SHARED
            else:
                free = columns.stop
            questions.append((image, slot, columns.stop - 1, length - prompt.roles.count(IMAGE)))
    image_of, slot_of, last, text_tokens = (np.array(column) for column in zip(*questions, strict=True))
    ends, end = np.unique(last, return_inverse=True)
    shared = (owner == SHARED) & (roles == QUESTION)
    first = _question_groups(roles, owner, [0]) + ([shared] if shared.any() else [])
    return Batch(
        input_ids=torch.from_numpy(ids),
        position_ids=torch.from_numpy(positions),
        roles=torch.from_numpy(roles),
        image=_text_strip(roles[:, :causal], roles[:, :causal] == IMAGE, [roles == IMAGE]),
        first=_text_strip(roles[:, :causal], roles[:, :causal] == QUESTION, first),
        further=_further_strip(roles, owner, causal) if any(further) else None,
        owner=torch.from_numpy(image_of),
        slot=torch.from_numpy(slot_of),
        last=torch.from_numpy(last),
        ends=torch.from_numpy(ends),
        end=torch.from_numpy(end),
        text_tokens=torch.from_numpy(text_tokens).float(),
    )


def _question_groups(roles: np.ndarray, owner: np.ndarray, slots: Iterable[int]) -> list[np.ndarray]:
    """For each slot the columns of all of its question's tokens, and that of its last one; bool [images, length]."""
    groups = []
    column = np.arange(owner.shape[1])
    for slot in slots:
        own = owner == slot + 1
        last = np.where(own, column, -1).max(axis=1, keepdims=True)
        groups += [(own | (owner == SHARED)) & (roles == QUESTION), column == last]
    return groups


def _text_strip(roles: np.ndarray, rows: np.ndarray, groups: Sequence[np.ndarray]) -> Strip:
    """The rows from the first to the last one marked in any image, by the text that they can see."""
    marked = np.flatnonzero(rows.any(axis=0))
    span = slice(int(marked[0]), int(marked[-1]) + 1)
    text = (roles != IMAGE) & (roles != PADDING)
    text[:, span.stop :] = False
    number = text.sum(axis=1)
    columns = np.argsort(~text, axis=1, kind="stable")[:, : number.max()]  # text first, in order
    there = np.arange(number.max()) < number[:, None]
    seen = there[:, None] & (columns[:, None] <= np.arange(span.start, span.stop)[:, None])
    on_role = _one_hot(np.take_along_axis(roles, columns, axis=1)) * there[..., None]
    return Strip(
        rows=span,
        columns=torch.from_numpy(columns),
        seen=None if seen.all() else torch.from_numpy(seen),
        on_role=torch.from_numpy(on_role),
        groups=torch.from_numpy(np.stack([group[:, span] for group in groups], axis=1)).float(),
    )


def _further_strip(roles: np.ndarray, owner: np.ndarray, start: int) -> Strip:
    """The rows of all questions but the first of each image, by all columns."""
    own = owner[:, start:, None] == owner[:, None]
    later = np.arange(owner.shape[1]) > np.arange(start, owner.shape[1])[:, None]
    seen = (owner[:, None] == SHARED) | (own & ~later)  # a padding row sees something too, so that nothing is NaN
    groups = _question_groups(roles, owner, range(1, int(owner.max())))
    return Strip(
        rows=slice(start, owner.shape[1]),
        columns=None,
        seen=torch.from_numpy(seen),
        on_role=torch.from_numpy(_one_hot(roles)),
        groups=torch.from_numpy(np.stack([group[:, start:] for group in groups], axis=1)).float(),
    )


def _one_hot(roles: np.ndarray) -> np.ndarray:
    return (roles[..., None] == np.arange(len(ROLES))).astype(np.float32)
