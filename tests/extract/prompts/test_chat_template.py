"""Oracle: a checkpoint whose chat template works (`tests/extract/models/test_families.py`), with one thing broken."""

import pickle
from dataclasses import replace

import pytest
import torch
from PIL import Image

from extract.models.loading import load_prompt_format
from extract.prompts.chat_template import ChatTemplate
from schemas.errors import HeadflowError
from tests.support.tiny_families import make_family


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """The prompts of a Qwen2-VL by its own template, and the tokens of a picture."""
    path = tmp_path_factory.mktemp("qwen2_vl")
    make_family(path, "qwen2_vl")
    prompt_format, reader = load_prompt_format(str(path))
    prompts = prompt_format.prompt_builder(prompt_format.find_template(None, ""))
    return prompts, reader(Image.new("RGB", (56, 28))).image_ids


def test_it_is_sound(sound):
    prompts, image_ids = sound
    assert prompts.build("Is it red?", image_ids).counts()["n_image"] == image_ids[0].count(prompts.image_token_id)


def test_an_image_without_a_special_token(sound):
    prompts, image_ids = sound
    plain = [token for token in image_ids[0] if token not in prompts.template.special_ids]
    with pytest.raises(HeadflowError, match="place that is special in tokenizer"):
        prompts.build("Is it red?", [plain])


@pytest.mark.parametrize("placeholder_id", [None, 10**6])
def test_a_placeholder_that_is_not_one_token(sound, placeholder_id):
    prompts, image_ids = sound
    odd = replace(prompts, template=replace(prompts.template))
    odd.template.__dict__["placeholder_id"] = placeholder_id
    with pytest.raises(HeadflowError, match=r"tokenizer does not read <\|image_pad\|> as one token"):
        odd.build("Is it red?", image_ids)


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{{ messages[9] }", "the checkpoint's chat template fails: "),
        ("{{ raise_exception('no images') }}", "the checkpoint's chat template fails: no images"),
        ("no image", r"chat template writes <\|image_pad\|> 0 times, not once"),
    ],
)
def test_a_template_that_does_not_work(sound, template, says):
    prompts, image_ids = sound
    chat: ChatTemplate = replace(prompts.template, template=template)
    with pytest.raises(HeadflowError, match=says):
        replace(prompts, template=chat).build("Is it red?", image_ids)


def test_a_processor_can_be_sent_to_another_process(tmp_path):
    make_family(tmp_path / "model", "qwen2_vl")
    _, reader = load_prompt_format(str(tmp_path / "model"))
    sent = pickle.loads(pickle.dumps(reader))
    assert type(sent.processor).__name__ == "Qwen2VLProcessor"
    picture = Image.new("RGB", (90, 33), "red")
    for name, tensor in reader(picture).inputs.items():
        assert torch.equal(sent(picture).inputs[name], tensor)
