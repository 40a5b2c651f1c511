"""Prompts -> one batch: tensors for the model, and the blocks of attention that are observed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from extract.attention.blocks import (
    Block,
    Ends,
    OnDevice,
    find_ends,
    first_block,
    further_block,
    image_block,
    question_tokens,
)
from extract.attention.layout import Layout, lay_out
from extract.prompts.prompt_builder import Prompt
from schemas.roles import IMAGE


@dataclass(frozen=True)
class Batch(OnDevice):
    """What the model and its observer need of a batch of images, each with its questions.

    Attributes:
        input_ids: int64 [images, length], with the image token repeated for each image token.
        position_ids: int64 [images, length], each token's place in the sequence of its own question.
        roles: int64 [images, length], codes of `schemas.roles`, `PADDING` included.
        image: see `extract.attention.blocks.image_block`.
        first: see `extract.attention.blocks.first_block`.
        further: see `extract.attention.blocks.further_block`; None if each image has one question.
        layout: where the tokens stand, on the CPU.
        ends: where the questions end.
        question: bool [questions, length], the columns of a question's own question tokens.
        owner: int64 [questions], the row of `input_ids` that holds a question.
        slot: int64 [questions], 0 for the first question of an image, 1 for the second, and so on.
        last: int64 [questions], the column of its last token.
        text_tokens: float32 [questions], tokens of the question's own sequence that are not image tokens.
        given: int64 [questions, tokens], the tokens of given texts, -1 after them; None: there are none.
    """

    input_ids: Tensor
    position_ids: Tensor
    roles: Tensor
    image: Block
    first: Block
    further: Block | None
    layout: Layout
    ends: Ends
    question: Tensor
    owner: Tensor
    slot: Tensor
    last: Tensor
    text_tokens: Tensor
    given: Tensor | None


def pack(images: Sequence[Sequence[Prompt]]) -> Batch:
    """Lay out a batch.

    Args:
        images: for each image its prompts, one or more; those of one image differ after their prefix only.
    """
    layout = lay_out(images)
    given = [torch.tensor(prompt.given) for prompts in images for prompt in prompts if prompt.given is not None]
    text_tokens = [len(prompt.roles) - prompt.roles.count(IMAGE) for prompts in images for prompt in prompts]
    return Batch(
        input_ids=torch.from_numpy(layout.input_ids),
        position_ids=torch.from_numpy(layout.positions),
        roles=torch.from_numpy(layout.roles),
        image=image_block(layout),
        first=first_block(layout),
        further=further_block(layout) if layout.slot.any() else None,
        layout=layout,
        ends=find_ends(layout),
        question=question_tokens(layout),
        owner=torch.from_numpy(layout.image),
        slot=torch.from_numpy(layout.slot),
        last=torch.from_numpy(layout.last),
        text_tokens=torch.from_numpy(np.array(text_tokens)).float(),
        given=torch.nn.utils.rnn.pad_sequence(given, batch_first=True, padding_value=-1) if given else None,
    )
