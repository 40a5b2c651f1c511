"""A check of a model before a run: that tokens have the roles they should, and that observing does not change it."""

import torch
from PIL import Image
from torch import Tensor

from extract.attention.packing import pack
from extract.images.preprocessing import Pixels, blank_image
from extract.models.checkpoint import Checkpoint
from extract.models.transfer import Uploader
from extract.prompts.chat_template import ChatTemplate
from extract.prompts.prompt import Prompt, PromptBuilder
from extract.questions.samples import Unusable
from schemas.errors import HeadflowError
from schemas.roles import BOS, IMAGE, ROLES
from schemas.text import one_line

QUESTION = "Is there a picture?"
TOLERANCE, TOLERANCE_OF_HALF = 1e-3, 0.25  # of the norm of the last hidden states


def check_model(model: Checkpoint, prompts: PromptBuilder) -> None:
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
        observed = _hidden(model, other if model.causal else prompt, pixels, observed=True)
    except Exception as error:  # a model that does not fit its config.json raises anything
        raise HeadflowError(f"a first pass through the model failed: {one_line(error)[:400]}") from error
    if not torch.isfinite(plain).all():
        raise HeadflowError(f"the model gives numbers that are not finite in {model.dtype}", setting="dtype")
    difference = (plain - observed)[:-1].norm() / plain[:-1].norm()
    if not difference <= (TOLERANCE if model.dtype == torch.float32 else TOLERANCE_OF_HALF):
        raise HeadflowError(
            f"this {model.prompt_format.family} computes something else when it is observed (by "
            f"{float(difference):.0%}): its attention is not what is assumed of it, such as causal"
        )


def _check_roles(prompt: Prompt) -> None:
    if len(prompt.roles) != len(prompt.input_ids) or not set(prompt.roles) <= set(range(len(ROLES))):
        raise HeadflowError("some token of the prompt has no role")
    if IMAGE not in prompt.roles:
        raise HeadflowError("no token of the prompt stands for the image")


def _check_tokens(model: Checkpoint, prompts: PromptBuilder, prompt: Prompt, image: Image.Image) -> None:
    """Compare the tokens of a prompt by the checkpoint's chat template with those of its own processor.

    LLaVA's templates have no processor to compare with: there BOS must stand at the beginning alone.
    """
    template = prompts.template
    if not isinstance(template, ChatTemplate):
        first, *others = prompt.input_ids
        known = model.prompt_format.tokenizer.added_tokens_decoder
        if prompt.roles[0] == BOS and first in others and first in known and known[first].special:
            raise HeadflowError(
                "the tokenizer puts its first token into the middle of the prompt; files of the tokenizer, such as "
                "tokenizer_config.json, may be missing",
                setting="show_prompt",
            )
        return
    text = template.render(prompts.wording.ask(QUESTION)).text
    expected = model.preprocessor.whole_prompt_ids(text, image, special=not template.has_bos(text))
    if expected is not None and prompt.input_ids != expected:
        raise HeadflowError(
            f"the prompt has {len(prompt.input_ids)} tokens that are not the {len(expected)} of the checkpoint's own "
            "processor",
            setting="show_prompt",
        )


def _hidden(model: Checkpoint, prompt: Prompt, pixels: Pixels, *, observed: bool) -> Tensor:
    """What the last layer gives for each token, float32 [tokens, width]."""
    batch, inputs = Uploader(model.device, model.dtype).send(pack([[prompt]]), [pixels])
    with torch.inference_mode():
        return model.last_hidden_states(batch, inputs, observed=observed)[0].float()
