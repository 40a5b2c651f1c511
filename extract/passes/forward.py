"""Forward passes over batches: each is started before the one before it is collected."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from extract.attention.packing import pack
from extract.attention.readers import read_pass
from extract.images.preprocessing import Pixels, blank_image
from extract.models.answers import AnswerReader
from extract.models.checkpoint import Checkpoint
from extract.models.transfer import Download
from extract.passes.batching import ImageQuestions
from extract.passes.samples import Observed, observe_sample
from extract.questions.samples import Skipped, Unusable
from extract.tables.maker import Maker, MassMaker
from schemas.columns import EXTRAS
from schemas.errors import HeadflowError
from schemas.text import one_line

LARGE = 1344  # pixels
CPU_MEMORY = "DefaultCPUAllocator: "  # begins what torch says, as a plain RuntimeError, where a CPU has no memory left
NOISE_IMAGES = 4  # of the first batch, whose questions are asked again, each alone


Outcome = Observed | Skipped


@dataclass(frozen=True)
class Launched:
    """A forward pass that may still be running; `sent` is kept for as long as the device may read it.

    Attributes:
        names: what each of `results` is.
    """

    images: list[ImageQuestions]
    names: list[str]
    results: Download
    sent: list[Any]


class Passes:
    """Runs batches through a model.

    Attributes:
        answers: reads its answers.
        makers: make the tables of a run beside `samples`; that of the masses is always among them.
    """

    def __init__(self, checkpoint: Checkpoint, answers: AnswerReader, makers: Sequence[Maker] = ()) -> None:
        self._checkpoint = checkpoint
        self.answers = answers
        self.makers = [MassMaker(checkpoint.flows), *makers]
        # See `measure_noise`, of the first batch; empty in float32, None before
        self.noise: dict[str, float] | None = {} if checkpoint.dtype == torch.float32 else None

    def manifest_fields(self) -> dict[str, Any]:
        """The fields of a run's manifest about its tables."""
        made = {name for maker in self.makers for name in maker.tables}
        fields = {"tables": [name for name in EXTRAS if name in made]}
        return fields | {name: value for maker in self.makers for name, value in maker.manifest_fields().items()}

    @property
    def on_cuda(self) -> bool:
        """Whether the model is on a GPU."""
        return self._checkpoint.device.type == "cuda"

    def blank_pixels(self, images: int = 1) -> Pixels:
        """What the model reads of so many black images, as large as most images are."""
        return self._checkpoint.preprocessor(*[blank_image(LARGE)] * images)

    def over(self, batches: Iterable[list[ImageQuestions] | Skipped]) -> Iterator[Outcome]:
        """One outcome for each question of each batch; skipped samples come through as they are.

        A pass is collected when the next one has been started, so that a GPU always has work.
        """
        before: Launched | None = None
        launched: Launched | None
        for batch in batches:
            if isinstance(batch, Skipped):
                yield batch
                continue
            try:
                launched = self.launch(batch)
                if self.noise is None:
                    self.noise = self.measure_noise(batch[:NOISE_IMAGES])
            except Exception as error:  # a model raises anything; each question is asked again below
                failure(error)
                launched = None
            if before is not None:
                yield from self.collect(before)
            before = launched
            if launched is None:
                yield from self._in_parts(batch)
        if before is not None:
            yield from self.collect(before)

    def measure_noise(self, images: list[ImageQuestions]) -> dict[str, float]:
        """By how much `mass`, and the `margin` of two options, differ at most if some questions are asked alone.

        Rounding is then another one, as other kernels and shapes of sequences are used: differences between runs that
        are not larger tell nothing. Empty if no question has finite values.
        """
        together = list(self.collect(self.launch(images)))
        alone = [
            outcome
            for image in images
            for question in image.questions
            for outcome in self.collect(self.launch([replace(image, questions=[question])]))
        ]
        differences = [
            (
                float(np.abs(one.grids["heads"] - other.grids["heads"]).max()),
                _apart(one.values, other.values),
            )
            for one, other in zip(together, alone, strict=True)
            if isinstance(one, Observed) and isinstance(other, Observed)
        ]
        if not differences:
            return {}
        mass, margin = (max(each) for each in zip(*differences, strict=True))
        return {"mass": mass, "margin": margin}

    def _in_parts(self, images: list[ImageQuestions]) -> Iterator[Outcome]:
        """Outcomes of a batch that failed, halved until its parts do not; a question that always fails is skipped."""
        if self.on_cuda:
            torch.cuda.empty_cache()
        try:
            yield from list(self.collect(self.launch(images)))
            return
        except Exception as error:  # see `over`
            reason, detail = failure(error)
        halves = _halves(images)
        for half in halves:
            yield from self._in_parts(half)
        if not halves:
            (image,) = images
            (question,) = image.questions
            yield Skipped(question.sample, Unusable(reason, detail, image_sha256=image.sha256))

    def launch(self, images: list[ImageQuestions]) -> Launched:
        """Start a pass; on CUDA, this returns before it is done."""
        prompts = [[question.prompt for question in image.questions] for image in images]
        pixels = [image.pixels for image in images]
        batch, inputs = self._checkpoint.uploader.send(pack(prompts), pixels)
        samples = [question.sample for image in images for question in image.questions]
        readers = [maker.begin(batch, pixels, samples) for maker in self.makers]
        (logits, _, hidden), made = read_pass(self._checkpoint.forward, batch, inputs, readers)
        answers = self.answers.read(logits, hidden) | {"option_logits": self.answers.option_logits(hidden)}
        results = {"finite": torch.isfinite(logits).all(dim=-1), **answers, **made}
        sent = [batch, inputs, *(reader.sent for reader in readers)]
        return Launched(images, list(results), Download(*results.values()), sent)

    def collect(self, launched: Launched) -> Iterator[Outcome]:
        """The outcomes of a pass, once it is done."""
        questions = [(image, question) for image in launched.images for question in image.questions]
        results = dict(zip(launched.names, launched.results.wait(), strict=True))
        for index, (image, question) in enumerate(questions):
            result = {name: tensor[index] for name, tensor in results.items()}
            if problem := self._not_finite(result):
                yield Skipped(question.sample, Unusable("not_finite", problem, image_sha256=image.sha256))
                continue
            yield observe_sample(question, image, result, self.answers, self.makers)

    def _not_finite(self, result: Mapping[str, Tensor]) -> str | None:
        """What of a question's results holds NaN or infinity; None if nothing does."""
        found = next(filter(None, (maker.not_finite(result) for maker in self.makers)), None)
        return found or (None if result["finite"] else "logits are not finite")


