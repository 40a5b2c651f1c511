"""A check of a model before a run: that tokens have the roles they should, and that observing does not change it.

What the plain model computes is taken from a call with all that the checkpoint's own processor writes, so that an input
that is not passed on shows. Whether the model is causal is measured: with another last token, the states of the tokens
before it must stay the same, and no mask may let a token see a later one. What the table of families does not say is
measured too (`extract.models.unknown.measured`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from PIL import Image
from torch import Tensor

from extract.images.preprocessing import blank_image
from extract.models.checkpoint import Checkpoint
from extract.models.unknown.measured import (
    Limits,
    check_layers_that_do_not_attend,
    check_promises,
    measure,
    pictures,
    read_as_measured,
)
from extract.models.unknown.passes import CheckPasses
from extract.prompts.chat_template import ChatTemplate
from extract.prompts.prompt_builder import Prompt, PromptBuilder
from extract.questions.samples import Unusable
from schemas.errors import HeadflowError
from schemas.roles import BOS, IMAGE, ROLES
from schemas.text import one_line, short

CHECK_QUESTION = "Is there a picture?"
SIZES = ((336, 336), (448, 224), (224, 448))  # width and height of black pictures in a prompt of several
TOO_LONG = "prompt_too_long"
LIMITS, LIMITS_OF_HALF = Limits(1e-3, 1e-5, 1e-4), Limits(0.25, 1e-2, 5e-2)


def check_observation(model: Checkpoint, prompts: PromptBuilder, *, images: int = 1) -> Checkpoint:
    """Check a model with a black image and a short question, in six passes; a model that is not in the table in more.

    Args:
        images: how many images questions have at most; of several, the tokens of a prompt of as many are checked too,
            up to as many as `SIZES`.

    Returns:
        The model with `causal` as measured. One that is not in the table, and was observed under its mask though that
        is plainly causal, is observed by a kernel from now on, and packed if that is the same.

    Raises:
        HeadflowError: the prompt is not what the checkpoint's processor writes; a token has no role; the image tokens
            are not as many as the vision tower gives, or its features stand at others; the observed model
            computes something else than the plain one; or what is measured contradicts the table of families.
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
    passes = CheckPasses(model, prompt, pixels, _check_tokens(model, prompts, prompt, [image]))
    if images > 1 and model.preprocessor.several:
        _check_several(model, prompts, [Image.new("RGB", size) for size in SIZES[:images]])
    limits = limits_of(model)
    others = [] if model.in_table else list(_further(model, prompts))
    try:
        cases = [measure(each, limits) for each in (passes, *others)]
        check_layers_that_do_not_attend(model, cases)
        if model.in_table:
            check_promises(model, cases[0])
        else:
            model = read_as_measured(model, prompts, cases, limits)
    except HeadflowError:
        raise
    except Exception as error:  # a model that does not fit its config.json raises anything
        why = "; ".join([one_line(error)[:400], *_hints(model, str(error))])
        raise HeadflowError(f"a first pass through the model failed: {why}") from error
    return replace(model, causal=all(case.causal for case in cases))


def limits_of(model: Checkpoint) -> Limits:
    """Up to where hidden states of a model are taken to be equal, by its dtype."""
    return LIMITS if model.dtype == torch.float32 else LIMITS_OF_HALF


def _further(model: Checkpoint, prompts: PromptBuilder) -> Iterator[CheckPasses]:
    """Passes over pictures of other shapes; one that cannot be asked is skipped in a run too."""
    for picture in pictures():
        try:
            pixels = model.preprocessor(picture)
            prompt = prompts.build(CHECK_QUESTION, pixels.image_ids)
        except Unusable:
            continue
        yield CheckPasses(model, prompt, pixels, _check_tokens(model, prompts, prompt, [picture]))


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
    if whole is not None and [prompt.read_ids] != whole["input_ids"].tolist():
        of = f" of {len(images)} images" if len(images) > 1 else ""
        raise HeadflowError(
            f"the prompt{of} has {len(prompt.read_ids)} tokens that are not the {whole['input_ids'].shape[1]} of the "
            f"checkpoint's own processor: {_firstdifference(model, prompt.read_ids, whole['input_ids'][0].tolist())}",
            setting="show_prompt",
        )
    return whole


def _firstdifference(model: Checkpoint, ours: list[int], theirs: list[int]) -> str:
    """Where two lists of token ids differ first, in words."""
    place = next((at for at, (one, other) in enumerate(zip(ours, theirs, strict=False)) if one != other), None)
    if place is None:
        return f"one ends after {min(len(ours), len(theirs))}"
    one, other = (short(model.prompt_format.tokenizer.decode([ids[place]])) for ids in (ours, theirs))
    return f"by tokenizer.json and the chat template, token {place} is {one}, by processor_config.json {other}"
