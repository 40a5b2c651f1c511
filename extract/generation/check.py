"""A check of a model before it writes: that its tokens, observed one by one, are those of its own `generate`."""

import torch

from extract.attention.packing import pack
from extract.generation.greedy_decoding import Generation
from extract.images.preprocessing import blank_image
from extract.models.checkpoint import Checkpoint
from extract.models.self_check import CHECK_QUESTION, CHECK_TOLERANCE, CHECK_TOLERANCE_OF_HALF
from extract.prompts.prompt_builder import PromptBuilder
from schemas.errors import HeadflowError
from schemas.text import one_line

_STEPS = 4  # the first is of the prefill, which is checked with it


def check_generation(checkpoint: Checkpoint, prompts: PromptBuilder) -> None:
    """Check a model with a black image and a short question, by the logits of a few steps.

    Raises:
        HeadflowError: they are not those of the plain model, or it cannot write.
    """
    pixels = checkpoint.preprocessor(blank_image())
    batch, inputs = checkpoint.uploader.send(pack([[prompts.build(CHECK_QUESTION, pixels.image_ids)]]), [pixels])
    written = Generation(checkpoint, batch, _STEPS)
    with written.reading():
        logits, *_ = checkpoint.forward(batch, inputs, readers=[written.kept])
    steps = list(written.greedy(logits, torch.empty(0, dtype=torch.int64, device=checkpoint.device)))
    try:
        plain = checkpoint.plain_logits(batch, inputs, torch.cat([step.token for step in steps]))
    except Exception as error:  # a model raises anything
        raise HeadflowError(f"the model's own generation fails: {one_line(error)[:400]}", setting="generate") from error
    observed = torch.cat([step.logits for step in steps])
    tolerance = CHECK_TOLERANCE if checkpoint.dtype == torch.float32 else CHECK_TOLERANCE_OF_HALF
    difference = float((observed.float() - plain.float()).norm() / plain.float().norm())
    if not difference <= tolerance:
        raise HeadflowError(
            f"this {checkpoint.prompt_format.family} writes something else when it is observed (its logits differ by "
            f"{difference:.0%}): what it reads of new tokens is not what is assumed of it",
            setting="generate",
        )
