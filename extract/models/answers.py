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
    """Reads the answers of one model off the logits of first generated tokens."""

    tokenizer: PreTrainedTokenizerBase
    yes_ids: list[int]
    no_ids: list[int]

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase) -> "AnswerReader":
        """The reader for a tokenizer."""
        return cls(tokenizer, spelling_ids(tokenizer, "yes"), spelling_ids(tokenizer, "no"))

    def read(self, logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The likeliest token (int64), p_yes and p_no (float32), each [questions], on the device of the logits.

        Args:
            logits: [questions, vocabulary] of any float dtype.
        """
        probabilities = torch.softmax(logits.float(), dim=-1)
        p_yes, p_no = (probabilities[:, ids].sum(dim=-1) for ids in (self.yes_ids, self.no_ids))
        return logits.argmax(dim=-1), p_yes, p_no

    def row(self, token: Tensor, p_yes: Tensor, p_no: Tensor) -> dict[str, str | float]:
        """One question's `prediction`, `p_yes` and `p_no`, for the table `samples`."""
        return {"prediction": self.tokenizer.decode([int(token)]), "p_yes": float(p_yes), "p_no": float(p_no)}
