"""The loop of a job: samples through the model with its knock-outs, rows into the run."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from extract.batched_knockouts.changes import Change
from extract.batched_knockouts.growth import Growth
from extract.batched_knockouts.prefill import run_prefill
from extract.images.loading import open_images
from extract.knockouts.passes import KnockedOut, KnockOutPasses, over_images
from extract.knockouts.references import HeadMeans, References
from extract.loop import Loop, ReaderEnded
from extract.models.answers import AnswerReader
from extract.models.transformers_model import TransformersModel
from extract.passes.batching import ImageQuestions, Question
from extract.questions.question_set import QuestionSet
from extract.questions.samples import Skipped
from schemas.columns import MEAN, SWAP
from schemas.errors import HeadflowError, Stopped
from schemas.jobs.rows import MEASURED
from schemas.jobs.settings import JobSettings
from schemas.store.writer import TO_RESUME, RunWriter
from schemas.text import counted


@dataclass(frozen=True, kw_only=True)
class KnockOutJob(Loop):
    """A job of knock-outs on a loaded model.

    Attributes:
        references: what knock-outs take from other images of the run.
        tokens: how many go through a layer at once, about.
    """

    answers: AnswerReader
    settings: JobSettings
    references: References
    tokens: int

    @property
    def change(self) -> Change:
        """What is done to what is knocked out."""
        return Change(self.settings.kind, self.settings.query, self.settings.key)

    @property
    def model(self) -> TransformersModel:
        """The model."""
        assert isinstance(self.checkpoint, TransformersModel)
        return self.checkpoint

    @cached_property
    def growth(self) -> Growth:
        """What runs the knock-outs."""
        return Growth(self.model, self.change, self.settings.sets, self.tokens)

    def cost(self) -> str:
        """What the job takes, in words."""
        number, passes = len(self.settings.knock_outs), self.growth.layers_run() / self.model.layers
        if self.growth.whole:
            why = "" if self.model.kernel is not None else ", as this model has a mask of its own"
            why = why if len(self.model.attending) == self.model.layers else ", as some layers do not attend"
            return f"{counted(number, 'knock-out')} over the whole prompt{why}, {passes:.1f} passes"
        return f"{counted(number, 'knock-out')} over the question alone, {passes:.1f} passes of its tokens"

    def run(
        self, whole: QuestionSet, chunk: QuestionSet, margins: Mapping[str, float | None], writer: RunWriter
    ) -> Counter[str]:
        """Run the samples that a job lacks, and complete its chunk.

        Args:
            whole: all that the run observed: any of their images may take the place of one, or be averaged over.
            margins: what the run has of its samples, by id.

        Returns:
            How many samples could not be computed, by reason; their rows hold nulls.

        Raises:
            Stopped: a signal asked for it; what was computed is written.
        """
        asked = writer.run.manifest.job or self.settings
        names = list(asked.knock_outs)  # in whose order the writer takes rows
        passes = KnockOutPasses(
            self.model,
            self.answers,
            self.growth,
            names,
            margins=margins,
            means=self._means(whole) if self.settings.kind == MEAN else None,
            partner=PartnerImages(self, whole) if self.settings.kind == SWAP else None,
        )

        def write(outcome: KnockedOut | Skipped) -> None:
            missing = {column: [None] * len(names) for column in MEASURED}
            rows = outcome.rows if isinstance(outcome, KnockedOut) else missing
            writer.add_rows(outcome.sample.sample_id, outcome.sample.category, rows)

        try:
            ended = self.each(chunk, writer.done, passes.over, write)
        except ReaderEnded:
            writer.flush()
            raise
        writer.flush()
        if ended.left:
            if ended.signal is None:
                raise RuntimeError(
                    f"{ended.left[0].sample_id} has no outcome; {len(ended.left)} samples are not written"
                )
            there = len(chunk.samples) - len(ended.left)
            raise Stopped(
                f"stopped: {there} of {counted(len(chunk.samples), 'sample is', 'samples are')} written to "
                f"{writer.path}; {TO_RESUME}",
                ended.signal,
            )
        writer.finish()
        return ended.skipped

    def _means(self, whole: QuestionSet) -> HeadMeans:
        """What heads put out on the reference images.

        Raises:
            HeadflowError: one of them cannot be used; without it, means would be others than in the rest of the job.
        """
        means = HeadMeans(self.growth, self.change)

        def add(image: ImageQuestions) -> list[KnockedOut]:
            means.add(image.sha256, run_prefill(self.model, image))
            return [KnockedOut(question.sample, {}) for question in image.questions]

        def check(outcome: KnockedOut | Skipped) -> None:
            if isinstance(outcome, Skipped):
                raise HeadflowError(
                    f"{outcome.sample.image}, one of the images that means are taken over, cannot be used: "
                    f"{outcome.cause}; give the images of the run",
                    setting="image_folder",
                )

        subset = replace(whole, samples=list(self.references.averaged))
        ended = self.each(subset, frozenset(), lambda batches: over_images(batches, add), check)
        if ended.left:
            raise Stopped("stopped before the first sample", ended.signal or 2)
        return means


@dataclass(frozen=True)
class PartnerImages:
    """The images that take each other's place, read when they are needed."""

    job: KnockOutJob
    questions: QuestionSet

    def __call__(self, image: ImageQuestions) -> ImageQuestions:
        """The image that takes the place of one, with a question about it; raises `Unusable` if it cannot be read."""
        sample = self.job.references.partners.get(image.sha256)
        if sample is None:
            name = image.questions[0].sample.image
            raise HeadflowError(
                f"{name}: not the image that the run was computed with; give the same images", setting="image_folder"
            )
        loaded = open_images(self.questions, [sample], self.job.checkpoint.preprocessor)[0]
        pixels = loaded.usable()
        prompt = self.job.prompts.build(sample, pixels.image_ids)
        return ImageQuestions(loaded.sha256 or "", pixels, [Question(sample, prompt)], loaded.hashes)
