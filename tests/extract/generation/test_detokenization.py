"""Oracle: the tokenizer's own decoding of all tokens at once."""

from types import SimpleNamespace

import numpy as np
import pytest

from data.demo_model import train_tokenizer
from extract.generation.detokenization import TokenTexts, find_marker
from tests.support.tiny_families import tokenizer as family_tokenizer

TEXT = "Yes, a red car 是一只猫。 Nein\n\nè 🚗!"


@pytest.fixture(scope="module", params=["byte-level", "sentencepiece"])
def tokenizer(request):
    if request.param == "sentencepiece":
        return train_tokenizer(["Is there a red car?", "Yes", "No"])
    return family_tokenizer({}, template=None)


def whole(tokenizer, ids):
    return tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)


def test_texts_of_tokens_are_the_whole_text(tokenizer):
    ids = tokenizer(TEXT, add_special_tokens=False).input_ids
    end = tokenizer.eos_token_id
    pieces = TokenTexts(tokenizer).pieces([*ids, end])
    assert "".join(pieces) == whole(tokenizer, ids)
    assert "猫" in "".join(pieces)
    assert pieces[-1] == ""
    assert sum(not piece for piece in pieces[:-1]) >= 10  # parts of letters
    assert not any("\N{REPLACEMENT CHARACTER}" in piece for piece in pieces)


def test_a_text_that_ends_inside_a_letter(tokenizer):
    """At each token of it, with a special token amid the letter or after it."""
    ids, end = tokenizer("a 猫", add_special_tokens=False).input_ids, tokenizer.eos_token_id
    for stop in range(1, len(ids) + 1):
        pieces = TokenTexts(tokenizer).pieces([*ids[:stop], end])
        assert "".join(pieces) == whole(tokenizer, ids[:stop])
    pieces = TokenTexts(tokenizer).pieces([*ids[:-1], end, ids[-1]])
    assert "".join(pieces) == whole(tokenizer, ids)
    assert TokenTexts(tokenizer).pieces([end]) == [""]


def test_texts_of_any_tokens(tokenizer):
    random = np.random.default_rng(0)
    for _ in range(50):
        words = [word for word in random.integers(0, len(tokenizer), 12).tolist() if tokenizer.decode([word]).isascii()]
        assert "".join(TokenTexts(tokenizer).pieces(words)) == whole(tokenizer, words)


@pytest.mark.parametrize(
    ("text", "after", "found"),
    [
        ("Yes</s>", None, "Yes"),
        ("<think> a red one </think>\n\nYes", "</think>", "Yes"),
        ("<think> a red one </think>Yes", "</think>", "Yes"),
        ("so: Yes", ":", " Yes"),
        ("<think> a red one, Yes", "</think>", None),
        ("<think> a red one </think>\n", "</think>", None),
        ("<think> a red one </think></s>", "</think>", None),
        ("thought </s> Yes", "</s>", " Yes"),
    ],
)
def test_where_the_answer_begins(text, after, found):
    tokenizer = family_tokenizer({}, template=None)
    texts = TokenTexts(tokenizer, after)
    pieces = texts.pieces(tokenizer(text, add_special_tokens=False).input_ids)
    step = texts.answer_step(pieces)
    assert (None if step is None else "".join(pieces[step:]).rstrip().lstrip(">")) == found
    if found is not None and after is not None:
        assert "".join(pieces).partition(after)[2].strip() == found.strip()


@pytest.mark.parametrize(("opens", "found"), [("", None), ("<think>\n", "</think>"), ("<think>\n\n</think>\n", None)])
def test_the_marker_of_a_model_that_thinks_first(opens, found):
    template = SimpleNamespace(render=lambda message: SimpleNamespace(text=f"USER: {message} ASSISTANT: {opens}"))
    prompts = SimpleNamespace(template=template, wording=SimpleNamespace(ask=lambda question: question))
    assert find_marker(prompts) == found
