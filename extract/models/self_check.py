"""A check of a model before a run: that tokens have the roles they should, and that observing does not change it.

What the plain model computes is taken from a call with all that the checkpoint's own processor writes, so that an input
that is not passed on shows. Whether the model is causal is measured: with another last token, the states of the tokens
before it must stay the same, and no mask may let a token see a later one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from extract.attention.packing import pack
from extract.attention.readers import LayerInput
from extract.images.preprocessing import Pixels, blank_image
from extract.models.checkpoint import Checkpoint
from extract.prompts.chat_template import ChatTemplate
from extract.prompts.prompt_builder import Prompt, PromptBuilder
from extract.questions.samples import Unusable
from schemas.errors import HeadflowError
from schemas.roles import BOS, IMAGE, ROLES
from schemas.text import one_line, short

CHECK_QUESTION = "Is there a picture?"
SIZES = ((336, 336), (448, 224), (224, 448))  # width and height of black pictures in a prompt of several
TOO_LONG = "prompt_too_long"
CHECK_TOLERANCE, CHECK_TOLERANCE_OF_HALF = 1e-3, 0.25  # of the norm of the last hidden states
UNCHANGED, UNCHANGED_OF_HALF = 1e-5, 1e-2  # the same, of what only the rounding of other tokens can change


def check_observation(model: Checkpoint, prompts: PromptBuilder, *, images: int = 1) -> Checkpoint:
    """Check a model with a black image and a short question, in four or five forward passes.

    Args:
        images: how many images questions have at most; of several, the tokens of a prompt of as many are checked too,
            up to as many as `SIZES`.

    Returns:
        The model with `causal` as measured. One that was observed under its mask, though that is plainly causal, is
        observed by a kernel from now on.

    Raises:
        HeadflowError: the prompt is not what the checkpoint's processor writes; a token has no role; the image tokens
            are not as many as the vision tower gives, or its features stand at others; tokens see later ones in a model
            that is observed as a causal one; or the observed model computes something else than the plain one.
    """
    image = blank_image()
    try:
        pixels = model.preprocessor(image)
        prompt = prompts.build(CHECK_QUESTION, pixels.image_ids)
    except Unusable as error:
        why = error.detail + "; see max_position_embeddings in config.json" * (error.reason == TOO_LONG)
        raise HeadflowError(f"not even a black picture and a short question can be asked: {why}") from None
    _check_roles(prompts, prompt)
    _check_vocabulary(model, prompt)
    passes = _Passes(model, prompt, pixels, _check_tokens(model, prompts, prompt, [image]))
    if images > 1 and model.preprocessor.several:
        _check_several(model, prompts, [Image.new("RGB", size) for size in SIZES[:images]])
    masks = _Masks()
    try:
        plain = passes.plain()
        observed = passes.observed(model, masks)
        _check_image_tokens(model, prompt, passes.depend_on_image())
        changed = passes.plain(ids=_other_end(prompt))
    except HeadflowError:
        raise
    except Exception as error:  # a model that does not fit its config.json raises anything
        why = "; ".join([one_line(error)[:400], *_hints(model, str(error))])
        raise HeadflowError(f"a first pass through the model failed: {why}") from error
    if not torch.isfinite(plain).all():
        raise HeadflowError(f"the model gives numbers that are not finite in {model.dtype}", setting="dtype")
    exact = model.dtype == torch.float32
    tolerance = CHECK_TOLERANCE if exact else CHECK_TOLERANCE_OF_HALF
    if not (difference := _difference(plain, observed)) <= tolerance:
        raise HeadflowError(
            f"this {model.prompt_format.family} computes something else when it is observed (by {difference:.0%}): its "
            "attention, or what it reads beside token ids and pixels, is not what is assumed of it"
        )
    unchanged = _difference(plain[:-1], changed[:-1]) <= (UNCHANGED if exact else UNCHANGED_OF_HALF)
    if model.kernel is not None and not unchanged:
        raise HeadflowError(f"tokens of this {model.prompt_format.family} see later ones, which is not assumed of it")
    causal = unchanged and not masks.later
    if not causal and len(model.attending) < model.layers:
        raise HeadflowError(
            f"some layers of this {model.prompt_format.family} do not attend, and tokens see later ones: what those "
            "take from padding is not known; it is not supported"
        )
    if causal and masks.plain:
        model = model.with_kernel(lambda other: _difference(plain, passes.observed(other)) <= tolerance)
    return replace(model, causal=causal)


@dataclass(frozen=True)
class _Passes:
    """Passes over one prompt; `whole` is what the checkpoint's processor writes of it, if it does."""

    model: Checkpoint
    prompt: Prompt
    pixels: Pixels
    whole: dict[str, Tensor] | None

    def plain(self, ids: list[int] | None = None, *, noise: bool = False) -> Tensor:
        """What the last layer of the plain model gives for each token, float32 [tokens, width], on the CPU.

        Args:
            ids: other token ids than the prompt's.
            noise: with noise in the place of the picture.
        """
        prompt, pixels, whole = self.prompt, self.pixels, self.whole
        if ids is not None:
            prompt = replace(prompt, input_ids=ids)
            whole = whole and whole | {"input_ids": torch.tensor([ids])}
        if noise:
            pixels = replace(pixels, inputs=_with_noise(pixels.inputs))
            whole = whole and _with_noise(whole)
        return self._states(self.model, prompt, pixels, observed=False, whole=whole)

    def observed(self, model: Checkpoint, *readers: Any) -> Tensor:
        """The same of the observed model."""
        return self._states(model, self.prompt, self.pixels, observed=True, readers=readers)

    def depend_on_image(self) -> Tensor:
        """Which tokens enter the first layer with something of the picture, bool [tokens]."""
        black, noise = (self._embedded(partial(self.plain, noise=noise)) for noise in (False, True))
        return (black != noise).any(dim=-1)[0]

    def _embedded(self, run: Callable[[], Any]) -> Tensor:
        """What the first layer gets in a pass, [1, tokens, width], on the CPU; the pass ends there."""
        kept: list[Tensor] = []

        def keep(_: Any, given: tuple[Any, ...], named: dict[str, Any]) -> None:
            kept.append(given[0] if given else named["hidden_states"])
            raise _EnoughError

        hook = self.model.stack.layers[0].register_forward_pre_hook(keep, with_kwargs=True)
        try:
            run()
        except _EnoughError:
            pass
        finally:
            hook.remove()
        return kept[0].cpu()

    @staticmethod
    def _states(model: Checkpoint, prompt: Prompt, pixels: Pixels, *, whole: Any = None, **options: Any) -> Tensor:
        batch, inputs = model.uploader.send(pack([[prompt]]), [pixels])
        if whole is not None:
            whole = {name: each.to(model.device) for name, each in whole.items()}
            whole = {name: each.to(model.dtype) if each.is_floating_point() else each for name, each in whole.items()}
        with torch.inference_mode():
            return model.last_hidden_states(batch, inputs, whole=whole, **options)[0].float().cpu()


