"""Prompts token by token, for people: what the model reads, and the role of each token."""

from collections.abc import Iterator
from itertools import groupby

from transformers import PreTrainedTokenizerBase

from extract.images.loading import open_images
from extract.images.preprocessing import Preprocessor, blank_image
from extract.prompts.conversation_templates import IMAGE_PLACEHOLDER
from extract.prompts.prompt_builder import Prompt, Prompts
from extract.prompts.prompt_format import PromptFormat
from extract.questions.question_set import QuestionSet
from extract.questions.samples import Sample, Unusable
from schemas.roles import IMAGE, ROLES
from schemas.text import counted, printable


def prompt_lines(
    sample: Sample,
    questions: QuestionSet,
    prompts: Prompts,
    prompt_format: PromptFormat,
    preprocessor: Preprocessor,
) -> Iterator[str]:
    """Lines of text: which sample and template, then the prompt token by token, or why there is none."""
    try:
        ids, note = _image_ids(prompt_format, preprocessor, questions, sample)
        lines = list(strip(prompts.build(sample, ids), prompt_format.tokenizer))
    except Unusable as error:
        note, lines = "", [printable(f"skipped: {error.reason} ({error.detail})")]
    yield printable(
        f"{sample.sample_id} ({sample.category}), template {prompts.builders[sample.prompt].template.name}{note}"
    )
    yield from lines


def _image_ids(
    prompt_format: PromptFormat, preprocessor: Preprocessor, questions: QuestionSet, sample: Sample
) -> tuple[list[list[int]], str]:
    """The tokens that stand for each of a sample's images, and a note if they are those of another image.

    If the tokens depend on the size of the image, and nothing says where the images are, a black picture is taken.

    Raises:
        Unusable: the image cannot be read, or there are several and the model takes one.
    """
    if prompt_format.image_ids and len(sample.images) == 1:
        return [prompt_format.image_ids], ""
    if questions.images is None:
        blank = blank_image()
        note = f", a black picture of {blank.width} x {blank.height} in the place of the image"
        return preprocessor(*[blank] * len(sample.images)).image_ids, note
    return open_images(questions, [sample], preprocessor)[0].usable().image_ids, ""


def strip(prompt: Prompt, tokenizer: PreTrainedTokenizerBase) -> Iterator[str]:
    """Lines of text: counts by role, then position, role, id and piece of each token; image tokens share one line.

    Pieces are the tokenizer's own, which mark a space by a sign such as `▁`.
    """
    counts = ", ".join(f"{name[2:]} {count}" for name, count in prompt.counts().items())
    yield f"{counted(len(prompt.input_ids), 'token')}: {counts}"
    pieces = (
        IMAGE_PLACEHOLDER
        if role == IMAGE
        else tokenizer.convert_ids_to_tokens(token)  # what stands for it may be no token
        for token, role in zip(prompt.input_ids, prompt.roles, strict=True)
    )
    tokens = enumerate(zip(prompt.input_ids, prompt.roles, pieces, strict=True))
    for _, run in groupby(tokens, key=lambda token: None if token[1][1] == IMAGE else token[0]):
        (first, (token, role, piece)), *more = run
        position = f"{first}-{first + len(more)}" if more else str(first)
        times = f" x {1 + len(more)}" if role == IMAGE else ""
        # repr: a piece may contain control characters of a terminal
        yield f"{position:>9}  {ROLES[role].name:<8}  {token:>6}  {repr(piece)[1:-1]}{times}"
