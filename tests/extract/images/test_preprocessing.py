"""Oracle: what a processor was made to raise; settings as they were given to it."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPImageProcessorPil, SiglipImageProcessorPil

from extract.images.preprocessing import Preprocessor
from extract.images.processors import ProcessorPreprocessor
from extract.images.towers import SquarePreprocessor, TilesPreprocessor, tiling_processor
from extract.questions.samples import Unusable

PICTURE = Image.new("RGB", (40, 30))
CLIP = CLIPImageProcessorPil(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28})


def failing(*_, **__):
    raise ZeroDivisionError("an edge of no pixels")


def without_a_word(*_, **__):
    raise MemoryError


PREPROCESSORS = {
    "square": lambda processor: SquarePreprocessor(processor, [7] * 4),
    "tiles": lambda processor: TilesPreprocessor(processor, 7, edge=28, side=4, features=16),
    "processor": lambda processor: ProcessorPreprocessor(processor, "<image>", 7, frozenset(), {}, {}),
}


@pytest.mark.parametrize("make", PREPROCESSORS.values(), ids=PREPROCESSORS.keys())
@pytest.mark.parametrize(
    ("processor", "why"),
    [
        (failing, ("image_refused", "an edge of no pixels")),
        (without_a_word, ("image_too_large", "not enough memory to prepare 40 x 30")),
    ],
)
def test_what_a_processor_raises_is_the_image_s_fault(make, processor, why):
    with pytest.raises(Unusable) as error:
        make(processor)(PICTURE)
    assert (error.value.reason, error.value.detail) == why


@pytest.mark.parametrize(
    ("reader", "size", "says"),
    [
        (
            SquarePreprocessor(CLIP, []),
            (1, 500_000),
            "1 x 500000, resized by its short edge, is 28 x 14000000",
        ),
        (SquarePreprocessor(CLIP, [], padded=True), (20_000, 1), "20000 x 1, padded to a square, is 20000 x 20000"),
    ],
)
def test_a_thin_image_that_becomes_too_large_is_not_made(reader, size, says):
    with pytest.raises(Unusable) as error:
        reader(Image.new("RGB", size))
    assert (error.value.reason, error.value.detail) == ("image_too_large", f"{says}: over 178956970 pixels")


@pytest.mark.parametrize("size", [(40, 30), (28, 28), (1, 1), (7, 400), (333, 200)])
@pytest.mark.parametrize("resample", [0, 2, 3])
@pytest.mark.parametrize("edges", [{"shortest_edge": 28}, {"height": 28, "width": 42}])
def test_resizing_is_that_of_the_processor(size, resample, edges):
    processor = CLIPImageProcessorPil(size=edges, crop_size={"height": 28, "width": 28}, resample=resample)
    pixels = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    own = processor(images=[image], return_tensors="pt")["pixel_values"]
    assert torch.equal(SquarePreprocessor(processor, [])(image).inputs["pixel_values"], own)


def test_a_thin_image_that_is_pressed_into_shape_is_read():
    reader = SquarePreprocessor(SiglipImageProcessorPil(size={"height": 28, "width": 28}), [])
    assert reader(Image.new("RGB", (1, 500_000))).inputs["pixel_values"].shape == (1, 3, 28, 28)


def test_tiles_of_an_image_that_has_no_room_for_a_patch():
    reader = TilesPreprocessor(tiling_processor(CLIP, [[28, 56]]), 7, edge=28, side=4, features=16)
    with pytest.raises(Unusable) as error:
        reader(SimpleNamespace(width=0, height=0))
    assert error.value.reason == "image_refused"


@pytest.mark.parametrize(
    ("reader", "described"),
    [
        (
            SquarePreprocessor(CLIP, []),
            {"processor": "CLIPImageProcessorPil", "aspect": "crop", "shortest_edge": 28, "crop": [28, 28]},
        ),
        (
            SquarePreprocessor(SiglipImageProcessorPil(size={"height": 28, "width": 42}), [], padded=True),
            {"processor": "SiglipImageProcessorPil", "aspect": "pad", "size": [28, 42], "image_mean": [0.5] * 3},
        ),
        (
            TilesPreprocessor(tiling_processor(CLIP, [[28, 56]]), 7, edge=28, side=4, features=16),
            {"aspect": "checkpoint", "shortest_edge": 28, "image_grid_pinpoints": [[28, 56]], "resample": 3},
        ),
    ],
)
def test_it_is_described_by_plain_values(reader: Preprocessor, described):
    found = reader.describe()
    assert found.items() >= described.items()
    assert json.loads(json.dumps(found)) == found


def test_pixels_are_of_one_picture():
    assert SquarePreprocessor(CLIP, [7] * 4)(PICTURE).inputs["pixel_values"].shape == torch.Size([1, 3, 28, 28])
