"""The extract stage: samples through the model, what was observed into the run."""

import sys
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from extract.checks import too_many_skipped
from extract.loop import Loop, ReaderEnded
from extract.passes.forward import Outcome, Passes
from extract.passes.samples import Observed
from extract.questions.question_set import QuestionSet
from schemas.errors import HeadflowError, Stopped
from schemas.manifest import EXTRACTED, ORIGINAL
from schemas.store.run import open_run
from schemas.store.writer import TO_RESUME, RunWriter
from schemas.text import counted
from schemas.validation.answers import not_answered

FIRST_SAMPLES = 16  # samples of a session that are looked at, so that a warning comes before hours of work


@dataclass(frozen=True, kw_only=True)
class Extractor(Loop):
    """Everything that turns samples into rows of a run.

    Attributes:
        images: which images the model is given, of `schemas.manifest.IMAGES`.
    """

    passes: Passes
    images: str = ORIGINAL

    def describe(self) -> dict[str, Any]:
        """The fields of the manifest that it decides."""
        return {
            "source": EXTRACTED,
            "text_scope": "all",
            **self.passes.manifest_fields(),
            **self.manifest_fields(),
            "images": self.images,
            "task": self.passes.answers.task.name,
            **self.passes.answers.tokens.manifest_fields(),
        }

    def run(self, questions: QuestionSet, writer: RunWriter) -> tuple[Counter[str], bool]:
        """Run the samples that a run lacks, see `Loop.each`, and complete the run.

        Returns:
            How many samples were skipped, by reason; and whether it was said that the first token is no answer.

        Raises:
            Stopped: a signal asked for it; the current batch was finished and what was observed is written.
            HeadflowError: nearly all samples were skipped for one reason; they are taken out of the run again.
            RuntimeError: a sample was lost on the way, neither observed nor skipped; the run stays incomplete.
        """
        first: list[list[float]] = []
        warned: list[bool] = []

        def write(outcome: Outcome) -> None:
            if isinstance(outcome, Observed):
                writer.add(outcome.record(), outcome.grids, outcome.thumbnails)
                if not writer.run.manifest.answers_in_texts and len(first) < FIRST_SAMPLES:
                    first.append([outcome.values[name] for name in self.passes.answers.task.probabilities])
                    if len(first) == FIRST_SAMPLES:
                        warned.append(self._warn_early(np.array(first)))
            else:
                writer.skip(outcome.record(), outcome.cause.reason, outcome.cause.detail)

        try:
            ended = self.each(questions, writer.done, self.passes.over, write)
        except ReaderEnded:
            writer.flush()
            raise
        writer.session.noise = self.passes.noise or {}
        writer.flush()
        wrong = too_many_skipped(open_run(writer.path)) if ended.skipped else None
        if wrong:
            writer.take_out_skipped()
        if ended.left:
            if ended.signal is None:
                raise RuntimeError(
                    f"{ended.left[0].sample_id} was neither observed nor skipped, {len(ended.left)} of "
                    f"{len(questions.samples)} samples are not written"
                )
            raise Stopped(_progress(writer), ended.signal)
        if wrong:
            raise HeadflowError(wrong)
        writer.finish()
        return ended.skipped, any(warned)

    def _warn_early(self, found: np.ndarray) -> bool:
        """Say, and return, whether answers hold little probability in some samples; [samples, `Task.probabilities`]."""
        answers = self.passes.answers
        held = dict(zip(answers.task.probabilities, found.T, strict=True))
        if warning := not_answered(held, answers.task, answers.tokens.texts):
            print(f"\nwarning: so far, {warning}", file=sys.stderr)
        return warning is not None


def _progress(writer: RunWriter) -> str:
    run = open_run(writer.path)
    written = sum(part.rows["samples"] for part in run.parts)
    there = f"{written} of {counted(run.samples_asked or 0, 'sample is', 'samples are')} written"
    return f"stopped: {there} to {writer.path}; {TO_RESUME}"
