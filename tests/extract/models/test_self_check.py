"""What the look before a run must find, each made on purpose in a model that is otherwise sound."""

import ast
import inspect
import json
import shutil
from dataclasses import replace
from typing import ClassVar

import pytest
import torch
from transformers.models.llava_next.processing_llava_next import LlavaNextProcessorKwargs

from extract.models import families, self_check
from extract.models.loading import load_model
from extract.models.self_check import check_observation
from schemas.errors import HeadflowError
from tests.support.tiny_families import make_family

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """A causal checkpoint, and one that is not."""
    made = {name: tmp_path_factory.mktemp(name) for name in ("llava_next", "gemma3")}
    for name, path in made.items():
        make_family(path, name)
    return made


def load(path):
    model = load_model(str(path), device=CPU, dtype="float32")
    return model, model.prompt_format.prompt_builder(model.prompt_format.find_template("hf", str(path)))


@pytest.fixture
def sound(paths):
    return load(paths["llava_next"])


def test_a_sound_model_passes(sound, paths):
    check_observation(*sound)
    check_observation(*load(paths["gemma3"]))


def test_it_leaves_the_model_observed(sound):
    model, prompts = sound
    check_observation(model, prompts)
    assert model.model.config.text_config._attn_implementation == "headflow"
    assert model.model.model.vision_tower.config._attn_implementation == "sdpa"


def test_a_mask_that_is_not_causal_is_found(tmp_path, paths, monkeypatch):
    path = shutil.copytree(paths["gemma3"], tmp_path / "model")
    config = json.loads((path / "config.json").read_text())
    config["text_config"]["sliding_window"] = 4096
    (path / "config.json").write_text(json.dumps(config))
    causal = replace(families.FAMILIES["gemma3"], causal=True)
    monkeypatch.setitem(families.FAMILIES, "gemma3", causal)
    with pytest.raises(HeadflowError, match=r"this Gemma 3 computes something else when it is observed \(by \d+%\)"):
        check_observation(*load(path))


def test_causality_is_measured(sound, paths):
    assert sound[0].causal is None
    assert check_observation(*sound).causal
    assert not check_observation(*load(paths["gemma3"])).causal


def test_an_input_that_is_not_passed_on_is_found(paths):
    """Token types of Gemma 3, by which image tokens see each other."""
    model, prompts = load(paths["gemma3"])
    assert [*model.preprocessor.types] == ["token_type_ids"]
    dropping = replace(model.preprocessor, types={name: {} for name in model.preprocessor.types})
    with pytest.raises(HeadflowError, match=r"something else when it is observed .* what it reads beside token ids"):
        check_observation(replace(model, preprocessor=dropping), prompts)


def test_features_of_the_image_at_other_tokens_are_found(paths):
    """As in Llama 4, whose features stand at one token, and whose token types mark another."""
    model, prompts = load(paths["gemma3"])
    (start,) = prompts.encode("<start_of_image>")[1:]
    with pytest.raises(
        HeadflowError, match=r"stand at 4 tokens such as <image_soft_token>, but config\.json names <start_of_image>"
    ):
        check_observation(model, replace(prompts, image_token_id=start))


def test_image_tokens_that_the_tower_does_not_give_are_found(sound):
    model, prompts = sound
    reader = model.preprocessor

    class Short:
        token_types: ClassVar = {}

        def __call__(self, image):
            pixels = reader(image)
            return replace(pixels, image_ids=[pixels.image_ids[0][1:]])

        def contradictions(self):
            return []

        def whole_prompt(self, text, *images, special):
            return None

    with pytest.raises(HeadflowError, match="a first pass through the model failed: Image features and image tokens"):
        check_observation(replace(model, preprocessor=Short()), prompts)


def test_tokens_that_are_not_the_processors_are_found(sound):
    model, prompts = sound
    odd = replace(prompts, encode=lambda text: [*prompts.encode(text), 7])
    with pytest.raises(HeadflowError, match=r"tokens that are not the .* of the checkpoint's own processor"):
        check_observation(model, odd)


def test_a_first_token_that_the_processor_leaves_out_is_found(sound, monkeypatch):
    """As LFM2-VL's does, where a template does not write it either."""
    monkeypatch.setitem(LlavaNextProcessorKwargs._defaults, "text_kwargs", {"add_special_tokens": False})
    with pytest.raises(HeadflowError, match=r"tokens that are not the .* own processor: .* token 0 is '<s>'"):
        check_observation(*sound)


def test_tokens_of_several_images_that_are_not_the_processors_are_found(sound):
    model, prompts = sound

    class Reversed(type(prompts)):
        def build(self, question, image_ids, **given):
            return super().build(question, image_ids[::-1], **given)

    odd = Reversed(**vars(prompts))
    check_observation(model, odd)
    check_observation(model, prompts, images=4)
    with pytest.raises(HeadflowError, match=r"the prompt of 3 images has .* of the checkpoint's own processor"):
        check_observation(model, odd, images=4)


def test_a_prompt_without_an_image_token_is_found(sound):
    model, prompts = sound
    with pytest.raises(HeadflowError, match="no token of the prompt stands for the image"):
        check_observation(model, replace(prompts, image_token_id=-1))


def test_a_model_that_takes_no_prompt_at_all_is_found(sound):
    model, prompts = sound
    with pytest.raises(HeadflowError, match="not even a black picture and a short question can be asked: "):
        check_observation(model, replace(prompts, max_tokens=9))


def test_numbers_that_are_not_finite_are_found(paths):
    model, prompts = load(paths["llava_next"])
    model.model.get_input_embeddings().weight.data[prompts.encode("I")[-1]] = torch.inf
    with pytest.raises(HeadflowError, match=r"numbers that are not finite in torch\.float32") as error:
        check_observation(model, prompts)
    assert error.value.setting == "dtype"


def test_layers_that_are_not_all_observed_in_order_are_found(paths):
    model, prompts = load(paths["llava_next"])
    layers = model.model.get_decoder().layers
    layers[0].self_attn.layer_idx, layers[1].self_attn.layer_idx = 1, 0
    says = "attention of the layers 0, 1, 2 was to be observed, in order, and that of 1, 0, 2 was"
    with pytest.raises(HeadflowError, match=says):
        check_observation(model, prompts)


def test_a_tokenizer_without_its_settings(checkpoint_path, extract, tmp_path, capsys):
    """transformers then takes its class by default, which puts BOS before each piece of a prompt."""
    path = shutil.copytree(checkpoint_path, tmp_path / "model")
    (path / "tokenizer_config.json").unlink()
    assert extract(tmp_path / "run", model_path=path, conv_mode="vicuna_v1") == 2
    assert "puts its first token into the middle of the prompt; files of the tokenizer" in capsys.readouterr().err


def test_it_runs_with_the_transformers_of_the_llava_package():
    """Which has no attention interface, so that modules of today's models cannot be imported there."""
    imported = {node.module for node in ast.walk(ast.parse(inspect.getsource(self_check))) if hasattr(node, "module")}
    assert "extract.models.checkpoint" in imported
    assert not [name for name in imported if name.startswith(("transformers", "extract.models.transformers"))]
