"""How many images go through the model at once, if the user leaves it open."""

from collections.abc import Callable, Sequence
from functools import cache
from itertools import cycle, islice

import torch

from extract.attention.layout import share_prefix
from extract.images.preprocessing import Pixels
from extract.passes.batching import ImageQuestions, Question
from extract.passes.forward import Passes
from extract.prompts.prompt_builder import Prompts
from extract.questions.samples import Sample, Unusable

ON_CPU = 1  # more is no faster there
LARGEST = 32  # a GPU is long saturated
_CANDIDATES = 64  # images of a run that are looked at, by the length of their questions


def choose_batch_size(passes: Passes, prompts: Prompts, groups: Sequence[Sequence[Sample]]) -> int:
    """The largest batch that fits into the memory of a GPU, found by trial with a run's longest prompts.

    Args:
        groups: for each image the samples that stand after one prefix.
    """
    if not passes.on_cuda or not groups:
        return ON_CPU
    images = longest_images(groups, prompts, passes.blank_pixels)
    if not images:
        return 1
    return largest(lambda size: _fits(passes, list(islice(cycle(images), size))))


def longest_images(
    groups: Sequence[Sequence[Sample]], prompts: Prompts, blank: Callable[[int], Pixels]
) -> list[ImageQuestions]:
    """The images of a run whose prompts need most memory, with their prompts; pixels are those of `blank` images.

    A batch is as long as its longest first prompt and its longest further questions together: the two images that have
    these come first. Then those that are longest as a whole.
    """
    by_text = sorted(groups, key=lambda group: -sum(len(sample.question) for sample in group))[:_CANDIDATES]
    by_first = sorted(groups, key=lambda group: -len(group[0].question))[:_CANDIDATES]
    images: list[ImageQuestions] = []
    read = cache(blank)
    for group in {id(group): group for group in (*by_text, *by_first)}.values():
        questions: list[Question] = []
        try:
            pixels = read(len(group[0].images))
        except Unusable:  # several, and the model takes one
            continue
        for sample in group:
            try:
                questions.append(Question(sample, prompts.build(sample, pixels.image_ids)))
            except Unusable:
                continue
        packs = share_prefix([question.prompt for question in questions])
        images += [ImageQuestions("", pixels, [questions[index] for index in indices]) for indices in packs]
    if not images:
        return []

    def first_length(image: ImageQuestions) -> int:
        return len(image.questions[0].prompt.input_ids)

    longest_first = max(images, key=first_length)
    longest_further = max(images, key=lambda image: image.columns() - first_length(image))
    ordered = [longest_first, longest_further, *sorted(images, key=ImageQuestions.columns, reverse=True)]
    return list({id(image): image for image in ordered}.values())


def largest(enough: Callable[[int], bool]) -> int:
    """The largest power of two up to `LARGEST` that fits with an eighth to spare; 1 if none does."""
    size = 1
    while size < LARGEST and enough(2 * size + max(1, 2 * size // 8)):
        size *= 2
    return size


def _fits(passes: Passes, images: list[ImageQuestions]) -> bool:
    """Whether a batch fits into the memory of the device."""
    try:
        list(passes.collect(passes.launch(images)))
    except torch.OutOfMemoryError:
        return False
    finally:
        torch.cuda.empty_cache()
    return True
