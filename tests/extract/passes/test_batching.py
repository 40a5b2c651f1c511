"""Oracle: every question comes out once, with its own image, whatever the order and the sizes."""

from collections import Counter

import numpy as np
import pytest
import torch

from extract.attention.layout import lay_out
from extract.images.preprocessing import Pixels
from extract.passes import batch_size
from extract.passes.batch_size import LARGEST, choose_batch_size, largest
from extract.passes.batching import WINDOW, ImageQuestions, Question, batches
from extract.questions.samples import Sample, Skipped, Unusable
from tests.support.prompts import prompt, tiles


def sample(row: int) -> Sample:
    return Sample(str(row), "OCR", None, ("a.png",), "Is it?", None, row)


def asked(content: int, *lengths: int, first: int = 0) -> ImageQuestions:
    pixels = Pixels({"pixel_values": torch.full((1, 3, 2, 2), float(content))}, [], [(2, 2)])
    questions = [Question(sample(first + number), prompt(length, seed=number)) for number, length in enumerate(lengths)]
    return ImageQuestions(f"sha{content}", pixels, questions)


def rows(batch: list[ImageQuestions]) -> list[list[int]]:
    """The rows of the samples about each image."""
    return [[question.sample.row for question in image.questions] for image in batch]


def many(number: int) -> list[ImageQuestions]:
    """Images with one to three questions of many lengths."""
    made, place = [], 0
    for content in range(number):
        lengths = [3 + (content * 7 + each * 5) % 23 for each in range(1 + content % 3)]
        made.append(asked(content, *lengths, first=place))
        place += len(lengths)
    return made


def windows(images, size):
    """Images as the loop hands them over."""
    return [images[start : start + WINDOW * size] for start in range(0, len(images), WINDOW * size)]


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("size", [1, 3, 8])
def test_every_question_once_with_its_image(size, packed):
    images = many(50)
    of_image = {question.sample.row: image.sha256 for image in images for question in image.questions}
    found = Counter()
    for batch in batches(windows(images, size), size, packed=packed):
        assert 1 <= len(batch) <= size
        for image in batch:
            assert packed or len(image.questions) == 1
            assert float(image.pixels.inputs["pixel_values"][0, 0, 0, 0]) == int(image.sha256.removeprefix("sha"))
            for question in image.questions:
                assert of_image[question.sample.row] == image.sha256
                found[question.sample.row] += 1
    assert found == dict.fromkeys(of_image, 1)


def test_batches_are_full_and_of_similar_length():
    images = many(8 * WINDOW * 3)
    made = list(batches(windows(images, 8), 8, packed=True))
    assert [len(batch) for batch in made] == [8] * WINDOW * 3
    padding = sum(max(image.columns() for image in batch) - image.columns() for batch in made for image in batch)
    plain = [images[start : start + 8] for start in range(0, len(images), 8)]
    unsorted = sum(max(image.columns() for image in batch) - image.columns() for batch in plain for image in batch)
    assert padding < unsorted / 2
    by_length = sorted(made[:WINDOW], key=lambda batch: batch[0].columns())
    window = [image.columns() for batch in by_length for image in batch]
    assert window == sorted(window)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("done", [set(), {0, 1, 2, 40}, set(range(7)), set(range(1, 90)), set(range(200))])
def test_batches_do_not_depend_on_what_is_done(packed, done):
    """Those that are needed, the one with the first sample that is needed first."""
    images = windows(many(40), 3)
    whole = [rows(batch) for batch in batches(images, 3, packed=packed)]
    made = [rows(batch) for batch in batches(images, 3, packed=packed, done={str(row) for row in done})]
    needed = [{row for image in batch for row in image} - done for batch in made]
    assert all(needed)
    assert sorted(made) == sorted(batch for batch in whole if {row for image in batch for row in image} - done)
    for start, window in enumerate(images):
        of_window = {question.sample.row for image in window for question in image.questions}
        firsts = [min(each) for each in needed if each <= of_window]
        assert firsts == sorted(firsts), start


