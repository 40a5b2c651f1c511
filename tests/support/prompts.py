"""Prompts of random tokens, and where `pack` is to put each of their tokens, worked out the slow way."""

import numpy as np

from extract.prompts.prompt_builder import Prompt
from schemas.roles import BOS, IMAGE, QUESTION, SYSTEM, USER

IMAGE_TOKEN = 999


def prompt(question: int, *, image: int = 20, seed: int = 0) -> Prompt:
    """BOS, four tokens of a system prompt, two more, the image, and a question of so many tokens."""
    words = np.random.default_rng(seed).integers(2, 900, question).tolist()
    ids = [1, 11, 12, 13, 14, 21, 22, *[IMAGE_TOKEN] * image, *words]
    return Prompt(ids, [BOS, *[SYSTEM] * 4, *[USER] * 2, *[IMAGE] * image, *[QUESTION] * question])


def tiles(seed: int = 0) -> Prompt:
    """An image in two tiles with a line of text between them, which is text after the first image token."""
    words = np.random.default_rng(seed).integers(2, 900, 9).tolist()
    ids = [1, 11, 12, *[IMAGE_TOKEN] * 8, 31, *[IMAGE_TOKEN] * 8, *words]
    return Prompt(ids, [BOS, SYSTEM, USER, *[IMAGE] * 8, QUESTION, *[IMAGE] * 8, *[QUESTION] * 9])


def image_first(question: int, seed: int = 0) -> Prompt:
    """An image with nothing before it, not even BOS, and a question."""
    words = np.random.default_rng(seed).integers(2, 900, question).tolist()
    return Prompt([*[IMAGE_TOKEN] * 20, *words], [*[IMAGE] * 20, *[QUESTION] * question])


def columns(images: list[list[Prompt]]) -> list[tuple[int, list[int]]]:
    """For each question its row in the batch, and the columns of all of its tokens, those of its prefix included."""
    common = max(len(prompts[0].input_ids) for prompts in images)
    places = []
    for row, prompts in enumerate(images):
        free = common
        for number, each in enumerate(prompts):
            prefix = max(place for place, role in enumerate(each.roles) if role == IMAGE) + 1
            own = len(each.input_ids) - prefix
            start = prefix if number == 0 else free
            places.append((row, [*range(prefix), *range(start, start + own)]))
            free += own if number else 0
    return places
