"""The row of `samples` of a sample that was observed, with its values in the other tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from extract.models.answers import AnswerReader
from extract.passes.batching import ImageQuestions, Question
from extract.questions.samples import Sample
from extract.tables.maker import Maker, QuestionTensors
from schemas.columns import PICTURES
from schemas.store.grids import Grids


@dataclass(frozen=True)
class Observed:
    """A sample that was observed.

    Attributes:
        values: what it adds to its row in `samples`.
        grids: what it adds to other tables, see `schemas.store.grids.Grids`.
        thumbnails: the JPEGs of small pictures of its images by their hashes, if these were asked for.
    """

    sample: Sample
    values: dict[str, Any]
    grids: Grids
    thumbnails: Mapping[str, bytes]

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
        **question.prompt.counts(),
        **answers.row(found, question.sample),
    }
    grids: dict[str, Any] = {}
    pictures = [{"image_width": width, "image_height": height} for width, height in image.pixels.sizes]
    for maker in makers:
        more, places, own = maker.rows(found, image.pixels)
        values |= more
        grids |= own
        for picture, place in zip(pictures, places, strict=False):
            picture |= place
    values |= pictures[0]  # where there are several, of the first
    if len(pictures) > 1:
        named = zip(question.sample.images, image.hashes, pictures, strict=True)
        values[PICTURES] = [{"image": name, "image_sha256": own, **picture} for name, own, picture in named]
    thumbnails = dict(zip(image.hashes, image.pixels.thumbnails, strict=False))
    return Observed(question.sample, values, grids, thumbnails)
