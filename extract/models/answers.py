"""The first token's logits -> prediction, probabilities of words, logits of options, margin and lead."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from extract.models.checkpoint import Checkpoint
from extract.prompts.prompt_format import AnswerTokens
from extract.questions.samples import Sample
from schemas.tasks import MME, P_OPTIONS, Task, lead_of

_AROUND = 8  # characters of a vocabulary's signs for white space around a word, at most


def spelling_ids(tokenizer: PreTrainedTokenizerBase, word: str) -> list[int]:
    """The ids of all tokens that spell `word`, with or without white space around; in any case if it has no capital."""
    pieces = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))

    def plain(text: str) -> str:
        return text.lower() if word.islower() else text

    likely = [
        index
        for index, piece in enumerate(pieces)
        if piece and len(piece) <= len(word) + _AROUND and word in plain(piece)
    ]
    return [index for index in likely if plain(tokenizer.decode([index]).strip()) == word]


@dataclass(frozen=True)
class AnswerReader:
    """Reads the answers of one model off first generated tokens.

    Attributes:
        task: what an answer is.
        spelled: by column of `samples`, int64, the tokens whose probabilities it is the sum of, on the device.
        letters: of each letter of options that questions have of their own, int64, the tokens that spell it, on the
            device; empty where the options are words.
        tokens: the first tokens of the options, or of their letters; the margin compares the first two.
        rows: float32 [options, width], the unembedding's rows of these tokens, on the device.
        biases: float32 [options], of the unembedding; 0 if it has none.
        direction: float32 [width], the first of `rows` minus the second.
        bias: the same difference of the biases.
    """

    tokenizer: PreTrainedTokenizerBase
    task: Task
    spelled: Mapping[str, Tensor]
    letters: Sequence[Tensor]
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

        def spelling(word: str) -> Tensor:
            return torch.tensor(spelling_ids(tokenizer, word), dtype=torch.int64, device=checkpoint.device)

        spelled = {column: spelling(task.words[option]) for column, option in task.spelled.items()}
        letters = [] if task.options else [spelling(letter) for letter in tokens.options]
        direction, bias = rows[0] - rows[1], float(biases[0] - biases[1])
        return cls(tokenizer, task, spelled, letters, tokens, rows, biases, direction, bias)

    def read(self, logits: Tensor, hidden: Tensor) -> dict[str, Tensor]:
        """What is read of answers, on the same device.

        Returns:
            `token` (int64), the likeliest, the columns of `spelled` and `margin` (float32), each [questions]; where
            there are letters, `letters` (float32 [questions, letters]), the probability of each.

        Args:
            logits: [questions, vocabulary] of any float dtype.
            hidden: [questions, width], the final hidden states that these are the logits of.
        """
        probabilities = torch.softmax(logits.float(), dim=-1)
        spelled = {column: probabilities[:, ids].sum(dim=-1) for column, ids in self.spelled.items()}
        if self.letters:
            spelled["letters"] = torch.stack([probabilities[:, ids].sum(dim=-1) for ids in self.letters], dim=-1)
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

    def options(self, sample: Sample) -> Sequence[str]:
        """The answers that a question offers."""
        return sample.options or self.tokens.options

    def right(self, sample: Sample) -> int | None:
        """The place of the right answer of a question among its options; None: it is none of them."""
        return self.task.right_of(self.options(sample), sample.answer)

    def row(self, found: Mapping[str, Tensor], sample: Sample) -> dict[str, Any]:
        """What a question adds to the table `samples`.

        Args:
            found: what `read` gave, and its `option_logits`.
        """
        options = list(self.options(sample))
        values = {name: float(found[name]) for name in self.spelled}
        if self.letters:
            values[P_OPTIONS] = float(found["letters"][: len(options)].sum())
        margin = float(found["margin"]) if len(options) == 2 else None
        logits = found["option_logits"][: len(options)].tolist()
        return {
            "prediction": self.tokenizer.decode([int(found["token"])]),
            **values,
            "margin": margin,
            "options": options,
            "option_logits": logits,
            "lead": lead_of(logits, self.right(sample), margin),
        }
