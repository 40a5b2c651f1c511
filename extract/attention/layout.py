"""Prompts -> where each of their tokens stands in a batch: the questions about an image after one copy of its prefix.

A causal model computes the same for the tokens up to the last one of the image, whatever the question. So a sequence
has this prefix once and then each question with its own position ids; no question sees another. The first question
follows the prefix, as in any causal sequence; the further ones follow from one common column on:

    prefix 0 | question 0.0 | padding | question 0.1 | question 0.2
    prefix 1 | question 1.0           | question 1.1 | padding

A batch in which each image has one question is an ordinary right-padded batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from extract.prompts.prompt_builder import Prompt
from schemas.roles import IMAGE, PADDING

SHARED, UNOWNED = 0, -1  # owners of a column: the prefix, padding; the question of slot k has k + 1
LONGEST_SUFFIXES = 1024  # tokens of further questions after one prefix; more are asked in a sequence of their own


@dataclass(frozen=True)
class Layout:
    """Where the tokens of a batch stand.

    Attributes:
        input_ids: int64 [images, length], with the image token repeated for each image token.
        positions: int64 [images, length], each token's place in the sequence of its own question.
        roles: int64 [images, length], codes of `schemas.roles`, `PADDING` included.
        owner: int64 [images, length], whose token it is: `SHARED`, `UNOWNED`, or 1 + the slot of a question.
        causal: number of columns before the further questions.
        image: int64 [questions], the row of a question.
        slot: int64 [questions], 0 for the first question of an image, 1 for the second, and so on.
        last: int64 [questions], the column of a question's last token.
        read: number of columns that the language model runs over: all, or where the image is read by cross-attention
            those of text; the image's keys stand after them then, those of tiles that are padding included.
    """

    input_ids: np.ndarray
    positions: np.ndarray
    roles: np.ndarray
    owner: np.ndarray
    causal: int
    image: np.ndarray
    slot: np.ndarray
    last: np.ndarray
    read: int

    def seen(self, rows: slice = slice(None)) -> np.ndarray:
        """Which keys some queries see, bool [images, rows, length]. A padding row sees itself, so that nothing is NaN.

        A token sees the prefix and its own question, up to itself.
        """
        column, owner = np.arange(self.owner.shape[1]), self.owner.astype(np.int16)
        found: np.ndarray = owner[:, rows, None] == owner[:, None]  # changed in place: it is as large as attention is
        found |= owner[:, None] == SHARED
        found &= column <= column[rows, None]
        return found


def prefix_length(prompt: Prompt) -> int:
    """How many tokens stand before the question: all up to the last one of the image."""
    return len(prompt.roles) - prompt.roles[::-1].index(IMAGE)


def share_prefix(prompts: Sequence[Prompt]) -> list[list[int]]:
    """Which prompts about one image can stand after one prefix, as lists of their indices, in order.

    A prompt stands alone if its prefix is another one, or if the questions after one prefix would exceed
    `LONGEST_SUFFIXES` tokens.
    """
    packs: list[list[int]] = []
    open_packs: dict[tuple[int, ...], int] = {}  # prefix -> the pack that takes further questions
    suffixes: dict[int, int] = {}
    for index, prompt in enumerate(prompts):
        prefix = prefix_length(prompt)
        suffix = len(prompt.input_ids) - prefix
        key = tuple(prompt.input_ids[:prefix])
        pack = open_packs.get(key)
        if pack is not None and suffixes[pack] + suffix <= LONGEST_SUFFIXES:
            packs[pack].append(index)
            suffixes[pack] += suffix
        else:
            open_packs[key] = len(packs)
            suffixes[len(packs)] = 0
            packs.append([index])
    return packs


def lay_out(images: Sequence[Sequence[Prompt]]) -> Layout:
    """Place the tokens of a batch.

    Args:
        images: for each image its prompts, one or more; those of one image differ after their prefix only.
    """
    if images[0][0].crossing:
        return _lay_out_crossing([prompt for (prompt,) in images])
    causal = max(len(prompts[0].input_ids) for prompts in images)
    further = [sum(len(prompt.input_ids) - prefix_length(prompt) for prompt in prompts[1:]) for prompts in images]
    shape = (len(images), causal + max(further))
    ids = np.full(shape, images[0][0].input_ids[-1])  # any token but the image's may pad
    positions = np.zeros(shape, np.int64)
    roles = np.full(shape, PADDING)
    owner = np.full(shape, UNOWNED)
    questions = []  # image, slot, last column
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
            questions.append((image, slot, columns.stop - 1))
    rows, slots, last = (np.array(each) for each in zip(*questions, strict=True))
    return Layout(ids, positions, roles, owner, causal, rows, slots, last, read=shape[1])


def _lay_out_crossing(prompts: Sequence[Prompt]) -> Layout:
    """Place prompts whose image is read by cross-attention: their text, padding, then the keys of the image."""
    texts = [prompt.read_ids for prompt in prompts]
    read = max(map(len, texts))
    shape = (len(prompts), read + prompts[0].crossing)
    ids = np.full(shape, prompts[0].input_ids[-1])
    positions = np.zeros(shape, np.int64)
    roles = np.full(shape, PADDING)
    owner = np.full(shape, UNOWNED)
    for image, (prompt, text) in enumerate(zip(prompts, texts, strict=True)):
        number, keys = len(text), slice(read, read + prompt.roles.count(IMAGE))
        ids[image, :number], positions[image, :number] = text, np.arange(number)
        roles[image, :number] = [role for role in prompt.roles if role != IMAGE]
        roles[image, keys] = IMAGE
        owner[image, :number], owner[image, keys] = 1, SHARED
    rows, last = np.arange(len(prompts)), np.array([len(text) - 1 for text in texts])
    return Layout(ids, positions, roles, owner, shape[1], rows, np.zeros_like(rows), last, read)
