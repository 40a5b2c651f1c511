"""Images and their questions -> batches, of images with equal content merged and of sequences of similar length."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from extract.attention.layout import prefix_length, share_prefix
from extract.images.preprocessing import Pixels
from extract.prompts.prompt import Prompt

WINDOW = 4  # batches of images that are looked at together: more would pad less, and wait longer


@dataclass(frozen=True)
class Question:
    """A prompt, and the place of its sample in the run."""

    place: int
    prompt: Prompt


@dataclass(frozen=True)
class Asked:
    """An image and questions about it."""

    sha256: str
    pixels: Pixels
    questions: list[Question]

    def columns(self) -> int:
        """How many tokens it is once packed."""
        lengths = [len(question.prompt.input_ids) for question in self.questions]
        return sum(lengths) - (len(lengths) - 1) * prefix_length(self.questions[0].prompt)


def batches(windows: Iterable[Iterable[Asked]], size: int, *, packed: bool) -> Iterator[list[Asked]]:
    """Gather images into batches of up to `size`, window by window.

    Each comes with questions that may stand behind one prefix; where not `packed`, with one question.
    Within a window, images with the same content become one, and batches are made of neighbours in length. The batches
    of a window depend on it, and on nothing else: a run that is left goes on at a window with the same numbers.
    """
    for window in windows:
        images: dict[str, Asked] = {}
        for image in window:
            same = images.get(image.sha256)
            more = [] if same is None else same.questions
            images[image.sha256] = replace(image, questions=more + image.questions)
        yield from _split(images.values(), size, packed)


def _split(images: Iterable[Asked], size: int, packed: bool) -> Iterator[list[Asked]]:
    packs = [
        replace(image, questions=[image.questions[index] for index in indices])
        for image in images
        for indices in _packs(image, packed)
    ]
    packs.sort(key=Asked.columns)
    for start in range(0, len(packs), size):
        yield packs[start : start + size]


def _packs(image: Asked, packed: bool) -> list[list[int]]:
    if packed:
        return share_prefix([question.prompt for question in image.questions])
    return [[index] for index in range(len(image.questions))]
