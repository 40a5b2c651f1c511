"""The loop over images: read, asked about in prompts, batched, and one outcome for each sample, in order."""

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from tqdm import tqdm

from extract.images.counterfactual.altered import Counterfactual
from extract.images.loading import LoadedImages, load_images, open_images
from extract.models.checkpoint import Checkpoint, device_name
from extract.models.weights.parts import model_sizes
from extract.passes.batching import (
    PACKED_TOGETHER,
    SEPARATE_TOGETHER,
    WINDOW,
    ImageQuestions,
    Question,
    batches,
)
from extract.prompts.prompt_builder import Prompts
from extract.questions.question_set import QuestionSet
from extract.questions.samples import Sample, Skipped, Unusable
from extract.stopping import StopRequest, stop_on_signals
from schemas.errors import HeadflowError
from schemas.jobs.head_sets import NOTHING, HeadSet
from schemas.manifest import PACKED, SEPARATE, Session
from schemas.store.writer import TO_RESUME
from schemas.text import one_line


class ReaderEnded(HeadflowError):
    """A worker process that reads images ended before its time: killed, for instance where memory ran out."""


class _Outcome(Protocol):
    """What became of a sample."""

    @property
    def sample(self) -> Sample:
        """The sample."""


AnOutcome = TypeVar("AnOutcome", bound=_Outcome)


class Bar(Protocol):
    """A progress bar, such as tqdm's."""

    def update(self) -> Any:
        """One sample more is done."""

    def set_postfix(self, *, skipped: int, refresh: bool) -> Any:
        """Say how many were skipped."""


def progress_bar(total: int, initial: int) -> AbstractContextManager[Bar]:
    """A bar for a terminal, nothing in a pipe; of `total` samples, `initial` are done before."""
    return tqdm(total=total, initial=initial, unit="sample", dynamic_ncols=True, disable=None)


_Batches = Iterable[list[ImageQuestions] | Skipped]
Window = list[list[Sample]]  # the samples about each of some images


@dataclass(frozen=True)
class Ended:
    """How a loop ended.

    Attributes:
        left: the samples that had no outcome.
        signal: the signal that asked it to stop; None: there was none.
        skipped: how many samples were skipped, by reason.
    """

    left: list[Sample]
    signal: int | None
    skipped: Counter[str]


