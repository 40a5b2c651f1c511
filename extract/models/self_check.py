"""One look before a run: that tokens have the roles they should, and that observing a model does not change it."""

from typing import TYPE_CHECKING

import torch
from PIL import Image
from torch import Tensor

from extract.attention.packing import pack
from extract.attention.transformers_interface import observing, without_observing
from extract.images.preprocessing import Pixels, blank_image
from extract.images.processors import ProcessorPreprocessor, read_image
from extract.models.transfer import Uploader
from extract.prompts.chat_template import ChatTemplate
from extract.prompts.prompt import Prompt, PromptBuilder
from extract.questions.samples import Unusable
from schemas.errors import HeadflowError
from schemas.roles import IMAGE, ROLES
from schemas.text import one_line

if TYPE_CHECKING:
    from extract.models.loading import Model

QUESTION = "Is there a picture?"
TOLERANCE, TOLERANCE_OF_HALF = 1e-3, 0.25  # of the norm of what the last layer gives


def probe(model: "Model", prompts: PromptBuilder) -> None:
    """Check a model with a black image and a short question, in two forward passes.

    Raises:
        HeadflowError: the prompt is not what the checkpoint's processor writes; a token has no role; the image tokens
            are not as many as the vision tower gives; tokens see later ones in a model that should be causal; or the
            observed model computes something else than the plain one.
    """
    image = blank_image()
    try:
        pixels = model.preprocessor(image)
        prompt = prompts.build(QUESTION, pixels.image_ids)
    except Unusable as error:
        raise HeadflowError(f"not even a black picture and a short question can be asked: {error.detail}") from None
    _check_roles(prompt)
    _check_tokens(model, prompts, prompt, image)
    other = Prompt([*prompt.input_ids[:-1], prompt.input_ids[-2]], prompt.roles)
    try:
        plain = _hidden(model, prompt, pixels, observed=False)
        observed = _hidden(model, other if model.tokens.family.causal else prompt, pixels, observed=True)
    except Exception as error:  # a model that does not fit its config.json raises anything
        raise HeadflowError(f"a first pass through the model failed: {one_line(error)[:400]}") from error
    if not torch.isfinite(plain).all():
        raise HeadflowError(f"the model gives numbers that are not finite in {model.dtype}; another --dtype may help")
    far = (plain - observed)[:-1].norm() / plain[:-1].norm()
    if not far <= (TOLERANCE if model.dtype == torch.float32 else TOLERANCE_OF_HALF):
        raise HeadflowError(
            f"this {model.tokens.family.name} computes something else when it is observed (by {float(far):.0%}): "
            "its attention is not what is assumed of it, such as causal"
        )


def _check_roles(prompt: Prompt) -> None:
    if len(prompt.roles) != len(prompt.input_ids) or not set(prompt.roles) <= set(range(len(ROLES))):
        raise HeadflowError("some token of the prompt has no role")
    if IMAGE not in prompt.roles:
        raise HeadflowError("no token of the prompt stands for the image")


def _check_tokens(model: "Model", prompts: PromptBuilder, prompt: Prompt, image: Image.Image) -> None:
    """Hold the tokens of a prompt by the checkpoint's chat template against those of its own processor."""
    reader, template = model.preprocessor, prompts.template
    if not isinstance(reader, ProcessorPreprocessor) or not isinstance(template, ChatTemplate) or reader.bare:
        return
    message = QUESTION + prompts.suffix
    text = template.write(message).text
    expected = read_image(reader.processor, text, image, special=not template.has_bos(text))["input_ids"][0].tolist()
    if prompt.input_ids != expected:
        raise HeadflowError(
            f"the prompt has {len(prompt.input_ids)} tokens that are not the {len(expected)} of the checkpoint's own "
            f"{type(reader.processor).__name__}; --show-prompt shows them"
        )


def _hidden(model: "Model", prompt: Prompt, pixels: Pixels, *, observed: bool) -> Tensor:
    """What the last layer gives for each token, float32 [tokens, width]."""
    batch, inputs = Uploader(model.device, model.dtype).send(pack([[prompt]]), [pixels])
    watched = observing(model.observation(batch), layers=model.layers)
    with torch.inference_mode(), watched if observed else without_observing(model.model):
        hidden: Tensor = model.model.model(**model.arguments(batch, inputs)).last_hidden_state
        return hidden[0].float()
