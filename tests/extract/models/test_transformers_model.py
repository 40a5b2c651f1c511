"""Oracle: the logits of the plain model at all positions, which transformers gives if it is not told to keep fewer."""

import pytest
import torch
from transformers import AutoModelForImageTextToText, LlavaForConditionalGeneration

from extract.attention.packing import pack
from extract.models.families import FAMILIES
from extract.models.loading import load_model
from extract.models.transformers_model import observe
from schemas.errors import HeadflowError
from tests.support.tiny_families import OF_TABLE
from tests.support.tiny_llava import random_pixels, random_prompt

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def observed(checkpoint_path):
    return load_model(str(checkpoint_path), device=CPU)


def test_the_head_is_applied_to_last_tokens_alone(observed, checkpoint_path):
    """In a batch in which each question ends in another column."""
    groups = [
        [random_prompt(observed, 4 + image + 5 * each, 10 * image + each) for each in range(3)] for image in range(4)
    ]
    batch, applied = pack(groups), []
    hook = observed.model.lm_head.register_forward_hook(lambda _, given, made: applied.append(made.shape))
    logits, *_ = observed.forward(batch, random_pixels(4))
    hook.remove()
    words = observed.model.config.text_config.vocab_size
    assert len(set(batch.last.tolist())) > 6
    assert applied == [(12, 1, words)]
    plain = LlavaForConditionalGeneration.from_pretrained(checkpoint_path, attn_implementation="sdpa").eval()
    for number, each in enumerate(each for group in groups for each in group):
        image = batch.owner[number]
        with torch.inference_mode():
            whole = plain(
                input_ids=torch.tensor([each.input_ids]),
                pixel_values=random_pixels(4)["pixel_values"][image : image + 1],
            ).logits
        assert (logits[number] - whole[0, -1]).abs().max() <= 1e-5


def test_a_model_whose_head_is_no_module_is_refused(observed, monkeypatch):
    head = observed.model.lm_head
    monkeypatch.setattr(type(head), "__call__", lambda self, hidden: torch.nn.functional.linear(hidden, self.weight))
    with pytest.raises(HeadflowError, match="LlavaForConditionalGeneration does not apply its head as a module"):
        observed.forward(pack([[random_prompt(observed, 7)]]), random_pixels(1))


def test_an_image_of_one_token_has_the_features_that_it_has_beside_another():
    """Of Mistral 3, as transformers computes them of two images."""
    config = OF_TABLE["mistral3"].config(9, {"vocab_size": 10})
    model = AutoModelForImageTextToText.from_config(config).eval()
    pixels, sizes = torch.randn(2, 3, 14, 28), torch.tensor([[14, 14], [14, 28]])
    with torch.inference_mode():
        alone, beside = model.get_image_features(pixels, sizes).pooler_output
        observe(model, FAMILIES["mistral3"], None, None, CPU, format="")
        (found,) = model.get_image_features(pixels[:1, ..., :14], sizes[:1]).pooler_output
        both = model.get_image_features(pixels, sizes).pooler_output
    assert found.shape == alone.shape == (1, config.text_config.hidden_size)
    assert (found - alone).abs().max() <= 1e-6 * alone.abs().max()
    assert torch.equal(torch.cat(both), torch.cat([alone, beside]))


def test_what_a_manifest_says_of_it(observed):
    fields = observed.manifest_fields()
    assert fields.pop("image_preprocessing")["processor"] == "CLIPImageProcessorPil"
    assert fields == {
        "layers": 4,
        "heads": 8,
        "attending": [0, 1, 2, 3],
        "crossing": [],
        "quantised": {},
        "causal": None,
        "revision": None,
        "format": "transformers",
        "architecture": "LlavaForConditionalGeneration",
        "dtype": "float32",
    }
