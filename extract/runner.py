"""The loop: images through the model with their questions, their flows into the run."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

import torch
from tqdm import tqdm

from extract.batching import WINDOW, Asked, Question, batches
from extract.forward import Outcome, Passes
from extract.images.loading import LoadedImage, load_images, open_images
from extract.models.checkpoint import Checkpoint
from extract.prompts.prompt import PromptBuilder
from extract.questions.question_set import QuestionSet
from extract.questions.samples import Sample, Unusable
from extract.stopping import Wish, stopping
from schemas.columns import FLOW_NAMES
from schemas.errors import HeadflowError, Stopped
from schemas.manifest import EXTRACTED, PACKED, SEPARATE, Session
from schemas.store.run import open_run
from schemas.store.writer import GO_ON, RunWriter
from schemas.text import one_line


@dataclass(frozen=True)
class Extractor:
    """Everything that turns samples into rows.

    Attributes:
        packed: whether questions on one image go behind one prefix.
        batch_size: images that go through the model at once.
        workers: processes that decode and preprocess images.
    """

    checkpoint: Checkpoint
    prompts: PromptBuilder
    passes: Passes
    packed: bool
    batch_size: int
    workers: int

    def describe(self) -> dict[str, Any]:
        """What the manifest says of it, by field."""
        return {
            "source": EXTRACTED,
            "flows": list(FLOW_NAMES),
            "text_scope": "all",
            **self.checkpoint.manifest_fields(),
            "sequences": PACKED if self.packed else SEPARATE,
            "conv_mode": self.prompts.template.name,
            "system_span": self.prompts.system_span,
            "prompt_suffix": self.prompts.suffix,
        }

    def session(self) -> Session:
        """Who computes what follows."""
        return Session(
            device=_device_name(self.checkpoint.device),
            kernel=self.checkpoint.kernel_description,
            batch_size=self.batch_size,
        )

    def run(self, questions: QuestionSet, writer: RunWriter) -> Counter[str]:
        """Run the samples that a run lacks, with a progress bar; returns how many were skipped, by reason.

        Samples are written image by image, in the order of the first question about each; where a file has the
        questions about an image side by side, that is the order of the file. A window of images (see `batches`) that
        the run has in part is run whole, so that its numbers do not depend on where the run was left.

        Raises:
            Stopped: on a signal; the batch at hand is finished and what was observed is written.
        """
        left = [
            window for window in questions.windows(WINDOW * self.batch_size) if not writer.done.issuperset(_ids(window))
        ]
        ordered = [sample for window in left for group in window for sample in group]
        skipped: Counter[str] = Counter()
        with (
            stopping() as wish,
            tqdm(
                total=len(questions.samples),
                initial=len(questions.samples) - len(ordered),
                unit="sample",
                dynamic_ncols=True,
            ) as progress,
        ):
            outcomes = _in_order(self._outcomes(questions, left, wish))
            for sample, outcome in zip(ordered, outcomes, strict=False):  # fewer where there is a wish
                progress.update()
                if sample.sample_id in writer.done:
                    continue
                if isinstance(outcome, Unusable):
                    skipped[outcome.reason] += 1
                    progress.set_postfix(skipped=skipped.total(), refresh=False)
                    row = {**sample.record(), "image_sha256": outcome.image_sha256}
                    writer.skip(row, outcome.reason, outcome.detail)
                else:
                    writer.add({**sample.record(), **outcome.row}, {"heads": outcome.flows})
        if wish.signal is not None:
            writer.flush()
            run = open_run(writer.path)
            written = sum(part.rows["samples"] for part in run.parts)
            message = f"stopped: {written} of {run.samples_asked} samples are written to {writer.path}"
            raise Stopped(f"{message}; {GO_ON}", wish.signal)
        writer.finish()
        return skipped

    def _outcomes(
        self, questions: QuestionSet, windows: list[list[list[Sample]]], wish: Wish
    ) -> Iterator[tuple[int, Outcome]]:
        """What came of each sample, by its place; batch by batch, so not in order."""
        asking = _Asking(self, questions, windows, wish)
        made = batches(asking, self.batch_size, packed=self.packed)
        for outcome in self.passes.over(takewhile(lambda _: wish.signal is None, made)):
            yield outcome
            yield from asking.take_rejected()
        yield from asking.take_rejected()


@dataclass
class _Asking:
    """Iterates over windows of images that can be used, with the questions that can, and keeps what cannot."""

    extractor: Extractor
    question_set: QuestionSet
    windows: list[list[list[Sample]]]
    wish: Wish
    rejected: list[tuple[int, Unusable]] = field(default_factory=list)

    def take_rejected(self) -> list[tuple[int, Unusable]]:
        """What was found unusable since this was last asked, by place."""
        taken, self.rejected = self.rejected, []
        return taken

    def __iter__(self) -> Iterator[list[Asked]]:
        place, images = 0, self._images()
        for window in self.windows:
            usable = []
            for group, image in zip(window, images, strict=False):  # fewer where there is a wish
                questions = []
                for sample in group:
                    try:
                        prompt = self.extractor.prompts.build(sample.question, image.usable().image_ids)
                        questions.append(Question(place, prompt))
                    except Unusable as error:
                        error.image_sha256 = image.sha256
                        self.rejected.append((place, error))
                    place += 1
                if questions and image.sha256 is not None and image.pixels is not None:
                    usable.append(Asked(image.sha256, image.pixels, questions))
            yield usable

    def _images(self) -> Iterator[LoadedImage]:
        checkpoint = self.extractor.checkpoint
        firsts = [group[0] for window in self.windows for group in window]
        if not firsts:
            return
        files = open_images(self.question_set, firsts, checkpoint.preprocessor)
        ahead, pin = WINDOW * self.extractor.batch_size, checkpoint.device.type == "cuda"
        images = load_images(files, workers=self.extractor.workers, ahead=ahead, pin=pin)
        while True:
            try:
                image = next(images)
            except StopIteration:
                return
            except RuntimeError as error:
                if self.wish.signal is not None:  # which reached the processes too
                    return
                raise HeadflowError(f"a process that reads images failed: {one_line(error)[:300]}") from error
            yield image


def _ids(window: list[list[Sample]]) -> set[str]:
    return {sample.sample_id for group in window for sample in group}


def _in_order(outcomes: Iterable[tuple[int, Outcome]]) -> Iterator[Outcome]:
    """Outcomes by their places 0, 1, 2 ..., each as soon as those before it are there."""
    waiting: dict[int, Outcome] = {}
    following = 0
    for place, outcome in outcomes:
        waiting[place] = outcome
        while following in waiting:
            yield waiting.pop(following)
            following += 1


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
