"""Oracle: each question read back out of the batch, by columns worked out the slow way (tests/layouts.py)."""

import pytest
import torch

from extract.attention import packing
from extract.attention.packing import pack, share_prefix
from extract.prompts.prompt import Prompt
from schemas.roles import IMAGE, QUESTION
from tests.support.prompts import columns, image_first, prompt, tiles

BATCHES = {
    "one": [[prompt(9)]],
    "two on one image": [[prompt(9), prompt(5, seed=1)]],
    "five": [[prompt(9 + number, seed=number) for number in range(5)]],
    "uneven": [[prompt(9), prompt(5)], [prompt(3)], [prompt(4), prompt(6), prompt(1)]],
    "prefixes of several lengths": [
        [prompt(9), prompt(5)],
        [prompt(3, image=31)],
        [prompt(4, image=7), prompt(8, image=7)],
    ],
    "tiles": [[tiles()], [prompt(9)]],
    "questions on tiles": [[tiles(), tiles(1), tiles(2)], [prompt(9), prompt(4)]],
    "image first": [[image_first(9), image_first(5, 1)], [image_first(7)]],
}


@pytest.fixture(params=BATCHES.values(), ids=BATCHES.keys())
def images(request) -> list[list[Prompt]]:
    return request.param


def test_each_question_reads_as_if_alone(images):
    batch = pack(images)
    prompts = [each for group in images for each in group]
    for number, (each, (row, own)) in enumerate(zip(prompts, columns(images), strict=True)):
        assert batch.input_ids[row, own].tolist() == each.input_ids
        assert batch.position_ids[row, own].tolist() == list(range(len(own)))
        assert batch.owner[number] == row
        assert batch.last[number] == own[-1]
        assert batch.text_tokens[number] == len(each.roles) - each.roles.count(IMAGE)
        earlier = sum(1 for owner in batch.owner[:number] if owner == row)
        assert batch.slot[number] == earlier
    assert (batch.input_ids == 999).sum() == sum(group[0].roles.count(IMAGE) for group in images)


def test_each_group_holds_the_tokens_of_its_question(images):
    batch = pack(images)
    prompts = [each for group in images for each in group]
    for each, (row, own), slot in zip(prompts, columns(images), batch.slot.tolist(), strict=True):
        strip, group = (batch.first, 0) if slot == 0 else (batch.further, 2 * (slot - 1))
        questions, last = strip.groups[row, group : group + 2]
        of_question = [column for column, role in zip(own, each.roles, strict=True) if role == QUESTION]
        if slot:
            of_question = [column for column in of_question if column >= strip.rows.start]
        elif len(strip.groups[row]) == 3:
            prefix = own[: max(place for place, role in enumerate(each.roles) if role == IMAGE)]
            shared = (strip.groups[row, 2].nonzero().flatten() + strip.rows.start).tolist()
            assert shared == [column for column in of_question if column in prefix]
        assert (questions.nonzero().flatten() + strip.rows.start).tolist() == of_question
        assert (last.nonzero().flatten() + strip.rows.start).tolist() == [own[-1]]
        image = (batch.image.groups[row, 0].nonzero().flatten() + batch.image.rows.start).tolist()
        assert image == [column for column, role in zip(own, each.roles, strict=True) if role == IMAGE]


def test_text_strips_cover_text_and_nothing_else(images):
    batch = pack(images)
    for strip in (batch.image, batch.first):
        assert strip.on_role[..., IMAGE].sum() == 0
        for row, group in enumerate(images):
            text = [column for column, role in enumerate(group[0].roles) if role != IMAGE and column < strip.rows.stop]
            covered = strip.columns[row][strip.on_role[row].any(dim=-1)]
            assert covered.tolist() == text


def test_a_batch_without_further_questions_has_no_explicit_rows():
    assert pack([[prompt(9)], [prompt(5)]]).further is None


def test_an_image_in_one_piece_needs_no_mask():
    batch = pack([[prompt(9), prompt(3)]] * 2)
    assert batch.image.seen is None
    assert batch.first.seen is not None


def test_sharing_a_prefix(monkeypatch):
    other = Prompt([5, *prompt(4).input_ids[1:]], prompt(4).roles)
    assert share_prefix([prompt(9), prompt(5)]) == [[0, 1]]
    assert share_prefix([prompt(9), other, prompt(5)]) == [[0, 2], [1]]
    assert share_prefix([prompt(9), prompt(5, image=9), prompt(2)]) == [[0, 2], [1]]
    assert share_prefix([tiles(), prompt(9), tiles(1)]) == [[0, 2], [1]]
    monkeypatch.setattr(packing, "LONGEST_SUFFIXES", 12)
    assert share_prefix([prompt(100), prompt(5), prompt(6), prompt(7), prompt(2), prompt(90)]) == [
        [0, 1, 2],
        [3, 4],
        [5],
    ]


def test_a_batch_moves_as_one():
    batch = pack([[prompt(9), prompt(3)], [prompt(3)]]).to(torch.device("meta"))
    tensors = [batch.input_ids, batch.position_ids, batch.owner, batch.slot, batch.last, batch.text_tokens]
    for strip in (batch.image, batch.first, batch.further):
        tensors += [strip.columns, strip.seen, strip.on_role, strip.groups]
    assert {tensor.device.type for tensor in tensors if tensor is not None} == {"meta"}
    assert batch.further.rows == slice(34 + 2, 34 + 2 + 3)
