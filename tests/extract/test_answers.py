"""Oracle: softmax over logits put together by hand."""

import pytest
import torch
from transformers import AutoTokenizer

from extract.answers import AnswerReader, spelling_ids


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
    logits = torch.zeros(len(tokenizer), dtype=torch.float16)
    yes = reader.yes_ids[0]
    logits[yes] = 8
    rest = torch.tensor(8.0).exp() + len(tokenizer) - 1
    answer = reader.read(logits)
    assert answer["prediction"] == tokenizer.decode([yes])
    assert answer["p_yes"] == pytest.approx(float((torch.tensor(8.0).exp() + len(reader.yes_ids) - 1) / rest))
    assert answer["p_no"] == pytest.approx(float(len(reader.no_ids) / rest))
