"""The first token's logits -> prediction, p_yes, p_no, margin. No generation is needed for a yes/no benchmark."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from extract.models.checkpoint import Checkpoint
from extract.prompts.prompt_format import AnswerTokens


def spelling_ids(tokenizer: PreTrainedTokenizerBase, word: str) -> list[int]:
    """The ids of all tokens that spell `word` in any case, with or without white space around."""
    pieces = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    likely = [index for index, piece in enumerate(pieces) if piece and word in piece.lower()]
    return [index for index in likely if tokenizer.decode([index]).strip().lower() == word]


@dataclass(frozen=True)
class AnswerReader:
    """Reads the answers of one model off first generated tokens.

    Attributes:
        yes_ids: int64, the tokens that spell `yes`, which `p_yes` sums over, on the device; `no_ids` too.
        tokens: the two tokens that the margin compares.
        direction: float32 [width], the unembedding's row of the first of them minus that of the second, on the device.
        bias: the same difference of its bias; 0 if it has none.
    """

    tokenizer: PreTrainedTokenizerBase
    yes_ids: Tensor
    no_ids: Tensor
    tokens: AnswerTokens
    direction: Tensor
    bias: float

    @classmethod
    def of(cls, checkpoint: Checkpoint, tokens: AnswerTokens) -> "AnswerReader":
        """The reader for a model.

        Raises:
            HeadflowError: its head is not a plain matrix.
        """
        tokenizer, head, (yes, no) = checkpoint.prompt_format.tokenizer, checkpoint.unembedding, tokens.ids
        with torch.no_grad():
            direction = head.weight[yes].float() - head.weight[no].float()
            bias = 0.0 if head.bias is None else float(head.bias[yes].float() - head.bias[no].float())
        yes_ids, no_ids = (
            torch.tensor(spelling_ids(tokenizer, word), dtype=torch.int64, device=checkpoint.device)
            for word in ("yes", "no")
        )
        return cls(tokenizer, yes_ids, no_ids, tokens, direction, bias)

    def read(self, logits: Tensor, hidden: Tensor) -> dict[str, Tensor]:
        """The likeliest `token` (int64), `p_yes`, `p_no` and `margin` (float32), each [questions], on the same device.

        Args:
            logits: [questions, vocabulary] of any float dtype.
            hidden: [questions, width], the final hidden states that these are the logits of.
        """
        probabilities = torch.softmax(logits.float(), dim=-1)
        p_yes, p_no = (probabilities[:, ids].sum(dim=-1) for ids in (self.yes_ids, self.no_ids))
        return {"token": logits.argmax(dim=-1), "p_yes": p_yes, "p_no": p_no, "margin": self.margin(hidden)}

    def margin(self, hidden: Tensor) -> Tensor:
        """The logit of yes minus that of no, float32 [questions], in logits.

        It is a product in float32 whatever the model's dtype: of logits near 20, bfloat16 holds steps of 0.125. What a
        model does to logits after its head, a soft cap or a scale, is left out.

        Args:
            hidden: [questions, width], final hidden states (after the final norm) of any float dtype.
        """
        return (hidden.float() * self.direction).sum(dim=-1) + self.bias

    def row(self, answer: Mapping[str, Tensor]) -> dict[str, str | float]:
        """One question's `prediction`, `p_yes`, `p_no` and `margin`, for the table `samples`, of what `read` gave."""
        values = {name: float(answer[name]) for name in ("p_yes", "p_no", "margin")}
        return {"prediction": self.tokenizer.decode([int(answer["token"])]), **values}
