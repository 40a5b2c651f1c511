"""Oracle: softmax over logits put together by hand."""

import pytest
import torch
from transformers import AutoTokenizer

from extract.models.answers import AnswerReader, spelling_ids


@pytest.fixture(scope="module")
def tokenizer(checkpoint_path):
    return AutoTokenizer.from_pretrained(checkpoint_path)


def test_every_spelling_counts(tokenizer):
    for word in ("yes", "no"):
        ids = spelling_ids(tokenizer, word)
        assert {tokenizer.decode([index]).strip().lower() for index in ids} == {word}
        everything = range(len(tokenizer))
        assert ids == [index for index in everything if tokenizer.decode([index]).strip().lower() == word]
    pieces = tokenizer.convert_ids_to_tokens(spelling_ids(tokenizer, "yes"))
    assert {"▁Yes", "▁yes"} <= set(pieces)


def test_probabilities(tokenizer):
    reader = AnswerReader.of(tokenizer)
    logits = torch.zeros(2, len(tokenizer), dtype=torch.float16)
    yes, no = reader.yes_ids[0], reader.no_ids[0]
    logits[0, yes] = logits[1, no] = 8
    rest = torch.tensor(8.0).exp() + len(tokenizer) - 1
    answer, other = (reader.row(*each) for each in zip(*reader.read(logits), strict=True))
    assert answer["prediction"] == tokenizer.decode([yes])
    assert answer["p_yes"] == pytest.approx(float((torch.tensor(8.0).exp() + len(reader.yes_ids) - 1) / rest))
    assert answer["p_no"] == pytest.approx(float(len(reader.no_ids) / rest))
    assert other["prediction"] == tokenizer.decode([no])
    assert other["p_no"] > 0.5 > other["p_yes"]