def _apart(one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    """By how much two margins differ, or, of other than two options, the differences between any two logits at most."""
    if one["margin"] is not None:
        return abs(one["margin"] - other["margin"])
    return float(np.ptp(np.subtract(one["option_logits"], other["option_logits"])))


def failure(error: Exception) -> tuple[str, str]:
    """Why a pass failed, as a reason of `schemas.columns.REASONS` and the detail.

    Raises:
        Exception: `error` itself, if no other question could be asked after it: wrong settings, a broken device.
    """
    if isinstance(error, Unusable):
        return error.reason, error.detail
    if isinstance(error, HeadflowError | torch.AcceleratorError):
        raise error
    memory = isinstance(error, torch.OutOfMemoryError | MemoryError) or CPU_MEMORY in str(error)
    detail = one_line(error)[:300]
    return ("out_of_memory", detail) if memory else ("model_failed", f"{type(error).__name__}: {detail}")


def _halves(images: list[ImageQuestions]) -> list[list[ImageQuestions]]:
    """A batch in two, by images or by the questions about one; empty if it is one question."""
    if len(images) > 1:
        return [images[: len(images) // 2], images[len(images) // 2 :]]
    (image,) = images
    middle = len(image.questions) // 2
    halves = (image.questions[:middle], image.questions[middle:]) if middle else ()
    return [[replace(image, questions=half)] for half in halves]
