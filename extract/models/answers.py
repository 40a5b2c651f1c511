"""The first token's logits -> prediction, probabilities of words, logits of options, margin and lead."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from extract.models.checkpoint import Checkpoint
from extract.prompts.prompt_format import AnswerTokens
from schemas.tasks import MME, Task, lead_of


def spelling_ids(tokenizer: PreTrainedTokenizerBase, word: str) -> list[int]:
    """The ids of all tokens that spell `word` in any case, with or without white space around."""
    pieces = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    likely = [index for index, piece in enumerate(pieces) if piece and word in piece.lower()]
    return [index for index in likely if tokenizer.decode([index]).strip().lower() == word]


@dataclass(frozen=True)
class AnswerReader:
    """Reads the answers of one model off first generated tokens.

    Attributes:
        task: what an answer is.
        spelled: by column of `samples`, int64, the tokens whose probabilities it is the sum of, on the device.
        tokens: the first tokens of the options; the margin compares two of them.
        rows: float32 [options, width], the unembedding's rows of these tokens, on the device.
        biases: float32 [options], of the unembedding; 0 if it has none.
        direction: float32 [width], the first of `rows` minus the second.
        bias: the same difference of the biases.
    """

    tokenizer: PreTrainedTokenizerBase
    task: Task
    spelled: Mapping[str, Tensor]
    tokens: AnswerTokens
    rows: Tensor
    biases: Tensor
    direction: Tensor
    bias: float

    @classmethod
    def of(cls, checkpoint: Checkpoint, tokens: AnswerTokens, task: Task = MME) -> "AnswerReader":
        """The reader for a model.

        Raises:
            HeadflowError: its head is not a plain matrix.
        """
        tokenizer, head = checkpoint.prompt_format.tokenizer, checkpoint.unembedding
        with torch.no_grad():
            rows = head.weight[tokens.ids].float()
            biases = torch.zeros_like(rows[:, 0]) if head.bias is None else head.bias[tokens.ids].float()
        spelled = {
            column: torch.tensor(
                spelling_ids(tokenizer, task.words[option]), dtype=torch.int64, device=checkpoint.device
            )
            for column, option in task.spelled.items()
        }
        direction, bias = rows[0] - rows[1], float(biases[0] - biases[1])
        return cls(tokenizer, task, spelled, tokens, rows, biases, direction, bias)

    def read(self, logits: Tensor, hidden: Tensor) -> dict[str, Tensor]:
        """What is read of answers, on the same device.

        Returns:
            `token` (int64), the likeliest, the columns of `spelled` and `margin` (float32), each [questions].

        Args:
            logits: [questions, vocabulary] of any float dtype.
            hidden: [questions, width], the final hidden states that these are the logits of.
        """
        probabilities = torch.softmax(logits.float(), dim=-1)
        spelled = {column: probabilities[:, ids].sum(dim=-1) for column, ids in self.spelled.items()}
        return {"token": logits.argmax(dim=-1), **spelled, "margin": self.margin(hidden)}

    def option_logits(self, hidden: Tensor) -> Tensor:
        """The logit of the first token of each option, float32 [questions, options], computed as `margin`."""
        return torch.stack([(hidden.float() * row).sum(dim=-1) for row in self.rows], dim=-1) + self.biases

    def margin(self, hidden: Tensor) -> Tensor:
        """The logit of the first option minus that of the second, float32 [questions], in logits.

        It is a product in float32 whatever the model's dtype: of logits near 20, bfloat16 holds steps of 0.125. What a
        model does to logits after its head, a soft cap or a scale, is left out.

        Args:
            hidden: [questions, width], final hidden states (after the final norm) of any float dtype.
        """
        return (hidden.float() * self.direction).sum(dim=-1) + self.bias

    def right(self, answer: str | None) -> int | None:
        """The place of the right answer of a question among the options; None: it is none of them."""
        return self.task.right_of(self.tokens.options, answer)

    def row(self, found: Mapping[str, Tensor], answer: str | None) -> dict[str, Any]:
        """What a question adds to the table `samples`.

        Args:
            found: what `read` gave, and its `option_logits`.
            answer: the right one, as the question file has it.
        """
        values = {name: float(found[name]) for name in (*self.spelled, "margin")}
        logits = found["option_logits"].tolist()
        return {
            "prediction": self.tokenizer.decode([int(found["token"])]),
            **values,
            "options": self.tokens.options,
            "option_logits": logits,
            "lead": lead_of(logits, self.right(answer), values["margin"]),
        }
