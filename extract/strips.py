"""A prompt token by token, for people: what the model reads, and which role each token has."""

from collections.abc import Iterator
from itertools import groupby

from transformers import PreTrainedTokenizerBase

from extract.prompts import Prompt
from extract.templates import IMAGE_PLACEHOLDER
from schemas.roles import IMAGE, ROLES


def strip(prompt: Prompt, tokenizer: PreTrainedTokenizerBase) -> Iterator[str]:
    """Lines of text: counts by role, then position, role, id and piece of each token; image tokens share one line.

    Pieces are the tokenizer's own, which mark a space by a sign such as `▁`.
    """
    counts = ", ".join(f"{name[2:]} {count}" for name, count in prompt.counts().items())
    yield f"{len(prompt.input_ids)} tokens: {counts}"
    pieces = (
        IMAGE_PLACEHOLDER
        if role == IMAGE
        else tokenizer.convert_ids_to_tokens(token)  # what stands for it may be no token
        for token, role in zip(prompt.input_ids, prompt.roles, strict=True)
    )
    tokens = enumerate(zip(prompt.input_ids, prompt.roles, pieces, strict=True))
    for _, run in groupby(tokens, key=lambda token: None if token[1][1] == IMAGE else token[0]):
        (first, (token, role, piece)), *more = run
        where = f"{first}-{first + len(more)}" if more else str(first)
        many = f" x {1 + len(more)}" if role == IMAGE else ""
        # Pieces may hold what a terminal would obey
        yield f"{where:>9}  {ROLES[role].name:<8}  {token:>6}  {repr(piece)[1:-1]}{many}"