class _EnoughError(Exception):
    """Ends a pass whose rest is not needed."""


class _Masks:
    """Reads the masks of a pass over one prompt; see `extract.attention.readers.AttentionReader`.

    Attributes:
        later: whether a token sees a later one in some layer.
        plain: whether each token sees itself and all earlier ones, and no others, in each layer that has a mask.
    """

    def __init__(self) -> None:
        self.later = False
        self.plain = True

    def read(self, layer: LayerInput) -> None:
        """Read one layer."""
        if layer.mask is not None:
            self.later |= bool(layer.mask.triu(1).any())
            self.plain &= bool((layer.mask == torch.ones_like(layer.mask).tril()).all())


def _difference(one: Tensor, other: Tensor) -> float:
    """How far hidden states are apart, as a share of their norm."""
    return float((one - other).norm() / one.norm())


def _with_noise(inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Inputs with noise in the place of the pixels, which are numbers that are not whole."""
    random = torch.Generator().manual_seed(0)
    return {
        name: torch.randn(each.shape, generator=random).to(each.dtype) if each.is_floating_point() else each
        for name, each in inputs.items()
    }


def _other_end(prompt: Prompt) -> list[int]:
    """The ids of a prompt with another last token, one of its text."""
    ids = prompt.input_ids
    texts = [token for token, role in zip(ids, prompt.roles, strict=True) if role != IMAGE and token != ids[-1]]
    return [*ids[:-1], texts[-1]]


def _hints(model: Checkpoint, error: str) -> list[str]:
    """What to look at after an error, such as that a model does not get as many image tokens as it has features."""
    found = model.preprocessor.contradictions()
    if found or "image" not in error.lower():
        return found
    return [
        "how many features an image has is said by config.json, how many tokens by processor_config.json and "
        "preprocessor_config.json"
    ]


def _check_vocabulary(model: Checkpoint, prompt: Prompt) -> None:
    """Check that the model has an embedding for each token."""
    known, last = model.embeddings, max(prompt.input_ids)
    if known is not None and last >= known:
        raise HeadflowError(
            f"the tokenizer writes token {last} (tokenizer.json), and the model has {known} embeddings (vocab_size in "
            "config.json): they are of two models"
        )


def _check_roles(prompts: PromptBuilder, prompt: Prompt) -> None:
    if len(prompt.roles) != len(prompt.input_ids) or not set(prompt.roles) <= set(range(len(ROLES))):
        raise HeadflowError("some token of the prompt has no role")
    if IMAGE not in prompt.roles:
        raise HeadflowError(
            f"no token of the prompt stands for the image: config.json names token {prompts.image_token_id} "
            "(image_token_id), and the processor (processor_config.json, tokenizer_config.json) writes none of it"
        )


def _check_image_tokens(model: Checkpoint, prompt: Prompt, depend: Tensor) -> None:
    """Check that the image's features, which stand at the tokens that `depend` on it, stand at image tokens."""
    if not depend.any():
        raise HeadflowError(
            f"no token of this {model.prompt_format.family} gets features of the image: they enter its layers in "
            "another way, such as cross-attention, which is not supported"
        )
    other = [
        token
        for token, role, of_image in zip(prompt.input_ids, prompt.roles, depend.tolist(), strict=True)
        if of_image and role != IMAGE
    ]
    if other:
        named = prompt.input_ids[prompt.roles.index(IMAGE)]
        found, name = (model.prompt_format.tokenizer.convert_ids_to_tokens(token) for token in (other[0], named))
        raise HeadflowError(
            f"features of the image stand at {len(other)} tokens such as {found}, but config.json names {name} "
            "(image_token_id) as the token of images: one of them is wrong"
        )


def _check_several(model: Checkpoint, prompts: PromptBuilder, images: Sequence[Image.Image]) -> None:
    """Check the tokens of a prompt of several images; one that cannot be asked is skipped in a run too."""
    try:
        prompt = prompts.build(CHECK_QUESTION, model.preprocessor(*images).image_ids)
    except Unusable:
        return
    _check_tokens(model, prompts, prompt, images)


def _check_tokens(
    model: Checkpoint, prompts: PromptBuilder, prompt: Prompt, images: Sequence[Image.Image]
) -> dict[str, Tensor] | None:
    """Compare the tokens of a prompt by the checkpoint's chat template with those of its own processor.

    LLaVA's templates have no processor to compare with: there BOS must stand only at the beginning.

    Returns:
        All that the processor writes of the prompt; None if there is nothing to compare with.
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
        return None
    text = template.render(prompts.wording.ask(CHECK_QUESTION), len(images)).text
    whole = model.preprocessor.whole_prompt(text, *images, special=not template.has_bos(text))
    if whole is not None and [prompt.input_ids] != whole["input_ids"].tolist():
        of = f" of {len(images)} images" if len(images) > 1 else ""
        raise HeadflowError(
            f"the prompt{of} has {len(prompt.input_ids)} tokens that are not the {whole['input_ids'].shape[1]} of the "
            f"checkpoint's own processor: {_first_difference(model, prompt.input_ids, whole['input_ids'][0].tolist())}",
            setting="show_prompt",
        )
    return whole


def _first_difference(model: Checkpoint, ours: list[int], theirs: list[int]) -> str:
    """Where two lists of token ids differ first, in words."""
    place = next((at for at, (one, other) in enumerate(zip(ours, theirs, strict=False)) if one != other), None)
    if place is None:
        return f"one ends after {min(len(ours), len(theirs))}"
    one, other = (short(model.prompt_format.tokenizer.decode([ids[place]])) for ids in (ours, theirs))
    return f"by tokenizer.json and the chat template, token {place} is {one}, by processor_config.json {other}"
