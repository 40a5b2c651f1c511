"""Images and their questions -> batches. Equal images are merged; sequences of a batch are similar in length."""

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, replace
from operator import itemgetter

from extract.attention.layout import prefix_length, share_prefix
from extract.images.preprocessing import Pixels
from extract.prompts.prompt_builder import Prompt
from extract.questions.samples import Sample, Skipped

WINDOW = 4  # batches of images that are sorted together: more would pad less, but the first result would come later
# Questions on one image that count as one image of a window: those after one prefix, or in sequences of their own
PACKED_TOGETHER, SEPARATE_TOGETHER = 32, 2


@dataclass(frozen=True)
class Question:
    """A sample and its prompt."""

    sample: Sample
    prompt: Prompt


@dataclass(frozen=True)
class ImageQuestions:
    """One image, or several, and questions about it.

    Attributes:
        sha256: tells the images from others, see `extract.images.loading.LoadedImages`.
        hashes: of each of the images; empty: none is recorded.
    """

    sha256: str
    pixels: Pixels
    questions: list[Question]
    hashes: tuple[str, ...] = ()

    def columns(self) -> int:
        """The number of tokens of the packed sequence."""
        lengths = [len(question.prompt.input_ids) for question in self.questions]
        return sum(lengths) - (len(lengths) - 1) * prefix_length(self.questions[0].prompt)


def batches(
    windows: Iterable[Iterable[ImageQuestions | Skipped]],
    size: int,
    *,
    packed: bool,
    done: Container[str] = frozenset(),
) -> Iterator[list[ImageQuestions] | Skipped]:
    """Divide images into batches of up to `size`, window by window.

    Each image of a batch comes with questions that may share one prefix, or with one question if not `packed`. Within
    a window, images with the same content are merged, and batches are made of neighbours in length. The batches of a
    window depend on nothing outside of it, nor on `done`, so a resumed run has the same batches.

    Args:
        done: ids of samples that are not needed; batches of nothing else are left out.

    Yields:
        Of each window first its skipped samples, as they are, then its batches, in the order of the first sample of
        each that is not `done`.
    """
    for window in windows:
        images: dict[str, ImageQuestions] = {}
        needed: dict[str, int] = {}  # the place of each sample in the window
        for image in window:
            if isinstance(image, Skipped):
                yield image
                continue
            same = images.get(image.sha256)
            earlier = [] if same is None else same.questions
            images[image.sha256] = replace(image, questions=earlier + image.questions)
            for question in image.questions:
                if question.sample.sample_id not in done:
                    needed[question.sample.sample_id] = len(needed)
        yield from _in_order(_split(images.values(), size, packed), needed)


def _in_order(made: Iterable[list[ImageQuestions]], needed: dict[str, int]) -> list[list[ImageQuestions]]:
    """The batches that have a sample of `needed`, in the order of its places."""
    first: list[tuple[int, list[ImageQuestions]]] = []
    for batch in made:
        ids = [question.sample.sample_id for image in batch for question in image.questions]
        places = [needed[name] for name in ids if name in needed]
        if places:
            first.append((min(places), batch))
    return [batch for _, batch in sorted(first, key=itemgetter(0))]


def _split(images: Iterable[ImageQuestions], size: int, packed: bool) -> Iterator[list[ImageQuestions]]:
    """Batches of neighbours in length."""
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
