"""The first token's logits -> prediction, probabilities of words, logits of options, margin and lead."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from extract.attention.blocks import OnDevice
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
class Offered(OnDevice):
    """What some questions offer.

    Attributes:
        right: int64 [questions], the place of the right option; -1: it is none of them.
        number: int64 [questions], how many options there are.
    """

    right: Tensor
    number: Tensor

    def leads(self, logits: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """By how much an option of each question leads the strongest other one, [..., questions], and which that is.

        Args:
            logits: [..., questions, options], of as many options as any question has.
            chosen: int64 [questions], the place of the option that leads.
        """
        places = torch.arange(logits.shape[-1], device=logits.device)
        taken = (places >= self.number[:, None]) | (places == chosen[:, None])
        strongest, other = logits.masked_fill(taken, -torch.inf).max(dim=-1)
        own = logits.gather(-1, chosen.expand(logits.shape[:-1])[..., None])[..., 0]
        return own - strongest, other


@dataclass(frozen=True)
class Contrast:
    """What the answers of some questions are told apart by, as contributions add up to it.

    Attributes:
        total: of two words the margin; of letters the lead of the right option, or where that is none of them, of the
            likeliest one; float32 or float64 [questions].
        weights: float32 [questions, directions], how the values along `AnswerReader.directions` make up the total.
        chosen: int64 [questions], the option that leads; None of two words.
    """

    total: Tensor
    weights: Tensor
    chosen: Tensor | None = None


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
        directions: float32 [directions, width], what contributions are computed along: of two words `direction`; of
            letters the row of each, less the mean of all, which differences of letters do not have.
        offsets: float32 [directions], the same of the biases.
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
    directions: Tensor
    offsets: Tensor

    @classmethod
    def of(cls, checkpoint: Checkpoint, tokens: AnswerTokens, task: Task = MME) -> "AnswerReader":
        """The reader for a model.

        Raises:
            HeadflowError: its head is no matrix.
        """
        tokenizer = checkpoint.prompt_format.tokenizer
        rows, biases = checkpoint.unembedding_rows(tokens.ids)

        def spelling(word: str) -> Tensor:
            return torch.tensor(spelling_ids(tokenizer, word), dtype=torch.int64, device=checkpoint.device)

        spelled = {column: spelling(task.words[option]) for column, option in task.spelled.items()}
        letters = [] if task.options else [spelling(letter) for letter in tokens.options]
        direction, bias = rows[0] - rows[1], biases[0] - biases[1]
        directions, offsets = direction[None], bias[None]
        if letters:
            directions, offsets = (each - each.mean(dim=0) for each in (rows, biases))
        return cls(tokenizer, task, spelled, letters, tokens, rows, biases, direction, float(bias), directions, offsets)

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

    def offered(self, samples: Sequence[Sample]) -> Offered:
        """What questions offer, on the CPU."""
        right = [self.right(sample) for sample in samples]
        number = [len(self.options(sample)) for sample in samples]
        return Offered(torch.tensor([-1 if place is None else place for place in right]), torch.tensor(number))

    def contrast(self, hidden: Tensor, offered: Offered | None) -> Contrast:
        """What the answers of some questions are told apart by.

        Args:
            hidden: [questions, width], the final hidden states.
            offered: what they offer; None of two words.
        """
        if offered is None:
            return Contrast(self.margin(hidden), torch.ones(len(hidden), 1, device=hidden.device))
        logits = self.option_logits(hidden).double()
        places = torch.arange(logits.shape[-1], device=logits.device)
        likeliest = logits.masked_fill(places >= offered.number[:, None], -torch.inf).argmax(dim=-1)
        chosen = torch.where(offered.right < 0, likeliest, offered.right)
        total, other = offered.leads(logits, chosen)
        weights = (places == chosen[:, None]).float() - (places == other[:, None]).float()
        return Contrast(total, weights, chosen)

    def lens(self, hidden: Tensor, contrast: Contrast, offered: Offered | None) -> Tensor:
        """The margin of hidden states [..., questions, width], or of letters the lead of the same option.

        The strongest other option is that of each state.

        Returns:
            float32 [..., questions].
        """
        if offered is None or contrast.chosen is None:
            return self.margin(hidden)
        return offered.leads(self.option_logits(hidden), contrast.chosen)[0]

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
