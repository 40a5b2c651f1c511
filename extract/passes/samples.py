"""The row of `samples` of a sample that was observed, with its values in the other tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from extract.models.answers import AnswerReader
from extract.passes.batching import ImageQuestions, Question
from extract.questions.samples import Sample
from extract.tables.maker import Maker, QuestionTensors
from schemas.store.grids import Grids


@dataclass(frozen=True)
class Observed:
    """A sample that was observed.

    Attributes:
        values: what it adds to its row in `samples`.
        grids: what it adds to other tables, see `schemas.store.grids.Grids`.
        thumbnail: the JPEG of a small picture of its image, if one was asked for.
    """

    sample: Sample
    values: dict[str, Any]
    grids: Grids
    thumbnail: bytes | None

    def record(self) -> dict[str, Any]:
        """What goes into the table `samples`."""
        return {**self.sample.record(), **self.values}


def observe_sample(
    question: Question,
    image: ImageQuestions,
    found: QuestionTensors,
    answers: AnswerReader,
    makers: Sequence[Maker],
) -> Observed:
    """Put together what a pass brought for one question."""
    values: dict[str, Any] = {
        "image_sha256": image.sha256,
        **dict(zip(("image_width", "image_height"), image.pixels.size, strict=True)),
        **question.prompt.counts(),
        **answers.row(found, question.sample),
    }
    grids: dict[str, Any] = {}
    for maker in makers:
        more, own = maker.rows(found, image.pixels)
        values |= more
        grids |= own
    return Observed(question.sample, values, grids, image.pixels.thumbnail)
