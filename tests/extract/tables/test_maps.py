"""Oracles: a family's eager pass in float64, attention laid on the grid token by token and described by NumPy
(`tests.support.maps`); for where a token lies: the image with one patch painted, whose embedding changes most there;
for visual sinks: the hidden states of that pass, token by token. Each family's maps of its last token, and some of its
patches, are in tests/extract/models/test_families.py."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from data.demo_model import image_processor, train_tokenizer
from extract.attention.packing import pack
from extract.attention.readers import read_pass
from extract.images.patch_positions import PlacedPicture, lay_patches
from extract.images.preprocessing import ImageSettings
from extract.models.loading import load_model
from extract.models.transfer import Uploader
from extract.tables import map_reader as reader
from extract.tables.map_reader import LISTS, visual_sinks
from extract.tables.maps import MapMaker
from schemas.columns import MAPS, OF_LAST, OF_QUESTION
from schemas.roles import IMAGE
from tests.support.maps import VALUES, describe, lay
from tests.support.places import find_patches
from tests.support.tiny_families import make_or_skip
from tests.support.tiny_llava import build_model, observe_llava, random_pixels, random_prompt
from tests.support.witness import CPU, PICTURES, QUESTIONS, FamilyWitness, hf


# Families whose processors cut images in different ways
@pytest.fixture(
    scope="module",
    params=["llava", "llava_next", "llava_onevision", "qwen2_vl", "idefics3", "internvl", "gemma3"],
)
def family(request, tmp_path_factory):
    path = make_or_skip(tmp_path_factory.mktemp(request.param), request.param)
    return path, FamilyWitness(path, request.param), *hf(path)


def read(model, of, asked, heads=()):
    """The maps of images with their prompts: numbers, maps, and where their tokens lie."""
    maker = MapMaker(model, of, heads)
    batch, inputs = Uploader(CPU, model.dtype).send(pack([each for _, each in asked]), [pixels for pixels, _ in asked])
    _, found = read_pass(model.forward, batch, inputs, [maker.begin(batch, [pixels for pixels, _ in asked])])
    return (
        found[MAPS][:, 0].double().numpy(),
        found[LISTS][:, 0].numpy(),
        [maker.places(pixels)[0] for pixels, _ in asked],
    )


def ask(model, prompts):
    """Two questions about each picture, as the model takes them: after one prefix, or each in a sequence."""
    pixels = [model.preprocessor(image) for image in PICTURES]
    built = [[prompts.build(question, each.image_ids) for question in QUESTIONS] for each in pixels]
    if model.packs:
        return list(zip(pixels, built, strict=True))
    return [(each, [prompt]) for each, group in zip(pixels, built, strict=True) for prompt in group]


def test_maps_of_the_question_are_those_of_eager_attention(family, monkeypatch):
    monkeypatch.setattr(reader, "can_be_told", lambda _: True)  # of these narrow models it cannot
    path, reference, model, prompts = family
    asked = ask(model, prompts)
    numbers, maps, places = read(model, OF_QUESTION, asked)
    if not model.packs:
        places = places[::2]
    worst = dict.fromkeys(VALUES, 0.0)
    for number, (image, question) in enumerate((image, question) for image in PICTURES for question in QUESTIONS):
        inputs = reference.read(image, question)
        output = reference.run(inputs, dtype=torch.float64, attention="eager", output_attentions=True)
        attention = torch.stack(output.attentions)[:, 0].numpy()
        roles = np.array(reference.roles(inputs["input_ids"][0].tolist()))
        rows = attention[:, :, roles == "q"].mean(axis=2)
        place, size = places[number // 2], image.size
        grid, rest = lay(rows[..., roles == "v"], place)
        expected, drawn = describe(grid, rest, np.zeros_like(rest), place.box, size)
        known = expected[..., VALUES.index("mass")] > 1e-9  # of less, shares are rounding
        for column, name in enumerate(VALUES):
            found = numbers[number, ..., column]
            if name == "sink":
                assert (np.isnan(found) == ("bos" not in roles)).all()
                found = np.nan_to_num(found)  # too narrow a model to have any
            assert not np.isnan(found[known]).any()
            worst[name] = max(worst[name], np.abs(found - expected[..., column])[known].max())
        assert np.isnan(numbers[number, ..., 1][expected[..., 0] == 0]).all()
        total = numbers[number, ..., VALUES.index("rest")] + grid.sum(axis=(-2, -1))
        assert np.abs(total - rows[..., roles == "v"].sum(axis=-1)).max() <= 2e-6  # of a pass in float32
        own = maps[number, :, : drawn.shape[-1]].reshape(drawn.shape)
        assert np.abs(own - drawn)[known].max() <= 2e-6
        assert not maps[number, :, drawn.shape[-1] :].any()
    print(path.name, {name: f"{value:.1e}" for name, value in worst.items()})
    assert max(worst.values()) <= 1e-5
    assert max(worst[name] for name in ("mass", "rest")) <= 2e-6


@pytest.mark.parametrize("size", [(160, 280), (360, 132)])
def test_a_painted_patch_is_found(family, size):
    *_, model, prompts = family
    find_patches(model, prompts, Image.new("RGB", size, (90, 90, 90)))


@pytest.mark.parametrize("size", [(160, 280), (360, 190)])
def test_a_painted_patch_is_found_in_a_padded_image(tmp_path, size):
    path = make_or_skip(tmp_path, "llava")
    model = load_model(str(path), device=CPU, dtype="float32", images=ImageSettings(aspect="pad"))
    prompts = model.prompt_format.prompt_builder(model.prompt_format.find_template("hf", str(path)))
    places = find_patches(model, prompts, Image.new("RGB", size, (90, 90, 90)))
    edge, (width, height) = max(size), size
    left, top = (edge - width) // 2, (edge - height) // 2
    assert places.box == (-left, -top, edge - left, edge - top)


def test_heads_that_were_asked_for_have_maps(tmp_path):
    model, prompts = hf(make_or_skip(tmp_path, "llava_next"))
    asked = ask(model, prompts)
    whole, maps, _ = read(model, OF_LAST, asked)
    numbers, some, _ = read(model, OF_LAST, asked, heads=[(0, 3), (2, 1), (2, 2)])
    assert (numbers == whole).all() or np.array_equal(numbers, whole, equal_nan=True)
    assert (some == maps[:, [3, 2 * 4 + 1, 2 * 4 + 2]]).all()


def test_a_coarse_picture_is_spread_over_the_finer_one():
    fine, whole = PlacedPicture(4, 2, 4, (0, 0, 8, 4), 5), PlacedPicture(0, 2, 2, (0, 0, 8, 4), 2)
    places = lay_patches(fine, [fine, whole], 14)
    weights = np.arange(14.0)
    grid, rest = lay(weights, places)
    expected = np.array([[4 + 0, 5 + 0, 6 + 0.5, 7 + 0.5], [9 + 1, 10 + 1, 11 + 1.5, 12 + 1.5]])
    assert np.allclose(grid, expected)
    assert rest == 8 + 13  # ends of rows
    assert np.array_equal(np.flatnonzero(places.outside), [8, 13])


def is_sink(states, first, tokens):
    """Which tokens are visual sinks, of states [length, width], token by token."""
    normed = np.abs(states) / np.sqrt((states.astype(np.float64) ** 2).mean(axis=-1, keepdims=True))
    massive = normed[first] > 20
    return np.array([(normed[token][massive] > 20).any() for token in tokens])


def test_sinks_are_massive_where_the_first_token_is():
    random = np.random.default_rng(0)
    states = random.normal(size=(2, 9, 1024)).astype(np.float32)
    states[0, 0, [5, 900]] = 800, -700  # 1st image: massive in two dimensions
    states[0, 4, 900], states[0, 6, 5], states[0, 7, 33] = 300, -20, 300  # a sink, large, a sink in another dimension
    states[1, 2, 17], states[1, 5, 17] = 900, 700
    image = np.array([[3, 4, 5, 6, 7], [4, 5, 6, 7, 8]])
    first = np.array([0, 2])
    found = visual_sinks(*(torch.from_numpy(each) for each in (states, first, image)))
    expected = np.stack([is_sink(states[row], first[row], image[row]) for row in range(2)])
    assert (found.numpy() == expected).all()
    assert expected.sum() == 2


def test_the_mass_on_sinks_is_that_of_the_states_that_a_layer_reads(texts):
    tokenizer = train_tokenizer(texts)
    model = build_model(tokenizer, layers=2, heads=32)
    with torch.no_grad():  # dimension 7 is massive in the first token, and in some image tokens
        model.model.language_model.embed_tokens.weight[1, 7] = 900
        model.model.multi_modal_projector.linear_2.weight[7] *= 300
    observed = observe_llava(model, tokenizer, image_processor(112), CPU)
    prompt = random_prompt(observed, 9)
    pixels = replace(observed.preprocessor(PICTURES[0]), inputs=random_pixels(1))
    numbers, _, _ = read(observed, OF_LAST, [(pixels, [prompt])])
    exact = deepcopy(model).double()
    exact.set_attn_implementation("eager")
    with torch.no_grad():
        output = exact(
            input_ids=torch.tensor([prompt.input_ids]), pixel_values=pixels.inputs["pixel_values"].double(),
            output_attentions=True, output_hidden_states=True,
        )  # fmt: skip
    image = np.flatnonzero(np.array(prompt.roles) == IMAGE)
    shares = []
    for layer in range(2):
        sinks = is_sink(output.hidden_states[layer][0].numpy(), 0, image)
        shares.append(sinks.mean())
        expected = output.attentions[layer][0, :, -1, image].numpy() @ sinks
        assert np.abs(numbers[0, layer, :, VALUES.index("sink")] - expected).max() <= 1e-5
    assert 0.1 < shares[0] < 0.9
