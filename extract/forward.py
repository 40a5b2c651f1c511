"""Forward passes over batches: started one ahead, and collected as rows."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from extract.attention.packing import Batch, pack
from extract.batching import Asked
from extract.images.preprocessing import Pixels, blank_image
from extract.models.answers import AnswerReader
from extract.models.checkpoint import Checkpoint
from extract.models.transfer import Download, Uploader
from extract.questions.samples import Unusable
from schemas.text import one_line

LARGE = 1344  # pixels


@dataclass(frozen=True)
class Observed:
    """What an observed sample adds to its row in `samples`, and its flows, float32 [layers, heads, flows]."""

    row: dict[str, Any]
    flows: np.ndarray


Outcome = Observed | Unusable


@dataclass(frozen=True)
class Launched:
    """A forward pass that may still be running; `sent` is kept for as long as the device may read it."""

    asked: list[Asked]
    results: Download
    sent: tuple[Batch, dict[str, Tensor]]


class Passes:
    """Runs batches through a model."""

    def __init__(self, checkpoint: Checkpoint, answers: AnswerReader) -> None:
        self._checkpoint = checkpoint
        self._answers = answers
        self._uploader = Uploader(checkpoint.device, checkpoint.dtype)

    @property
    def on_cuda(self) -> bool:
        """Whether the model is on a GPU."""
        return self._checkpoint.device.type == "cuda"

    def blank_pixels(self) -> Pixels:
        """What the model reads of a black image, as large as images mostly are."""
        return self._checkpoint.preprocessor(blank_image(LARGE))

    def over(self, batches: Iterable[list[Asked]]) -> Iterator[tuple[int, Outcome]]:
        """The place of each question, and what came of it.

        A pass is collected when the next one has been started, so that a GPU always has work.
        """
        before: Launched | None = None
        launched: Launched | None
        for batch in batches:
            try:
                launched = self.launch(batch)
            except torch.OutOfMemoryError:
                launched = None
            if before is not None:
                yield from self.collect(before)
            before = launched
            if launched is None:
                yield from self._in_pieces(batch)
        if before is not None:
            yield from self.collect(before)

    def _in_pieces(self, asked: list[Asked]) -> Iterator[tuple[int, Outcome]]:
        """The same of a batch that did not fit, halved until its pieces do; a question that never fits is unusable."""
        if self.on_cuda:
            torch.cuda.empty_cache()
        try:
            yield from list(self.collect(self.launch(asked)))
            return
        except torch.OutOfMemoryError as error:
            problem = one_line(error)[:300]
        halves = _halves(asked)
        for half in halves:
            yield from self._in_pieces(half)
        if not halves:
            (image,) = asked
            yield image.questions[0].place, Unusable("out_of_memory", problem, image_sha256=image.sha256)

    def launch(self, asked: list[Asked]) -> Launched:
        """Start a pass; on CUDA, this returns before it is done."""
        prompts = [[question.prompt for question in image.questions] for image in asked]
        sent = self._uploader.send(pack(prompts), [image.pixels for image in asked])
        logits, flows = self._checkpoint.forward(*sent)
        finite = torch.isfinite(logits).all(dim=-1)
        return Launched(asked, Download(flows, finite, *self._answers.read(logits)), sent)

    def collect(self, launched: Launched) -> Iterator[tuple[int, Outcome]]:
        """The outcomes of a pass, once it is done."""
        results = zip(*launched.results.wait(), strict=True)
        for image in launched.asked:
            for question in image.questions:
                flows, finite, *answer = next(results)
                problem = _not_finite(flows, finite)
                if problem:
                    yield question.place, Unusable("not_finite", problem, image_sha256=image.sha256)
                else:
                    row = {"image_sha256": image.sha256, **question.prompt.counts(), **self._answers.row(*answer)}
                    yield question.place, Observed(row, flows.numpy())


def _halves(asked: list[Asked]) -> list[list[Asked]]:
    """A batch in two, by images or by the questions on one; empty where it is one question."""
    if len(asked) > 1:
        return [asked[: len(asked) // 2], asked[len(asked) // 2 :]]
    (image,) = asked
    middle = len(image.questions) // 2
    halves = (image.questions[:middle], image.questions[middle:]) if middle else ()
    return [[replace(image, questions=half)] for half in halves]


def _not_finite(flows: Tensor, finite_logits: Tensor) -> str | None:
    """What holds NaN or infinity, if anything does; `flows` are [layers, heads, flows]."""
    layers = torch.isfinite(flows).flatten(1).all(dim=1)
    if not layers.all():
        return f"attention of layer {int((~layers).nonzero()[0])} is not finite"
    return None if finite_logits else "logits are not finite"
