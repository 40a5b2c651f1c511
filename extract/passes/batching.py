"""Images and their questions -> batches. Equal images are merged; sequences of a batch are similar in length."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from extract.attention.layout import prefix_length, share_prefix
from extract.images.preprocessing import Pixels
from extract.prompts.prompt import Prompt
from extract.questions.samples import Sample, Skipped

WINDOW = 4  # batches of images that are sorted together: more would pad less, but the first result would come later


@dataclass(frozen=True)
class Question:
    """A sample and its prompt."""

    sample: Sample
    prompt: Prompt


@dataclass(frozen=True)
class ImageQuestions:
    """An image and questions about it."""

    sha256: str
    pixels: Pixels
    questions: list[Question]

    def columns(self) -> int:
        """The number of tokens of the packed sequence."""
        lengths = [len(question.prompt.input_ids) for question in self.questions]
        return sum(lengths) - (len(lengths) - 1) * prefix_length(self.questions[0].prompt)


def batches(
    windows: Iterable[Iterable[ImageQuestions | Skipped]], size: int, *, packed: bool
) -> Iterator[list[ImageQuestions] | Skipped]:
    """Divide images into batches of up to `size`, window by window.

    Each image of a batch comes with questions that may share one prefix, or with one question if not `packed`. Within
    a window, images with the same content are merged, and batches are made of neighbours in length. The batches of a
    window depend on nothing outside of it, so a resumed run that starts at a window has the same batches.

    Yields:
        Of each window first its skipped samples, as they are, then its batches.
    """
    for window in windows:
        images: dict[str, ImageQuestions] = {}
        for image in window:
            if isinstance(image, Skipped):
                yield image
                continue
            same = images.get(image.sha256)
            earlier = [] if same is None else same.questions
            images[image.sha256] = replace(image, questions=earlier + image.questions)
        yield from _split(images.values(), size, packed)


def _split(images: Iterable[ImageQuestions], size: int, packed: bool) -> Iterator[list[ImageQuestions]]:
    packs = [
        replace(image, questions=[image.questions[index] for index in indices])
        for image in images
        for indices in _packs(image, packed)
    ]
    packs.sort(key=ImageQuestions.columns)
    for start in range(0, len(packs), size):
        yield packs[start : start + size]


def _packs(image: ImageQuestions, packed: bool) -> list[list[int]]:
    if packed:
        return share_prefix([question.prompt for question in image.questions])
    return [[index] for index in range(len(image.questions))]
