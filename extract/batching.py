"""Images and their questions -> batches, of images with equal content merged and of sequences of similar length."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from extract.packing import prefix_length, share_prefix
from extract.pixels import Pixels
from extract.prompts import Prompt

WINDOW = 4  # batches that are filled together: more would pad less, and wait longer


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


def batches(images: Iterable[Asked], size: int, *, packed: bool) -> Iterator[list[Asked]]:
    """Gather images into batches of up to `size`.

    Each comes with questions that may stand behind one prefix; where not `packed`, with one question.
    Images are taken `WINDOW * size` at a time. Within such a window, those with the same content become one, and
    batches are made of neighbours in length. What comes out depends on what goes in, and on nothing else.
    """
    window: dict[str, Asked] = {}
    for image in images:
        same = window.get(image.sha256)
        if same is not None:
            window[image.sha256] = replace(same, questions=same.questions + image.questions)
            continue
        if len(window) == WINDOW * size:
            yield from _split(window.values(), size, packed)
            window = {}
        window[image.sha256] = image
    yield from _split(window.values(), size, packed)


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
