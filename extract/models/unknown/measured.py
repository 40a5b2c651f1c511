"""What is measured of a model that no table describes, in some passes before a run.

Pictures of several shapes, in more tiles than one where the processor cuts tiles, must all give what the plain model
makes of all that its processor writes. Then: whether the model is causal over each prompt; that nothing of a picture
reaches text but by attention to image tokens, as where text that sees no image token is the same for all pictures; and
whether questions after one prefix are what each of them is in a sequence of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from extract.attention.packing import pack
from extract.models.checkpoint import Checkpoint
from extract.models.unknown.passes import CheckPasses, Entering, MaskReader, difference, other_end
from extract.prompts.prompt_builder import Prompt, PromptBuilder
from schemas.errors import HeadflowError
from schemas.roles import IMAGE

SIZES = ((768, 384), (300, 600))  # width and height of pictures of noise
SECOND_QUESTION = "What is in this picture?"


def pictures() -> list[Image.Image]:
    """Pictures of noise."""
    random = np.random.default_rng(0)
    return [Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8)) for width, height in SIZES]


@dataclass(frozen=True)
class Limits:
    """Up to which share of their norm hidden states are taken to be equal.

    Attributes:
        observed: those of the observed model and of the plain one.
        unchanged: where only the rounding of other tokens can change them.
        packed: those of two layouts of the same questions.
    """

    observed: float
    unchanged: float
    packed: float


@dataclass(frozen=True)
class Case:
    """A prompt with a picture, and what the plain model makes of it.

    Attributes:
        plain: float32 [tokens, width].
        causal: whether no token sees a later one; `plainly`: each sees all earlier ones too, in each layer.
        places: whether the position of each token is its place.
    """

    passes: CheckPasses
    plain: Tensor
    causal: bool
    plainly: bool
    places: bool


def measure(passes: CheckPasses, limits: Limits) -> Case:
    """Measure a prompt with a picture.

    Raises:
        HeadflowError: the observed model computes something else than the plain one, or tokens that have something of
            the picture are not those of role `image`.
    """
    model, prompt = passes.model, passes.prompt
    masks = MaskReader()
    plain = passes.plain()
    if not torch.isfinite(plain).all():
        raise HeadflowError(f"the model gives numbers that are not finite in {model.dtype}", setting="dtype")
    observed = passes.observed(model, masks)
    entering = passes.enter()
    check_image_tokens(model, prompt, entering)
    changed = passes.plain(ids=other_end(prompt))
    if not (apart := difference(plain, observed)) <= limits.observed:
        raise HeadflowError(
            f"this {model.prompt_format.family} computes something else when it is observed (by {apart:.0%}): its "
            "attention, or what it reads beside token ids and pixels, is not what is assumed of it"
        )
    causal = difference(plain[:-1], changed[:-1]) <= limits.unchanged and not masks.later
    return Case(passes, plain, causal, causal and masks.plain, entering.places)


def check_image_tokens(model: Checkpoint, prompt: Prompt, entering: Entering) -> None:
    """Check that the tokens which the image's features replace are those of role `image`."""
    family, ids = model.prompt_format.family, torch.tensor(prompt.input_ids)
    if model.crossing:
        if entering.of_image.any():
            raise HeadflowError(
                f"features of the image stand in the sequence of this {family}, where only cross-attention "
                "should read them; it is not supported"
            )
        return
    if not entering.of_image.any():
        raise HeadflowError(
            f"no token of this {family} gets features of the image: they enter its layers in another way, such as "
            "cross-attention, which is not supported"
        )
    by_role = torch.tensor([role == IMAGE for role in prompt.roles])
    other, unreplaced = entering.of_image & ~by_role, entering.as_text & by_role
    named = _token(model, int(ids[by_role][0]))
    if other.any():
        found = _token(model, int(ids[other][0]))
        raise HeadflowError(
            f"features of the image stand at {int(other.sum())} tokens such as {found}, but config.json names {named} "
            "(image_token_id) as the token of images: one of them is wrong"
        )
    if unreplaced.any():
        raise HeadflowError(
            f"no features of the image stand at {int(unreplaced.sum())} of {int(by_role.sum())} tokens {named}, which "
            "config.json names as the token of images (image_token_id): they are text to this model"
        )


