"""Oracle: each question read back out of the batch, by columns worked out the slow way (tests/support/prompts.py)."""

import pytest
import torch

from extract.attention import layout
from extract.attention.layout import lay_out, share_prefix
from extract.attention.packing import pack
from extract.prompts.prompt_builder import Prompt
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


def columns_of(block, row, group):
    """The columns of the queries in a group of a block."""
    rows = range(*block.rows.indices(10**6)) if isinstance(block.rows, slice) else block.rows[row].tolist()
    return sorted(rows[position] for position in block.groups[row, group].nonzero().flatten().tolist())


def test_each_group_holds_the_tokens_of_its_question(images):
    batch = pack(images)
    prompts = [each for group in images for each in group]
    for each, (row, own), slot in zip(prompts, columns(images), batch.slot.tolist(), strict=True):
        block, group = (batch.first, 0) if slot == 0 else (batch.further, 2 * (slot - 1))
        of_question = [column for column, role in zip(own, each.roles, strict=True) if role == QUESTION]
        if slot:
            of_question = [column for column in of_question if column >= block.rows.start]
        elif len(block.groups[row]) == 3:
            prefix = own[: max(place for place, role in enumerate(each.roles) if role == IMAGE)]
            assert columns_of(block, row, 2) == [column for column in of_question if column in prefix]
        assert columns_of(block, row, group) == of_question
        assert columns_of(block, row, group + 1) == [own[-1]]
        image = [column for column, role in zip(own, each.roles, strict=True) if role == IMAGE]
        assert columns_of(batch.image, row, 0) == image


def test_rows_of_image_tokens_by_text_and_nothing_else(images):
    block = pack(images).image
    assert not block.whole
    assert block.on_role[..., IMAGE].sum() == 0
    for row, group in enumerate(images):
        text = [column for column, role in enumerate(group[0].roles) if role != IMAGE and column < block.rows.stop]
        covered = block.columns[row][block.on_role[row].any(dim=-1)]
        assert covered.tolist() == text


def test_rows_of_first_questions_by_all_that_they_see(images):
    block = pack(images).first
    assert block.whole
    for row, group in enumerate(images):
        roles = group[0].roles
        questions = [column for column, role in enumerate(roles) if role == QUESTION]
        assert block.rows[row, : len(questions)].tolist() == questions
        assert not block.groups[row, :, len(questions) :].any()
        for position, column in enumerate(questions):
            assert block.seen[row, position].nonzero().flatten().tolist() == [*range(column + 1)]
        assert block.on_role[row, : len(roles)].argmax(dim=-1).tolist() == roles
        assert block.on_role[row, len(roles) :].sum() == 0


def test_a_question_sees_its_prefix_and_itself(images):
    laid_out = lay_out(images)
    seen = laid_out.seen()
    for row, own in columns(images):
        for position, column in enumerate(own):
            assert seen[row, column].nonzero()[0].tolist() == own[: position + 1]
    assert seen.any(axis=-1).all()  # padding too, so that nothing is NaN


def test_a_batch_without_further_questions_has_no_explicit_rows():
    assert pack([[prompt(9)], [prompt(5)]]).further is None


def test_an_image_in_one_piece_needs_no_mask():
    batch = pack([[prompt(9), prompt(3)]] * 2)
    assert batch.image.seen is None


def test_sharing_a_prefix(monkeypatch):
    other = Prompt([5, *prompt(4).input_ids[1:]], prompt(4).roles)
    assert share_prefix([prompt(9), prompt(5)]) == [[0, 1]]
    assert share_prefix([prompt(9), other, prompt(5)]) == [[0, 2], [1]]
    assert share_prefix([prompt(9), prompt(5, image=9), prompt(2)]) == [[0, 2], [1]]
    assert share_prefix([tiles(), prompt(9), tiles(1)]) == [[0, 2], [1]]
    monkeypatch.setattr(layout, "LONGEST_SUFFIXES", 12)
    assert share_prefix([prompt(100), prompt(5), prompt(6), prompt(7), prompt(2), prompt(90)]) == [
        [0, 1, 2],
        [3, 4],
        [5],
    ]


def test_a_batch_moves_as_one():
    batch = pack([[prompt(9), prompt(3)], [prompt(3)]]).to(torch.device("meta"))
    tensors = [batch.input_ids, batch.position_ids, batch.owner, batch.slot, batch.last, batch.text_tokens]
    for block in (batch.image, batch.first, batch.further):
        tensors += [block.rows, block.columns, block.seen, block.on_role, block.groups]
    assert {each.device.type for each in tensors if isinstance(each, torch.Tensor)} == {"meta"}
    assert batch.further.rows == slice(34 + 2, 34 + 2 + 3)
