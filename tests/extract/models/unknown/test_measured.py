"""Oracles: what the table says of a model that is taken out of it; models that hide one thing each, made on purpose.

Each of them is a sound model, with a hook that makes it another one: the plain model and the observed one alike.
"""

import pytest
import torch

from extract.models.families import FAMILIES
from extract.models.self_check import check_observation
from schemas.errors import HeadflowError
from schemas.roles import IMAGE
from tests.support.tiny_families import make_family
from tests.support.witness import hf

WIDE = 57  # tokens: the pictures of further shapes have more, the black one fewer
NAME = "internvl"


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp(NAME)
    make_family(path, NAME)
    return path


@pytest.fixture
def unknown(path, monkeypatch):
    """A model that is not in the table, and what writes its prompts."""
    monkeypatch.delitem(FAMILIES, NAME)
    model, prompts = hf(path)
    return model, prompts


def of_image(model, named):
    """Which tokens stand for the image, bool [1, tokens]; None where a pass has no ids."""
    ids = named.get("input_ids")
    return None if ids is None else ids == model.model.config.image_token_id


def test_a_sound_model_is_packed_and_has_the_kernel(unknown):
    model, prompts = unknown
    assert (model.packs, model.kernel) == (False, None)
    found = check_observation(model, prompts)
    assert (found.packs, found.causal) == (True, True)
    assert found.kernel is not None


@pytest.mark.parametrize("wide", [False, True])
def test_positions_that_are_not_places_leave_questions_in_sequences_of_their_own(unknown, wide):
    """Of all pictures, or only of those of many tokens; a hook gives them where the model is given none."""
    model, prompts = unknown
    lengths = []

    def spread(_, given, named):
        lengths.append(length := named["inputs_embeds"].shape[1])
        if length > WIDE * wide:
            named["position_ids"] = torch.arange(length)[None] * 2
        return given, named

    model.stack.register_forward_pre_hook(spread, with_kwargs=True)
    found = check_observation(model, prompts)
    assert (found.packs, found.causal) == (False, True)
    assert found.kernel is not None
    assert min(lengths) < WIDE < max(lengths)


def test_something_that_is_counted_over_a_sequence_leaves_questions_in_their_own(unknown):
    """The positions are places, but each token also gets how many are before it in the sequence."""
    model, prompts = unknown

    def count(_, given):
        hidden = given[0]
        return (hidden + torch.linspace(0, hidden.shape[1] / 40, hidden.shape[1])[None, :, None], *given[1:])

    model.stack.layers[1].register_forward_pre_hook(count)
    found = check_observation(model, prompts)
    assert (found.packs, found.causal) == (False, True)


def test_features_that_a_later_layer_adds_to_text_are_found(unknown):
    """As cross-attention would: the first layer's input shows nothing of them."""
    model, prompts = unknown
    features = []
    model.model.model.multi_modal_projector.register_forward_hook(
        lambda _, given, output: features.append(output.mean(dim=tuple(range(output.dim() - 1))))
    )

    def add(_, given):
        hidden = given[0].clone()
        hidden[:, -2:] += features[-1]
        return (hidden, *given[1:])

    model.stack.layers[1].register_forward_pre_hook(add)
    with pytest.raises(HeadflowError, match="text of this internvl gets something of the image in another way than by"):
        check_observation(model, prompts)


def test_features_that_a_later_layer_adds_to_image_tokens_are_no_other_way(unknown):
    """As in Qwen3-VL."""
    model, prompts = unknown
    places, features = [], []
    model.model.model.multi_modal_projector.register_forward_hook(lambda _, given, output: features.append(output))
    model.model.register_forward_pre_hook(
        lambda _, given, named: places.append(of_image(model, named)), with_kwargs=True
    )

    def add(_, given):
        hidden = given[0].clone()
        hidden[places[-1]] += features[-1].reshape(-1, hidden.shape[-1])
        return (hidden, *given[1:])

    model.stack.layers[1].register_forward_pre_hook(add)
    found = check_observation(model, prompts)
    assert found.causal
    assert found.kernel is not None


def test_a_mask_that_is_not_causal_for_several_tiles_only_is_found(unknown):
    """Image tokens of such a picture see each other; those of the black one do not."""
    model, prompts = unknown
    places = []
    model.model.register_forward_pre_hook(
        lambda _, given, named: places.append(of_image(model, named)), with_kwargs=True
    )

    def see(_, given, named):
        mask, image = named.get("attention_mask"), places[-1]
        if image.shape[1] > WIDE and mask is not None:
            both = image[:, None, :, None] & image[:, None, None, :]
            named["attention_mask"] = mask | both if mask.dtype == torch.bool else mask.masked_fill(both, 0)
        return given, named

    for layer in model.stack.layers:
        layer.register_forward_pre_hook(see, with_kwargs=True)
    found = check_observation(model, prompts)
    assert (found.causal, found.kernel, found.packs) == (False, None, False)


def test_image_tokens_that_no_feature_replaces_are_found(unknown):
    """A token of images beside the features, which the model embeds as text."""
    model, prompts = unknown
    (mark,) = set(model.prompt_format.tokenizer.encode("?", add_special_tokens=False))

    class Marked(type(prompts)):
        def build(self, question, image_ids, **given):
            prompt = super().build(question, image_ids, **given)
            prompt.roles[prompt.input_ids.index(mark)] = IMAGE
            return prompt

    with pytest.raises(HeadflowError, match=r"no features of the image stand at 1 of \d+ tokens"):
        check_observation(model, Marked(**vars(prompts)))


def test_the_token_of_images_is_the_one_that_the_processor_writes_where_no_file_names_it(path, monkeypatch):
    monkeypatch.setattr("extract.models.transformers_format.image_token_id", lambda _: None)
    model, prompts = hf(path)
    check_observation(model, prompts)
    assert prompts.image_token_id == model.model.config.image_token_id


def test_a_family_whose_positions_are_not_as_the_table_says_is_an_error(path):
    model, prompts = hf(path)

    def double(_, given, named):
        return given, named | {"position_ids": torch.arange(named["inputs_embeds"].shape[1])[None] * 2}

    model.stack.register_forward_pre_hook(double, with_kwargs=True)
    with pytest.raises(HeadflowError, match="positions of this InternVL are not the places of its tokens, which is"):
        check_observation(model, prompts)