def _token(model: Checkpoint, number: int) -> str:
    """How the vocabulary spells a token; its number if it is outside, as LLaVA's image tokens are."""
    tokenizer = model.prompt_format.tokenizer
    return str(tokenizer.convert_ids_to_tokens(number)) if 0 <= number < len(tokenizer) else str(number)


def check_promises(model: Checkpoint, case: Case) -> None:
    """Check what the table says of a family against what is measured of one of its models.

    Raises:
        HeadflowError: they contradict each other.
    """
    family = model.prompt_format.family
    if model.promises_causal and not case.causal:
        raise HeadflowError(f"tokens of this {family} see later ones, which is not assumed of it")
    if model.packs and not case.places:
        raise HeadflowError(
            f"positions of this {family} are not the places of its tokens, which is assumed of it: questions on one "
            "image cannot stand after one prefix"
        )


def check_layers_that_do_not_attend(model: Checkpoint, cases: Sequence[Case]) -> None:
    """Check that a model is causal if some of its layers do not attend.

    Raises:
        HeadflowError: it is not.
    """
    if len(model.attending) < model.layers and not all(case.causal for case in cases):
        raise HeadflowError(
            f"some layers of this {model.prompt_format.family} do not attend, and tokens see later ones: what those "
            "take from padding is not known; it is not supported"
        )


def read_as_measured(model: Checkpoint, prompts: PromptBuilder, cases: Sequence[Case], limits: Limits) -> Checkpoint:
    """A model that is not in the table: by a kernel if it is plainly causal, and packed if that is the same.

    Raises:
        HeadflowError: something of a picture reaches text in another way than by attention to image tokens.
    """
    for case in cases if len(model.attending) == model.layers else ():  # in others, text takes the image by itself
        _check_way_of_image(case, limits)
    if not all(case.plainly for case in cases):
        return model
    model = model.with_kernel(
        lambda other: all(difference(case.plain, case.passes.observed(other)) <= limits.observed for case in cases)
    )
    keeps_state = len(model.attending) < model.layers  # from one question to the next, where layers do not attend
    if (
        model.kernel is None
        or keeps_state
        or not all(case.places and _same_after_prefix(model, prompts, case, limits) for case in cases)
    ):
        return model
    return replace(model, packs=True)


def _check_way_of_image(case: Case, limits: Limits) -> None:
    """Check that text which sees no image token is the same for two pictures."""
    text = torch.tensor([role != IMAGE for role in case.passes.prompt.roles])
    one, other = (case.passes.without_image(noise=noise)[text] for noise in (False, True))
    if not difference(one, other) <= limits.unchanged:
        raise HeadflowError(
            f"text of this {case.passes.model.prompt_format.family} gets something of the image in another way than by "
            "attention to image tokens, such as cross-attention, or features that later layers add; it is not supported"
        )


def _same_after_prefix(model: Checkpoint, prompts: PromptBuilder, case: Case, limits: Limits) -> bool:
    """Whether the last tokens of two questions after one prefix are those of questions in sequences of their own."""
    pixels, first = case.passes.pixels, case.passes.prompt
    second = prompts.build(SECOND_QUESTION, pixels.image_ids)
    alone = CheckPasses(model, second, pixels, None).plain()
    together = pack([[first, second]])
    batch, inputs = model.uploader.send(together, [pixels])
    try:
        with torch.inference_mode():
            states = replace(model, packs=True).last_hidden_states(batch, inputs, observed=True)[0].float().cpu()
    except Exception:  # such as of a model that takes no position ids
        return False
    ends = [states[at] for at in together.last.tolist()]
    return all(
        difference(expected, found) <= limits.packed
        for expected, found in zip((case.plain[-1], alone[-1]), ends, strict=True)
    )
