"""Generated tokens -> their texts, and where the answer begins.

A token may be a part of a letter. Its text is then empty, and that of the token which ends the letter has it whole:
texts are decoded over the few tokens since the letter before, as inference servers stream them.
"""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from extract.prompts.prompt_builder import PromptBuilder

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

BROKEN = "\N{REPLACEMENT CHARACTER}"  # what bytes that are no letter decode to
THINKING, THOUGHT = re.compile(r"<think>\s*\Z"), "</think>"


class TokenTexts:
    """Turns generated tokens into texts."""

    def __init__(self, tokenizer: "PreTrainedTokenizerBase", after: str | None = None) -> None:
        """Prepare to read tokens.

        Args:
            after: what the answer follows; None: the whole text is the answer, from its first token. If it is a special
                token, its text is not left out.
        """
        self._tokenizer, self._after = tokenizer, after
        added = tokenizer.added_tokens_decoder
        special = {*tokenizer.all_special_ids, *(index for index, token in added.items() if token.special)}
        self._special = {token for token in special if tokenizer.convert_ids_to_tokens(token) != after}

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """The text of each token; together they are the whole text, which has no special tokens."""
        texts = [""] * len(ids)
        known: list[int] = []
        before = begin = 0  # tokens of `known` whose text is out; those of them that the next ones are decoded with
        last, rest = 0, ""
        for place, token in enumerate(ids):
            if token in self._special:
                continue
            known.append(token)
            last, rest = place, self._decode(known[begin:])[len(self._decode(known[begin:before])) :]
            if rest and not rest.endswith(BROKEN):
                texts[place], rest = rest, ""
                begin, before = before, len(known)
        texts[last] += rest  # it ended inside a letter
        return texts

    def answer_step(self, texts: Sequence[str]) -> int | None:
        """The step of the answer's first token that is not blank, of `pieces`; None if the text ends before it."""
        text = "".join(texts)
        if self._after is None:
            return 0
        if self._after not in text:
            return None
        end, length = text.index(self._after) + len(self._after), 0
        for step, piece in enumerate(texts):
            if piece[max(0, end - length) :].strip():
                return step
            length += len(piece)
        return None

    def _decode(self, ids: list[int]) -> str:
        return str(self._tokenizer.decode(ids, clean_up_tokenization_spaces=False)) if ids else ""


def tokens_of_text(tokenizer: "PreTrainedTokenizerBase", text: str, ends: Sequence[int], most: int) -> list[int]:
    """The tokens of a given text, and one that ends it, up to so many.

    Args:
        ends: the tokens that end a text; empty: there are none. The tokenizer's own is taken if it is among them.
    """
    ids: list[int] = tokenizer(text, add_special_tokens=False).input_ids
    end = [tokenizer.eos_token_id] if tokenizer.eos_token_id in ends else list(ends[:1])
    return [*ids, *end][:most]


def find_marker(prompts: PromptBuilder) -> str | None:
    """What the answer of a model follows that thinks first: its prompt opens a thought; None: it does not."""
    text = prompts.template.render(prompts.wording.ask("Is there a picture?")).text
    return THOUGHT if THINKING.search(text) else None
