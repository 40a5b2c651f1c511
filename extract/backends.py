"""The two backends, the classes of transformers and the original llava package: they load a model, set up the loop."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from extract.knockouts.sets import read_plan
from extract.prompts.conversation_templates import CHAT, find_template
from extract.prompts.given import read_texts
from extract.prompts.prompt_builder import Prompts
from extract.prompts.wordings import Wording, check_options_asked, read_wordings, suffix_of
from extract.questions.question_set import QuestionSet
from extract.settings import AUTO, PACKAGE, TRANSFORMERS, Deciding, Extract, Model
from extract.tables import find_makers
from schemas.errors import HeadflowError
from schemas.jobs.head_sets import NOTHING, HeadSet
from schemas.manifest import ORIGINAL, PACKED, SWAPPED, Session
from schemas.tasks import MME, OFFERED, Task

if TYPE_CHECKING:
    from extract.images.preprocessing import ImageSettings, Preprocessor
    from extract.models.answers import AnswerReader
    from extract.models.checkpoint import Checkpoint
    from extract.prompts.prompt_format import PromptFormat
    from extract.runner import Extractor

DISTRIBUTIONS = {TRANSFORMERS: (), PACKAGE: ("llava-torch",)}  # what each needs beside torch and transformers


@contextmanager
def packages(backend: str) -> Iterator[None]:
    """Around imports of what a backend needs; raises `HeadflowError` if a package is not installed."""
    remedy = "make setup-llava" if backend == PACKAGE else "pip install -e '.[extract]'"
    try:
        yield
    except ModuleNotFoundError as error:
        raise HeadflowError(f"{error.name} is not installed: {remedy}") from error


def load_checkpoint(settings: Model, device: str) -> "Checkpoint":
    """The model on a device; raises `HeadflowError` if it cannot be loaded."""
    with packages(settings.backend):
        from transformers.utils import logging

        from extract.models.weights.devices import use_devices

        load: Callable[..., Checkpoint]
        if settings.backend == PACKAGE:
            from extract.models.llava.original_package import load_package as load
        else:
            from extract.models.loading import load_model as load
    logging.set_verbosity_error()  # what it would warn of, such as missing weights, is checked here
    logging.disable_progress_bar()
    (place, *others), images = use_devices(device), _image_settings(settings)
    more: dict[str, Any] = {} if settings.quantize is None else {"quantize": settings.quantize}
    if others and settings.backend == PACKAGE:
        raise HeadflowError("the llava package runs a model on one device", setting="device")
    more |= {"others": others} if others else {}
    return load(settings.model_path, settings.model_base, device=place, dtype=settings.dtype, images=images, **more)


def load_format(settings: Model) -> "tuple[PromptFormat, Preprocessor]":
    """How prompts are written and images preprocessed; only the llava package needs the weights for that.

    Raises:
        HeadflowError: the checkpoint cannot be read.
    """
    if settings.backend == PACKAGE:
        checkpoint = load_checkpoint(settings, AUTO)
        return checkpoint.prompt_format, checkpoint.preprocessor
    with packages(settings.backend):
        from extract.models.loading import load_prompt_format
    return load_prompt_format(settings.model_path, settings.model_base, _image_settings(settings))


def find_wordings(settings: Model, task: Task = MME) -> list[Wording]:
    """How questions of a task are asked.

    Raises:
        HeadflowError: a file of wordings or a name of a template in it is wrong, or a wording leaves options out.
    """
    if not settings.prompts:
        return [Wording.of_suffix(suffix_of(task) if settings.prompt_suffix is None else settings.prompt_suffix)]
    wordings = read_wordings(settings.prompts)
    check_options_asked(wordings, task)
    for wording in wordings:
        if wording.conv_mode not in (None, CHAT):
            with _naming(wording):
                find_template(wording.conv_mode, settings.model_path)
    return wordings


def in_wordings(questions: QuestionSet, wordings: Sequence[Wording]) -> QuestionSet:
    """The samples of a run: each question in each wording, if there are several."""
    return questions.in_wordings([str(wording.name) for wording in wordings]) if len(wordings) > 1 else questions


def find_prompts(prompt_format: "PromptFormat", wordings: Sequence[Wording], settings: Model) -> Prompts:
    """What writes prompts.

    Raises:
        HeadflowError: a template, wording or system span is not for the model, or no prompt leaves room for the new
            tokens.
    """
    new_tokens = (settings.generate or 0) if isinstance(settings, Deciding) else 0
    if new_tokens >= prompt_format.max_tokens:
        raise HeadflowError(
            f"{new_tokens} new tokens leave no room for a prompt: the model has positions for "
            f"{prompt_format.max_tokens} tokens",
            setting="generate",
        )
    builders = {}
    for wording in wordings:
        with _naming(wording):
            template = prompt_format.find_template(wording.conv_mode or settings.conv_mode, settings.model_path)
        builder = prompt_format.prompt_builder(template, wording=wording, system_span=settings.system_span)
        builders[wording.name if len(wordings) > 1 else None] = replace(builder, new_tokens=new_tokens)
    return Prompts(builders)


@contextmanager
def _naming(wording: Wording) -> Iterator[None]:
    """Around the choice of a template: errors name the wording, if it says which template is wanted."""
    try:
        yield
    except HeadflowError as error:
        if wording.conv_mode is None:
            raise
        raise HeadflowError(f"the wording {wording.name}: {error}", setting="prompts") from None


def find_removed(settings: Model) -> HeadSet:
    """The heads and layers that are to be taken out of the model; raises `HeadflowError` if the plan cannot be read."""
    return read_plan(settings.plan) if settings.plan is not None else NOTHING


def answer_words(settings: Model, letters: str) -> Sequence[str]:
    """The words whose first tokens are the answers: the letters of options, if questions have their own, or two words.

    Raises:
        HeadflowError: other words are asked for, and questions have options of their own.
    """
    if letters and tuple(settings.answer_tokens) != OFFERED:
        raise HeadflowError(
            "the questions have options of their own, which are answered by letters", setting="answer_tokens"
        )
    return letters or settings.answer_tokens


def load_asked(
    settings: Model,
    device: str,
    wordings: Sequence[Wording],
    removed: HeadSet,
    task: Task = MME,
    letters: str = "",
    images: int = 1,
) -> "tuple[Checkpoint, Prompts, AnswerReader]":
    """The model, checked, without some heads and layers; its prompts; and its answers.

    Args:
        letters: of the options of all questions, where these have their own.
        images: how many images questions have at most.

    Raises:
        HeadflowError: the model cannot be loaded or observed, or packages are not installed.
    """
    with packages(settings.backend):
        from extract.models.answers import AnswerReader
        from extract.models.self_check import check_observation
        from extract.models.weights.parts import remove

    checkpoint = load_checkpoint(settings, device)
    prompts = find_prompts(checkpoint.prompt_format, wordings, settings)
    for builder in prompts.builders.values():
        checkpoint = check_observation(checkpoint, builder, images=images)
    tokens = checkpoint.prompt_format.answer_tokens(prompts, answer_words(settings, letters))
    if outside := removed.outside(checkpoint):
        raise HeadflowError(f"the plan {outside}", setting="plan")
    if removed.layers == set(range(checkpoint.layers)):
        raise HeadflowError("the plan removes all layers, and nothing is left to observe", setting="plan")
    remove(checkpoint, removed)
    return checkpoint, prompts, AnswerReader.of(checkpoint, tokens, task)


def load_extractor(
    settings: Extract,
    questions: QuestionSet,
    wordings: Sequence[Wording],
    before: Session | None,
    tables: Mapping[str, Any],
) -> "Extractor":
    """Load the model, check it, and set up the loop.

    Args:
        questions: in all wordings.
        before: the chunk's last session, whose batch size is taken if the user names none and the device is the same:
            then the numbers are those of a run that was never interrupted, to the last digit.
        tables: the fields of `extract.tables.asked_fields`.

    Raises:
        HeadflowError: the model cannot be loaded or observed, or packages are not installed.
    """
    with packages(settings.backend):
        from extract.generation.detokenization import tokens_of_text
        from extract.images.counterfactual.altered import Counterfactual
        from extract.models.checkpoint import device_name
        from extract.passes.batch_size import choose_batch_size
        from extract.passes.forward import Passes
        from extract.runner import Extractor

    if settings.generate is not None and settings.backend == TRANSFORMERS:
        from extract.models.loading import check_decoding  # which the transformers of the llava package lacks

        check_decoding(settings.model_path, settings.model_base)
    removed = find_removed(settings)
    checkpoint, prompts, answers = load_asked(
        settings, settings.device, wordings, removed, questions.task, questions.letters,
        max((len(sample.images) for sample in questions.samples), default=1),
    )  # fmt: skip
    passes = Passes(checkpoint, answers, list(find_makers(tables, checkpoint, answers)))
    for maker in passes.makers:
        maker.check(next(iter(prompts.builders.values())))
    if settings.text is not None and settings.generate is not None:
        texts = read_texts(settings.text)
        write = partial(tokens_of_text, answers.tokenizer, ends=checkpoint.end_tokens, most=settings.generate)
        given = {sample.sample_id: write(texts[sample.sample_id]) for sample in questions.samples}
        prompts = replace(prompts, given=given)
    packed = settings.sequences == PACKED and checkpoint.packs
    batch_size = 1 if checkpoint.single else None if settings.batch_size == AUTO else int(settings.batch_size)
    if (
        batch_size is None
        and before is not None
        and before.device == device_name(checkpoint.device, *checkpoint.others)
    ):
        batch_size = before.batch_size
    if batch_size is None:
        groups = questions.by_image() if packed else [[sample] for sample in questions.samples]
        batch_size = choose_batch_size(passes, prompts, groups)
    images, counterfactual = settings.images, None
    if images not in (ORIGINAL, SWAPPED):
        counterfactual = Counterfactual.of(images, checkpoint)
    return Extractor(
        checkpoint=checkpoint,
        prompts=prompts,
        passes=passes,
        packed=packed,
        batch_size=batch_size,
        workers=settings.readers,
        removed=removed,
        thumbnails=settings.thumbnails,
        images=images,
        counterfactual=counterfactual,
    )


def _image_settings(settings: Model) -> "ImageSettings":
    from extract.images.preprocessing import ImageSettings

    return ImageSettings(settings.image_aspect_ratio, settings.min_pixels, settings.max_pixels)
