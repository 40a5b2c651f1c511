"""The loop: images through the model with their questions, what was observed into the run."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from tqdm import tqdm

from extract.images.loading import LoadedImage, load_images, open_images
from extract.models.checkpoint import Checkpoint
from extract.passes.batching import (
    PACKED_TOGETHER,
    SEPARATE_TOGETHER,
    WINDOW,
    ImageQuestions,
    Question,
    batches,
)
from extract.passes.forward import Observed, Outcome, Passes
from extract.prompts.prompt import Prompts
from extract.questions.question_set import QuestionSet
from extract.questions.samples import Sample, Skipped, Unusable
from extract.skipped import too_many_skipped
from extract.stopping import StopRequest, stop_on_signals
from schemas.columns import FLOW_NAMES
from schemas.errors import HeadflowError, Stopped
from schemas.manifest import EXTRACTED, PACKED, SEPARATE, Session
from schemas.store.run import open_run
from schemas.store.writer import TO_RESUME, RunWriter
from schemas.text import one_line


class ReaderEnded(HeadflowError):
    """A worker process that reads images ended before its time: killed, for instance where memory ran out."""


Window = list[list[Sample]]  # the samples about each of some images


@dataclass(frozen=True)
class Extractor:
    """Everything that turns samples into rows.

    Attributes:
        packed: whether questions on one image share one prefix.
        batch_size: images that go through the model at once.
        workers: processes that decode and preprocess images.
    """

    checkpoint: Checkpoint
    prompts: Prompts
    passes: Passes
    packed: bool
    batch_size: int
    workers: int

    def describe(self) -> dict[str, Any]:
        """The fields of the manifest that it decides."""
        return {
            "source": EXTRACTED,
            "flows": list(FLOW_NAMES),
            "text_scope": "all",
            "tables": list(self.passes.residual.names) if self.passes.residual else [],
            **self.checkpoint.manifest_fields(),
            "sequences": PACKED if self.packed else SEPARATE,
            **self.prompts.manifest_fields(),
            **self.passes.answers.tokens.manifest_fields(),
        }

    def session(self) -> Session:
        """The fields of the session that it decides."""
        return Session(
            device=device_name(self.checkpoint.device),
            kernel=self.checkpoint.kernel_description,
            batch_size=self.batch_size,
        )

    def run(self, questions: QuestionSet, writer: RunWriter) -> Counter[str]:
        """Run the samples that a run lacks, with a progress bar, and complete the run.

        Samples are written image by image, in the order of the first question about each. If a file has the questions
        about an image side by side, that is the order of the file. Of a window of images (see `batches`) that the run
        has in part, those batches run again that have a sample which it lacks: so its batches are those of a run that
        was never interrupted. The batch with the first missing sample comes first, so that each batch that ends before
        a stop request brings at least one sample into the run.

        Returns:
            How many samples were skipped, by reason.

        Raises:
            Stopped: a signal asked for it; the current batch was finished and what was observed is written.
            HeadflowError: nearly all samples were skipped for one reason; they are taken out of the run again.
            RuntimeError: a sample was lost on the way, neither observed nor skipped; the run stays incomplete.
        """
        divided = questions.windows(WINDOW * self.batch_size, PACKED_TOGETHER if self.packed else SEPARATE_TOGETHER)
        windows = [window for window in divided if not writer.done.issuperset(_ids(window))]
        samples = [sample for window in windows for group in window for sample in group]
        samples = [sample for sample in samples if sample.sample_id not in writer.done]
        skipped: Counter[str] = Counter()
        ended, total = 0, len(questions.samples)
        with (
            stop_on_signals() as stop,
            tqdm(total=total, initial=total - len(samples), unit="sample", dynamic_ncols=True) as progress,
        ):
            try:
                for outcome in in_order(samples, self._outcomes(questions, windows, writer.done, stop, samples)):
                    ended += 1
                    progress.update()
                    if isinstance(outcome, Skipped):
                        skipped[outcome.cause.reason] += 1
                        progress.set_postfix(skipped=skipped.total(), refresh=False)
                    _write(outcome, writer)
            except ReaderEnded:
                writer.flush()
                raise
        writer.session.noise = self.passes.noise or {}
        writer.flush()
        wrong = too_many_skipped(open_run(writer.path)) if skipped else None
        if wrong:
            writer.take_out_skipped()
        if ended < len(samples):
            if stop.signal is None:
                raise RuntimeError(
                    f"{samples[ended].sample_id} was neither observed nor skipped, {len(samples) - ended} of "
                    f"{len(samples)} samples are not written"
                )
            raise Stopped(_progress(writer), stop.signal)
        if wrong:
            raise HeadflowError(wrong)
        writer.finish()
        return skipped

    def _outcomes(
        self,
        questions: QuestionSet,
        windows: list[Window],
        done: frozenset[str],
        stop: StopRequest,
        samples: Sequence[Sample],
    ) -> Iterator[Outcome]:
        """The outcome of each of `samples`, which are not `done`, batch by batch; ends early if `stop` is set."""
        prepared = self._prepare(questions, windows, stop)
        made = batches(prepared, self.batch_size, packed=self.packed, done=done)
        outcomes = self.passes.over(until_stopped(made, stop, samples[0].sample_id if samples else ""))
        return (outcome for outcome in outcomes if outcome.sample.sample_id not in done)

    def _prepare(
        self, questions: QuestionSet, windows: list[Window], stop: StopRequest
    ) -> Iterator[list[ImageQuestions | Skipped]]:
        """The images of each window with the prompts about them; ends early if `stop` is set."""
        images = self._read_images(questions, [group[0] for window in windows for group in window], stop)
        for window in windows:
            prepared: list[ImageQuestions | Skipped] = []
            for group in window:
                image = next(images, None)
                if image is None:
                    return
                prepared += self._write_prompts(image, group)
            yield prepared

    def _write_prompts(self, image: LoadedImage, samples: Sequence[Sample]) -> Iterator[ImageQuestions | Skipped]:
        """An image with the prompts about it, and the samples that cannot be observed."""
        written = []
        for sample in samples:
            try:
                pixels = image.usable()
                written.append(Question(sample, self.prompts.build(sample, pixels.image_ids)))
            except Unusable as error:
                yield Skipped(sample, Unusable(error.reason, error.detail, image_sha256=image.sha256))
        if written:
            assert image.sha256 is not None  # it was read
            yield ImageQuestions(image.sha256, pixels, written)

    def _read_images(
        self, questions: QuestionSet, samples: Sequence[Sample], stop: StopRequest
    ) -> Iterator[LoadedImage]:
        """The image of each sample; ends early if `stop` is set and the workers ended at the same signal."""
        if not samples:
            return
        files = open_images(questions, samples, self.checkpoint.preprocessor)
        ahead, pin = WINDOW * self.batch_size, self.checkpoint.device.type == "cuda"
        images = load_images(files, workers=self.workers, ahead=ahead, pin=pin)
        while True:
            try:
                image = next(images)
            except StopIteration:
                return
            except RuntimeError as error:
                if stop.signal is not None:
                    return
                raise ReaderEnded(f"a process that reads images ended: {one_line(error)[:300]}; {TO_RESUME}") from error
            yield image


def until_stopped(
    made: Iterable[list[ImageQuestions] | Skipped], stop: StopRequest, first: str
) -> Iterator[list[ImageQuestions] | Skipped]:
    """Batches up to a stop request, but one at least: so each start brings a run on, however early it is stopped.

    Args:
        first: id of the first missing sample, which is in the first batch, or skipped.
    """
    begun = False
    for batch in made:
        if begun and stop.signal is not None:
            return
        yield batch
        begun = begun or not isinstance(batch, Skipped) or batch.sample.sample_id == first


def in_order(samples: Iterable[Sample], outcomes: Iterable[Outcome]) -> Iterator[Outcome]:
    """The outcomes in the order of `samples`, each as soon as those before it are there.

    Ends before a sample whose outcome does not come.
    """
    waiting: dict[str, Outcome] = {}
    expected = iter(samples)
    following = next(expected, None)
    for outcome in outcomes:
        waiting[outcome.sample.sample_id] = outcome
        while following is not None and following.sample_id in waiting:
            yield waiting.pop(following.sample_id)
            following = next(expected, None)


def _write(outcome: Outcome, writer: RunWriter) -> None:
    if isinstance(outcome, Observed):
        writer.add(outcome.record(), outcome.grids)
    else:
        writer.skip(outcome.record(), outcome.cause.reason, outcome.cause.detail)


def _progress(writer: RunWriter) -> str:
    run = open_run(writer.path)
    written = sum(part.rows["samples"] for part in run.parts)
    return f"stopped: {written} of {run.samples_asked} samples are written to {writer.path}; {TO_RESUME}"


def _ids(window: Window) -> set[str]:
    return {sample.sample_id for group in window for sample in group}


def device_name(device: torch.device) -> str:
    """The name of a device as sessions record it: that of the GPU, or `cpu`."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
