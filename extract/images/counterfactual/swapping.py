"""Swapped images: for each image another one of the same category, which is shown in its place.

The images of a category, in the order of the question file, are shifted by a number of places that is drawn with a
seed: so each is shown once, and Parquet is still read in order. Images with the same bytes are one image, of the
category of the first question about it. The only images of their categories take each other's places; a single
one joins the first category. An extraction swaps the images of its whole question file, knock-outs those of their whole
run, whichever samples a process runs: with one seed, a run of the whole file has the same partners in both.

In a question file, a file that does not begin as an image takes no part; one with damaged pixels does, as nothing is
decoded here. In a run, the images that were observed take part.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from operator import attrgetter
from typing import Any, TypeVar

import numpy as np

from extract.images.decoding import find_image
from extract.questions.question_set import QuestionSet
from extract.questions.samples import Sample, Unusable
from extract.questions.stored_images import StoredImages
from schemas.errors import HeadflowError
from schemas.files.images import has_header
from schemas.files.locations import Location, check_no_device

_SEED = 0
One = TypeVar("One")


def swap_images(questions: QuestionSet, whole: QuestionSet) -> QuestionSet:
    """Some samples of a question file, each with the image that is shown in place of its own.

    A sample whose own image cannot be read has none.

    Args:
        whole: all samples of the file.

    Raises:
        HeadflowError: fewer than two different images can be read.
    """
    partners = find_partners(whole)
    place = _place_of(whole)
    return replace(
        questions, samples=[replace(sample, shown=partners.get(place(sample))) for sample in questions.samples]
    )


def find_partners(whole: QuestionSet) -> dict[Any, Sample]:
    """By the place of each image that can be read (see `_place_of`), a sample about another image."""
    place, images = _place_of(whole), copy(whole.images)  # a reader of Parquet keeps its place for others
    hashes: dict[Any, str] = {}
    first: dict[str, Sample] = {}
    for sample in whole.samples:
        if (where := place(sample)) not in hashes and (digest := _hash(images, where)) is not None:
            hashes[where] = digest
            first.setdefault(digest, sample)
    partners = choose_partners(first)
    if not partners:
        raise HeadflowError(
            f"images are shown in place of each other: fewer than two of {whole.name} can be read", setting="images"
        )
    return {where: partners[digest] for where, digest in hashes.items()}


def choose_partners(images: Mapping[str, Sample], seed: int = _SEED) -> dict[str, Sample]:
    """For each image, by its hash, a sample about the image that is shown in its place; empty if there is one image.

    Args:
        images: the first sample about each image, by its hash, in the order of the question file.
    """
    random = np.random.default_rng(seed)
    partners: dict[str, Sample] = {}
    for cycle in cycles(by_category(images)):
        shift = int(random.integers(1, len(cycle)))
        partners |= {one: images[other] for one, other in zip(cycle, [*cycle[shift:], *cycle[:shift]], strict=True)}
    return partners


def by_category(images: Mapping[str, Sample]) -> dict[str, list[str]]:
    """The hashes of images, in their order, by the category of the sample about each."""
    categories: dict[str, list[str]] = {}
    for digest, sample in images.items():
        categories.setdefault(sample.category, []).append(digest)
    return categories


def cycles(categories: Mapping[str, Sequence[One]]) -> list[list[One]]:
    """Groups of two or more, within which each takes the place of another: the categories.

    The only members of their categories are a group of their own; a single one joins the first. Empty if there are
    not two altogether.
    """
    found = [list(members) for members in categories.values() if len(members) > 1]
    alone = [members[0] for members in categories.values() if len(members) == 1]
    if len(alone) == 1 and found:
        found[0] += alone
    elif len(alone) > 1:
        found.append(alone)
    return found


def _place_of(questions: QuestionSet) -> Callable[[Sample], Any]:
    """Where the image of a sample is: its name in a folder, or its place in the file of questions."""
    places = questions.images.places if isinstance(questions.images, StoredImages) else attrgetter("images")
    return lambda sample: places(sample)[0]  # questions with several images are not swapped


def _hash(images: Location | StoredImages | None, place: Any) -> str | None:
    """The SHA-256 of an image's bytes; None if it cannot be read, or is no image."""
    try:
        if isinstance(images, StoredImages):
            content = images[place]
        else:
            assert images is not None
            path = find_image(images, place)
            check_no_device(path)
            content = path.read_bytes()
    except (Unusable, HeadflowError, OSError, ValueError):  # the last of a name that is no path
        return None
    return hashlib.sha256(content).hexdigest() if content and has_header(content) else None
