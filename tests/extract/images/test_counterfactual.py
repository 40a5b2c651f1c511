"""Oracles: the preprocessor itself, patches cut by loops and sorted, and a process without workers for one with."""

import pickle

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoConfig, CLIPImageProcessorPil

from extract.images.counterfactual.altered import Counterfactual, shuffle_blocks
from extract.images.loading import ImageFiles, load_images
from extract.images.preprocessing import Pixels, Preprocessor
from extract.images.towers import SquarePreprocessor
from extract.models.checkpoint import patch_size_of
from extract.models.families import FAMILIES
from extract.models.loading import load_prompt_format
from schemas.errors import HeadflowError
from tests.support.tiny_families import RECIPES, make_family

SIZE = {"size": {"shortest_edge": 28}, "crop_size": {"height": 28, "width": 28}}
SHA, OTHER = "1f" * 32, "2e" * 32


class Model:
    def __init__(self, preprocessor: Preprocessor, patch_size: int = 7) -> None:
        self.preprocessor, self.patch_size = preprocessor, patch_size


def square(**options) -> SquarePreprocessor:
    return SquarePreprocessor(CLIPImageProcessorPil(**SIZE, **options), [7])


def picture(width=60, height=40, seed=0) -> Image.Image:
    random = np.random.default_rng(seed)
    return Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8))


def squares(values: np.ndarray, patch: int) -> list[bytes]:
    """The patches of a picture [3, height, width], sorted."""
    rows, columns = values.shape[1] // patch, values.shape[2] // patch
    return sorted(
        values[:, row * patch : (row + 1) * patch, column * patch : (column + 1) * patch].tobytes()
        for row in range(rows)
        for column in range(columns)
    )


def test_blank_is_zeros_or_mid_grey_where_there_is_no_mean():
    made = Counterfactual.of("blank", Model(square()))(picture(), SHA)
    assert torch.equal(made.inputs["pixel_values"], torch.zeros(1, 3, 28, 28))
    assert made.image_ids == [[7]]
    plain = Counterfactual.of("blank", Model(square(do_normalize=False)))(picture(), SHA).inputs["pixel_values"]
    assert plain.unique().tolist() == pytest.approx([128 / 255])


def test_zeros_are_the_mean_colour():
    processor = square()
    mean = tuple(round(255 * each) for each in processor.processor.image_mean)
    found = processor(Image.new("RGB", (60, 40), mean)).inputs["pixel_values"]
    assert found.abs().max() < 0.5 / 255 / min(processor.processor.image_std) + 1e-6


def test_noise_is_normal_and_of_the_image_alone():
    noise = Counterfactual.of("noise", Model(square()))
    one, again, other = (
        noise(picture(seed=seed), sha).inputs["pixel_values"] for seed, sha in ((0, SHA), (1, SHA), (0, OTHER))
    )
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert (float(one.mean()), float(one.std())) == pytest.approx((0, 1), abs=0.1)


def test_shuffle_keeps_the_patches():
    processor = square()
    shuffle = Counterfactual.of("shuffle", Model(processor))
    plain = processor(picture()).inputs["pixel_values"]
    made, other = (shuffle(picture(), sha).inputs["pixel_values"] for sha in (SHA, OTHER))
    assert squares(made[0].numpy(), 7) == squares(plain[0].numpy(), 7)
    assert not torch.equal(made, plain)
    assert not torch.equal(made, other)


def test_blocks_of_an_image_lie_on_the_grid_and_stay_whole():
    image = picture(width=50, height=33)
    made = np.asarray(shuffle_blocks(image, 4, 6, np.random.default_rng(0)))
    tops, lefts = ([place * size // number for place in range(number + 1)] for number, size in ((4, 33), (6, 50)))

    def blocks(pixels):
        return sorted(
            pixels[tops[row] : tops[row + 1], lefts[column] : lefts[column + 1]].tobytes()
            for row in range(4)
            for column in range(6)
        )

    assert blocks(made) == blocks(np.asarray(image))
    assert not np.array_equal(made, np.asarray(image))


@pytest.mark.parametrize("name", sorted({*FAMILIES} & {*RECIPES}))
def test_each_family_can_have_them(tmp_path, name):
    """Inputs keep their shapes and the tokens their number; shuffling keeps what one picture, or its patches, have."""
    make_family(tmp_path, name)
    _, preprocessor = load_prompt_format(str(tmp_path))
    image = picture(56, 56)
    plain = preprocessor(image)
    patch = patch_size_of(AutoConfig.from_pretrained(tmp_path).vision_config)
    for kind in ("blank", "noise", "shuffle"):
        change = Counterfactual.of(kind, Model(preprocessor, patch))
        made = pickle.loads(pickle.dumps(change))(image, SHA)
        assert made.image_ids == plain.image_ids
        values, before = made.inputs["pixel_values"], plain.inputs["pixel_values"]
        assert values.shape == before.shape
        assert values.dtype == before.dtype
        assert not torch.equal(values, before)
        assert kind != "blank" or not values.any()
        if kind == "shuffle" and (values.ndim == 2 or values.shape[:-3].numel() == 1):
            assert torch.equal(values.flatten().sort().values, before.flatten().sort().values)


@pytest.mark.parametrize("kind", ["noise", "shuffle"])
def test_workers_make_the_same(tmp_path, kind):
    names = [f"{number}.png" for number in range(5)]
    for number, name in enumerate(names):
        picture(seed=number).save(tmp_path / name)
    found = []
    for order, workers in ((names, 0), (names[::-1], 2)):
        images = ImageFiles(tmp_path, [(name,) for name in order], square())
        images.counterfactual = Counterfactual.of(kind, Model(square()))
        loaded = load_images(images, workers=workers, ahead=2, pin=False)
        found.append({image.sha256: image.usable().inputs["pixel_values"] for image in loaded})
    assert found[0].keys() == found[1].keys()
    assert all(torch.equal(found[0][sha], found[1][sha]) for sha in found[0])


class Odd(Preprocessor):
    def _preprocess(self, images):
        return Pixels({"flattened_patches": torch.zeros(1, 2)}, [[7]], [(2, 2)])

    def _places(self, pixels):
        raise ValueError

    def describe(self):
        return {}


def test_inputs_that_are_not_known_are_refused():
    with pytest.raises(HeadflowError, match="reads flattened_patches of an image, not pixel_values"):
        Counterfactual.of("blank", Model(Odd()))
