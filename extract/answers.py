"""The first token's logits -> prediction, p_yes, p_no. No generation is needed for a yes/no benchmark."""

from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase


def spelling_ids(tokenizer: PreTrainedTokenizerBase, word: str) -> list[int]:
    """The ids of all tokens that spell `word` in any case, with or without white space around."""
    pieces = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    likely = [index for index, piece in enumerate(pieces) if piece and word in piece.lower()]
    return [index for index in likely if tokenizer.decode([index]).strip().lower() == word]


@dataclass(frozen=True)
class AnswerReader:
    """Reads the answer of one model off the logits of the first generated token."""

    tokenizer: PreTrainedTokenizerBase
    yes_ids: list[int]
    no_ids: list[int]

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase) -> "AnswerReader":
        """The reader for a tokenizer."""
        return cls(tokenizer, spelling_ids(tokenizer, "yes"), spelling_ids(tokenizer, "no"))

    def read(self, logits: Tensor) -> dict[str, str | float]:
        """`prediction`, `p_yes` and `p_no` from logits [vocabulary] of any float dtype."""
        probabilities = torch.softmax(logits.float(), dim=-1)
        return {
            "prediction": self.tokenizer.decode([int(logits.argmax())]),
            "p_yes": float(probabilities[self.yes_ids].sum()),
            "p_no": float(probabilities[self.no_ids].sum()),
        }