@dataclass(frozen=True, kw_only=True)
class Loop:
    """What turns samples into batches.

    Attributes:
        packed: whether questions on one image share one prefix.
        batch_size: images that go through the model at once.
        workers: processes that decode and preprocess images.
        removed: the heads and layers that were taken out of the model.
        thumbnails: whether small pictures of the images are made.
        counterfactual: makes counterfactual images; None: they are read as they are.
        bar: opens a progress bar, see `progress_bar`.
    """

    checkpoint: Checkpoint
    prompts: Prompts
    packed: bool
    batch_size: int
    workers: int
    removed: HeadSet = NOTHING
    thumbnails: bool = False
    counterfactual: Counterfactual | None = None
    bar: Callable[[int, int], AbstractContextManager[Bar]] = progress_bar

    def manifest_fields(self) -> dict[str, Any]:
        """The fields of a run's manifest that it decides."""
        return {
            **self.checkpoint.manifest_fields(),
            "sizes": model_sizes(self.checkpoint),
            "removed": self.removed.to_object(),
            "sequences": PACKED if self.packed else SEPARATE,
            **self.prompts.manifest_fields(),
        }

    def session(self) -> Session:
        """The fields of the session that it decides."""
        return Session(
            device=device_name(self.checkpoint.device, *self.checkpoint.others),
            kernel=self.checkpoint.kernel_description,
            batch_size=self.batch_size,
        )

    def each(
        self,
        questions: QuestionSet,
        done: frozenset[str],
        over: Callable[[_Batches], Iterator[AnOutcome | Skipped]],
        write: Callable[[AnOutcome | Skipped], None],
    ) -> Ended:
        """Give each sample that is not done its outcome, with a progress bar.

        The outcomes come image by image, in the order of the first question about each. If a file has the questions
        about an image side by side, that is the order of the file. After an interruption, every batch
        with an unfinished sample runs again whole, so that the batches are those of a run that was never interrupted.
        The batch with the first missing sample comes first, so that each batch that ends before a stop request brings
        at least one sample.

        Args:
            over: batches -> the outcomes of their samples; skipped samples come through as they are.
            write: gets each outcome, in order.

        Raises:
            ReaderEnded: a process that reads images ended.
        """
        divided = questions.windows(WINDOW * self.batch_size, PACKED_TOGETHER if self.packed else SEPARATE_TOGETHER)
        windows = [window for window in divided if not done.issuperset(_ids(window))]
        samples = [sample for window in windows for group in window for sample in group]
        samples = [sample for sample in samples if sample.sample_id not in done]
        skipped: Counter[str] = Counter()
        ended, total = 0, len(questions.samples)
        with (
            stop_on_signals() as stop,
            self.bar(total, total - len(samples)) as progress,
            closing(self._prepare(questions, windows, stop)) as prepared,  # a traceback would keep its workers
        ):
            made = batches(prepared, self.batch_size, packed=self.packed, done=done)
            outcomes = over(until_stopped(made, stop, samples[0].sample_id if samples else ""))
            missing = (outcome for outcome in outcomes if outcome.sample.sample_id not in done)
            for outcome in in_order(samples, missing):
                ended += 1
                progress.update()
                if isinstance(outcome, Skipped):
                    skipped[outcome.cause.reason] += 1
                    progress.set_postfix(skipped=skipped.total(), refresh=False)
                write(outcome)
        return Ended(samples[ended:], stop.signal, skipped)

    def _prepare(
        self, questions: QuestionSet, windows: list[Window], stop: StopRequest
    ) -> Generator[list[ImageQuestions | Skipped]]:
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

    def _write_prompts(self, image: LoadedImages, samples: Sequence[Sample]) -> Iterator[ImageQuestions | Skipped]:
        """Images of a question with the prompts about them, and the samples that cannot be observed."""
        written = []
        for sample in samples:
            try:
                pixels = image.usable()
                written.append(Question(sample, self.prompts.build(sample, pixels.image_ids)))
            except Unusable as error:
                yield Skipped(sample, Unusable(error.reason, error.detail, image_sha256=image.sha256))
            except Exception as error:  # a chat template or a tokenizer, which did not fail on other questions
                name = "" if isinstance(error, HeadflowError) else f"{type(error).__name__}: "
                detail = f"{name}{one_line(error)[:300]}"
                yield Skipped(sample, Unusable("model_failed", detail, image_sha256=image.sha256))
        if written:
            assert image.sha256 is not None  # it was read
            yield ImageQuestions(image.sha256, pixels, written, image.hashes)

    def _read_images(
        self, questions: QuestionSet, samples: Sequence[Sample], stop: StopRequest
    ) -> Iterator[LoadedImages]:
        """The images of each sample; ends early if `stop` is set and the workers ended at the signal, or are stuck."""
        if not samples:
            return
        files = open_images(
            questions, samples, self.checkpoint.preprocessor, self.counterfactual, thumbnails=self.thumbnails
        )
        ahead, pin = WINDOW * self.batch_size, self.checkpoint.device.type == "cuda"
        images = load_images(files, workers=self.workers, ahead=ahead, pin=pin, stopped=lambda: stop.signal is not None)
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


def until_stopped(made: _Batches, stop: StopRequest, first: str) -> Iterator[list[ImageQuestions] | Skipped]:
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


def in_order(samples: Iterable[Sample], outcomes: Iterable[AnOutcome]) -> Iterator[AnOutcome]:
    """The outcomes in the order of `samples`, each as soon as those before it are there.

    Ends before a sample whose outcome does not come.
    """
    waiting: dict[str, AnOutcome] = {}
    expected = iter(samples)
    following = next(expected, None)
    for outcome in outcomes:
        waiting[outcome.sample.sample_id] = outcome
        while following is not None and following.sample_id in waiting:
            yield waiting.pop(following.sample_id)
            following = next(expected, None)


def _ids(window: Window) -> set[str]:
    return {sample.sample_id for group in window for sample in group}
