"""Greedy decoding of the questions of a batch together, each step observed; or the same over given texts.

Step `s` is the pass in which token `s` is chosen: its query is the token before, so that of step 0 is the last one of
the prompt, which the prefill observes. Sampling, penalties and whatever else a checkpoint's generation_config.json asks
for are left out, but for the tokens that end a text.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from extract.attention.packing import Batch, pack
from extract.generation.observation import DecodingObservation, ImageColumns, KeptKeys
from extract.generation.recurrence import RecurrentStates
from extract.images.preprocessing import blank_image
from extract.models.checkpoint import Checkpoint
from extract.models.self_check import CHECK_QUESTION, limits_of
from extract.prompts.prompt_builder import PromptBuilder
from schemas.errors import HeadflowError
from schemas.text import one_line

_AT_ONCE = 32  # tokens of a given text that go through the model together


@dataclass(frozen=True)
class Step:
    """The tokens of one step, one of each question.

    Attributes:
        token: int64 [questions].
        logprob: float32 [questions], of the token, in nats.
        entropy: float32 [questions], of the next token's distribution, in nats.
        gap: float32 [questions], the token's logit minus that of the strongest other one.
        logits: [questions, vocabulary] in the model's dtype.
        masses: float32 [questions, heads, 6], the attention of the query on each role and on new tokens; heads as in
            `extract.generation.observation.DecodingObservation.masses`. None for step 0.
        on_image: float32 [questions, heads, keys], see `extract.generation.observation.DecodingObservation.on_image`;
            None for step 0, and where none is asked for.
    """

    token: Tensor
    logprob: Tensor
    entropy: Tensor
    gap: Tensor
    logits: Tensor
    masses: Tensor | None = None
    on_image: Tensor | None = None

    @classmethod
    def of(cls, logits: Tensor, token: Tensor | None = None, **seen: Tensor | None) -> "Step":
        """The step in which a token was chosen; None: the likeliest.

        Args:
            logits: [questions, vocabulary] of any float dtype.
            seen: `masses` and `on_image`.
        """
        single = logits.float()
        top = single.topk(2, dim=-1)
        token = top.indices[:, 0] if token is None else token
        own = single.gather(-1, token[:, None])[:, 0]
        other = torch.where(token == top.indices[:, 0], top.values[:, 1], top.values[:, 0])
        logprobs = single.log_softmax(dim=-1)
        logprob = logprobs.gather(-1, token[:, None])[:, 0]
        least = torch.finfo(torch.float32).min  # 0 * log 0 is 0
        entropy = -logprobs.exp().mul_(logprobs.clamp_(min=least)).sum(dim=-1)
        return cls(token, logprob, entropy, own - other, logits, **seen)


class Generation:
    """What a checkpoint writes after the prompts of a batch; it observes the prefill first."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        batch: Batch,
        steps: int,
        *,
        heads: Sequence[Tensor] | None = None,
        image: ImageColumns | None = None,
    ) -> None:
        """Prepare to write.

        Args:
            batch: the prompts, on the model's device.
            steps: most tokens of a text.
            heads: see `extract.generation.observation.DecodingObservation`; `image` too.
        """
        self._checkpoint, self._batch, self._steps = checkpoint, batch, steps
        self._heads, self._image = heads, image
        self._slots = batch.ends.rows.shape[1]
        self.kept = KeptKeys((steps - 1) * self._slots)  # nothing is read of the last token
        self._states = RecurrentStates(checkpoint, batch)
        self._positions: Tensor | None = None

    @contextmanager
    def reading(self) -> Iterator[None]:
        """See where the decoder puts the tokens of the prefill that runs in this context, and what its layers keep."""
        hook = self._checkpoint.stack.register_forward_pre_hook(self._see, with_kwargs=True)
        with hook, self._states.reading():
            yield

    def _see(self, _: Any, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        self._positions = named.get("position_ids")

    def greedy(self, logits: Tensor, ends: Tensor) -> Iterator[Step]:
        """The steps of texts that the model chooses itself, up to that in which the last of them ends.

        Args:
            logits: what the prefill gives, [questions, vocabulary].
            ends: int64, the tokens that end a text.
        """
        step = Step.of(logits)
        yield step
        open_ = ~torch.isin(step.token, ends)
        observation = DecodingObservation(self._batch, self.kept, heads=self._heads, image=self._image)
        for number in range(1, self._steps):
            if not open_.any():
                return
            (step,) = self._pass(observation, step.token[None], number)
            yield step
            open_ &= ~torch.isin(step.token, ends)

    def forced(self, logits: Tensor, tokens: Tensor) -> Iterator[Step]:
        """The steps of given texts.

        Args:
            logits: as in `greedy`.
            tokens: int64 [steps, questions]; what stands after the end of a text is of no consequence for it.
        """
        yield Step.of(logits, tokens[0])
        observation = DecodingObservation(self._batch, self.kept, heads=self._heads, image=self._image)
        for start in range(1, len(tokens), _AT_ONCE):
            stop = min(start + _AT_ONCE, len(tokens))
            yield from self._pass(observation, tokens[start - 1 : stop - 1], start, tokens[start:stop])

    def _pass(
        self, observation: DecodingObservation, tokens: Tensor, first: int, following: Tensor | None = None
    ) -> Iterator[Step]:
        """One pass over tokens int64 [tokens, questions]; the first of them is chosen in step `first - 1`."""
        owner, slot = self._batch.owner, self._batch.slot
        ids = tokens.new_zeros((len(self._batch.input_ids), len(tokens), self._slots))
        ids[owner, :, slot] = tokens.T
        after = torch.arange(first - 1, first - 1 + len(tokens), device=ids.device)
        positions = self._next_positions()[..., None, :] + after[:, None]
        observation.begin(len(tokens))
        with self._states.going_on():
            logits = self._checkpoint.forward_new(observation, ids.flatten(1), positions.flatten(-2))
        logits = logits.unflatten(1, ids.shape[1:])[owner, :, slot]
        masses = observation.masses()[owner, :, slot]
        on_image = None if self._image is None else observation.on_image()[owner, :, slot]
        for number in range(len(tokens)):
            yield Step.of(
                logits[:, number],
                None if following is None else following[number],
                masses=masses[:, number],
                on_image=None if on_image is None else on_image[:, number],
            )

    def _next_positions(self) -> Tensor:
        """The position after each question's largest, int64 [..., images, slots], in the form of the prefill's."""
        positions = self._positions
        if positions is None:
            positions = torch.arange(self._batch.input_ids.shape[1], device=self._batch.input_ids.device)[None]
        seen = self._batch.ends.seen  # [images, slots, length]
        largest = positions[..., None, :].where(seen, -1).amax(dim=-1)
        if positions.dim() == 3:
            text = len(positions) - 3  # 1 if the place in the text stands before the three axes of an image
            of_axes = largest[text:].amax(dim=0, keepdim=True).expand(3, -1, -1)
            largest = torch.cat([largest[:text], of_axes])
        return largest + 1


_CHECKED = 4  # steps; the first is of the prefill, which is checked with it


def check_generation(checkpoint: Checkpoint, prompts: PromptBuilder) -> None:
    """Check a model with a black image and a short question, by the logits of a few steps, beside a longer question.

    Raises:
        HeadflowError: they are not those of the plain model, or it cannot write.
    """
    pixels = checkpoint.preprocessor(blank_image())
    asked = [[prompts.build(question, pixels.image_ids)] for question in (CHECK_QUESTION, 2 * CHECK_QUESTION)]
    batch, inputs = checkpoint.uploader.send(pack(asked), [pixels] * len(asked))
    written = Generation(checkpoint, batch, _CHECKED)
    with written.reading():
        logits, *_ = checkpoint.forward(batch, inputs, readers=[written.kept])
    steps = list(written.greedy(logits, torch.empty(0, dtype=torch.int64, device=checkpoint.device)))
    batch, inputs = checkpoint.uploader.send(pack(asked[:1]), [pixels])
    try:
        plain = checkpoint.plain_logits(batch, inputs, torch.cat([step.token[:1] for step in steps]))
    except Exception as error:  # a model raises anything
        raise HeadflowError(f"the model's own generation fails: {one_line(error)[:400]}", setting="generate") from error
    observed = torch.cat([step.logits[:1] for step in steps])
    tolerance = limits_of(checkpoint).observed
    difference = float((observed.float() - plain.float()).norm() / plain.float().norm())
    if not difference <= tolerance:
        raise HeadflowError(
            f"this {checkpoint.prompt_format.family} writes something else when it is observed (its logits differ by "
            f"{difference:.0%}): what it reads of new tokens is not what is assumed of it",
            setting="generate",
        )
