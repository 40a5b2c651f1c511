"""How many images go through the model at once, where the user leaves it to us."""

from collections.abc import Callable, Sequence

import torch

from extract.batching import Asked, Question
from extract.forward import Passes
from extract.prompts.prompt import PromptBuilder
from extract.questions.samples import Sample, Unusable

ON_CPU = 1  # more is no faster there
LARGEST = 32  # a GPU is long saturated


def choose_batch_size(passes: Passes, prompts: PromptBuilder, groups: Sequence[Sequence[Sample]]) -> int:
    """The largest batch that fits into the memory of a GPU, found by trial with a run's longest questions.

    Args:
        groups: for each image the samples that stand behind one prefix.
    """
    if not passes.on_cuda or not groups:
        return ON_CPU
    longest = max(groups, key=lambda group: sum(len(sample.question) for sample in group))
    pixels = passes.blank_pixels()
    questions: list[Question] = []
    for sample in longest:
        try:
            questions.append(Question(len(questions), prompts.build(sample.question, pixels.image_ids)))
        except Unusable:
            continue
    if not questions:
        return 1
    asked = Asked("", pixels, questions)
    return largest(lambda size: fits(passes, [asked] * size))


def largest(fits: Callable[[int], bool]) -> int:
    """The largest power of two up to `LARGEST` that fits with an eighth to spare; 1 where none does."""
    size = 1
    while size < LARGEST and fits(2 * size + max(1, 2 * size // 8)):
        size *= 2
    return size


def fits(passes: Passes, asked: list[Asked]) -> bool:
    """Whether a batch fits into the memory of the device."""
    try:
        list(passes.collect(passes.launch(asked)))
    except torch.OutOfMemoryError:
        return False
    finally:
        torch.cuda.empty_cache()
    return True