def test_nothing_waits_for_more_than_a_window():
    taken = []
    given = (taken.append(window) or window for window in windows(many(100), 2))
    next(batches(given, 2, packed=True))
    assert len(taken) == 1


def test_the_batches_of_a_window_do_not_depend_on_others():
    some = windows(many(100), 4)
    whole = [list(batches([window], 4, packed=True)) for window in some]
    assert list(batches(some, 4, packed=True)) == [batch for window in whole for batch in window]


def test_equal_content_shares_a_prefix():
    images = [asked(1, 5, first=0), asked(2, 5, first=1), asked(1, 6, 4, first=2), asked(3, 5, first=4)]
    (batch,) = batches([images], 8, packed=True)
    assert sorted(rows(batch)) == [[0, 2, 3], [1], [4]]
    one_by_one = list(batches([[asked(1, 5, first=0), asked(1, 6, first=1)]], 1, packed=True))
    assert [rows(batch) for batch in one_by_one] == [[[0, 1]]]


def test_columns_are_those_of_the_packed_sequence():
    assert asked(1, 9).columns() == len(prompt(9).input_ids)
    assert asked(1, 9, 4).columns() == len(prompt(9).input_ids) + 4


def test_what_cannot_share_a_prefix_goes_alone():
    prompts = [tiles(), prompt(9), tiles(1)]
    questions = [Question(sample(row), each) for row, each in enumerate(prompts)]
    image = ImageQuestions("sha", Pixels({}, [], [(2, 2)]), questions)
    (batch,) = batches([[image]], 4, packed=True)
    assert sorted(rows(batch)) == [[0, 2], [1]]


def test_skipped_samples_come_through_before_the_batches_of_their_window():
    skipped = [Skipped(sample(row), Unusable("image_missing", "gone")) for row in (7, 8, 9)]
    first, second = [skipped[0], asked(1, 5), skipped[1]], [asked(2, 5, first=1), skipped[2]]
    made = list(batches([first, second], 4, packed=True))
    assert [each if isinstance(each, Skipped) else rows(each) for each in made] == [
        *skipped[:2],
        [[0]],
        skipped[2],
        [[1]],
    ]


def test_the_largest_batch_that_fits_with_something_to_spare():
    tried = []

    def up_to(limit):
        return lambda size: tried.append(size) or size <= limit

    assert largest(up_to(0)) == 1
    assert largest(up_to(2)) == 1
    assert largest(up_to(3)) == 2
    assert largest(up_to(17)) == 8
    assert largest(up_to(18)) == 16
    assert largest(up_to(10**6)) == LARGEST
    assert max(tried) == LARGEST + LARGEST // 8


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("packed", [True, False])
def test_the_trial_needs_as_much_as_any_batch_of_the_run(monkeypatch, packed, seed):
    """Oracle: the batches of the run itself, laid out; a question of n letters has n tokens."""
    random = np.random.default_rng(seed)
    groups = [
        [
            Sample("", "", None, ("",), "x" * int(length), None, 0)
            for length in random.integers(1, 60, random.integers(1, 4))
        ]
        for _ in range(40)
    ]
    groups = groups if packed else [[sample] for group in groups for sample in group]

    class Prompts:
        def build(self, sample, image_ids):
            return prompt(len(sample.question))

    class Passes:
        on_cuda = True

        def blank_pixels(self, images):
            return Pixels({}, [], [(2, 2)])

    tried = {}
    monkeypatch.setattr(batch_size, "_fits", lambda _, images: tried.setdefault(len(images), images) is not None)
    assert choose_batch_size(Passes(), Prompts(), groups) == LARGEST
    images = [asked(number, *(len(each.question) for each in group)) for number, group in enumerate(groups)]
    for size, trial in tried.items():
        shape = lay_out([[each.prompt for each in image.questions] for image in trial]).owner.shape
        for batch in batches(windows(images, size), size, packed=packed):
            of_batch = lay_out([[each.prompt for each in image.questions] for image in batch]).owner.shape
            assert all(needed <= there for needed, there in zip(of_batch, shape, strict=True))
