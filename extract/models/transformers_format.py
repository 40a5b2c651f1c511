"""Vision-language checkpoints in transformers' format -> observed models, as the table of families says."""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from inspect import signature
from typing import Any, Protocol

import torch
from transformers import (
    AutoModel,
    AutoModelForImageTextToText,
    AutoTokenizer,
    CLIPImageProcessorPil,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    ProcessorMixin,
    SiglipImageProcessorPil,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING

from extract.images.preprocessing import ImageSettings, Preprocessor, blank_image
from extract.images.processors import (
    ProcessorPreprocessor,
    asking,
    find_ending,
    find_placeholder,
    find_token_types,
    load_processor,
    most_written,
    settings_of_tokens,
)
from extract.images.towers import SquarePreprocessor
from extract.models.checkpoint import TRANSFORMERS_FORMAT, choose_dtype
from extract.models.families import (
    IMAGE_TOKEN_ID,
    LLAVA,
    Family,
    find_family,
    image_token_id,
    longest_prompt,
    tokens_of_tile,
    unknown_family,
)
from extract.models.fingerprint import fingerprint
from extract.models.transformers_model import TransformersModel, observe
from extract.models.unknown.refusals import check_features, check_kind, check_layers, check_modules, without_weights
from extract.models.unknown.values import read_config
from extract.models.weights.files import Files
from extract.models.weights.lora import merge, read_adapter
from extract.models.weights.quantised import Quantisation
from extract.models.weights.report import check_report, check_size
from extract.models.weights.tensors import read_file
from extract.prompts.chat_template import ChatTemplate
from extract.prompts.conversation_templates import CHAT, VICUNA, choose_default
from extract.prompts.prompt_format import PromptFormat
from schemas.errors import HeadflowError
from schemas.manifest import AS_CHECKPOINT, CROP, PAD

IMAGE_PROCESSORS = {"clip_vision_model": CLIPImageProcessorPil, "siglip_vision_model": SiglipImageProcessorPil}


class Described(Protocol):
    """What a checkpoint is, all but its weights."""

    @property
    def config(self) -> PreTrainedConfig:
        """Its config, in transformers' form."""

    @property
    def family(self) -> Family:
        """How it is read."""

    @property
    def prompt_format(self) -> PromptFormat:
        """How its prompts are written."""

    @property
    def preprocessor(self) -> Preprocessor:
        """What turns images into its inputs."""


@dataclass(frozen=True)
class Description:
    """A checkpoint in transformers' format; see `Described`.

    Attributes:
        empty: the model without weights, where it has been made.
    """

    config: PreTrainedConfig
    family: Family
    prompt_format: PromptFormat
    preprocessor: Preprocessor
    empty: PreTrainedModel | None = None


def load_transformers(
    files: Files,
    stored: dict[str, Any],
    images: ImageSettings,
    adapter: Files | None = None,
    quantised: Quantisation | None = None,
    *,
    device: torch.device,
    dtype: str,
    others: Sequence[torch.device] = (),
) -> TransformersModel:
    """Load a checkpoint.

    Args:
        stored: its config.json.
        adapter: what is merged into its weights.
        quantised: how its weights are quantised, or are to be.
        others: further devices, among which its layers are divided.
        dtype: a name that `extract.models.checkpoint.choose_dtype` knows.

    Raises:
        HeadflowError: no vision-language model, one that cannot be read or observed, or weights that do not fit.
    """
    found = describe(files, stored, images)
    whole = files.whole()
    sources = [(files, whole)]
    if adapter is not None:
        sources.append((adapter, [adapter.adapter()]))
    for source, names in sources:
        source.fetch(names)
    weights = [files.folder / name for name in whole]
    if weights and all(path.is_file() for path in weights):
        empty = found.empty or without_weights(found.config)
        check_size(empty, weights, files.name, quantised=quantised is not None)
    declared = found.config.dtype or found.config.get_text_config().dtype
    chosen = choose_dtype(dtype, device, declared)
    model = _read_model(files, chosen, **quantised.options(chosen, device) if quantised else {})
    if adapter is not None:
        wide = chosen != torch.float32 and declared not in (torch.float16, torch.bfloat16)
        exact = _read_model(files, torch.float32) if wide else None
        merge(model, read_adapter(adapter, read_file(adapter.folder / adapter.adapter())), files.name, exact)
    return observe(
        model,
        found.family,
        found.prompt_format,
        found.preprocessor,
        device,
        format=TRANSFORMERS_FORMAT,
        revision=(adapter or files).commit,
        weights=fingerprint(source.folder / name for source, names in sources for name in names),
        quantised=None if quantised is None else quantised.fields(model),
        others=others,
    )


def _read_model(files: Files, dtype: torch.dtype, **options: Any) -> PreTrainedModel:
    """The model of a checkpoint with its weights, on the CPU if `options` of `from_pretrained` say nothing else."""
    model, report = AutoModelForImageTextToText.from_pretrained(
        files.folder,
        dtype=dtype,
        ignore_mismatched_sizes=True,
        output_loading_info=True,
        trust_remote_code=False,
        **options,
    )
    check_report(report, files.name, allow_unexpected=True)
    return model


def describe(files: Files, stored: dict[str, Any], images: ImageSettings) -> Description:
    """Read all of a checkpoint but its weights; `stored` is its config.json.

    Raises:
        HeadflowError: no vision-language model, one that cannot be read, or image settings that are not for it.
    """
    config = read_config(files.name, files.folder)
    check_kind(files.name, config)
    check_layers(files.name, config, stored)
    family, empty = find_family(config), None
    if family is None:
        empty = without_weights(config)
        check_modules(files.name, config, empty)
    tokenizer = AutoTokenizer.from_pretrained(files.folder, trust_remote_code=False)
    if family is None or not family.square:
        found = _describe_tiled(files, config, tokenizer, family, images)
        if empty is not None:
            _check_features(files.name, found, empty)
        return replace(found, empty=empty)
    check_settings(images, family, files.name)
    return _describe_square(files, config, tokenizer, family, images)


def _check_features(name: str, found: Description, empty: PreTrainedModel) -> None:
    """See `extract.models.unknown.refusals.check_features`; the picture is black."""
    pixels = found.preprocessor(blank_image())
    tokens = sum(token == found.prompt_format.image_token_id for token in pixels.image_ids[0])
    check_features(name, empty, pixels.inputs, tokens)


def _spelled(name: str, tokenizer: PreTrainedTokenizerBase, token: int) -> str:
    """How the vocabulary spells the token of images; `name` is the model's.

    Raises:
        HeadflowError: it has no such token.
    """
    known = 0 <= token < len(tokenizer) or token in tokenizer.added_tokens_decoder
    spelled = tokenizer.convert_ids_to_tokens(token) if known else None
    if spelled is None:
        raise HeadflowError(f"config.json of {name} has {IMAGE_TOKEN_ID} {token}, and its tokenizer.json no such token")
    return str(spelled)


def check_settings(images: ImageSettings, family: Family, name: str) -> None:
    """Check that image settings are for a family; `name` is the model's, for messages.

    Raises:
        HeadflowError: they are not.
    """
    if images.pixels and not family.pixel_limits:
        (setting, *_) = images.pixels
        raise HeadflowError(
            f"limits of pixels are for Qwen's models; {name} is a {family.name}: leave them out", setting=setting
        )
    if images.aspect not in (None, AS_CHECKPOINT) and not family.square:
        raise HeadflowError(
            f"the aspect {images.aspect} is for models that take one square picture; {name} is a {family.name}, whose "
            "own processor cuts images: leave it out",
            setting="image_aspect_ratio",
        )


def _describe_square(
    files: Files, config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase, family: Family, images: ImageSettings
) -> Description:
    """A LLaVA that takes one square picture."""
    tower = getattr(getattr(config, "vision_config", None), "model_type", None)
    if tower not in IMAGE_PROCESSORS:
        raise HeadflowError(f"{files.name} has a vision tower {tower!r}; known are {', '.join(IMAGE_PROCESSORS)}")
    processor = IMAGE_PROCESSORS[tower].from_pretrained(files.folder)
    values, _ = ProcessorMixin.get_processor_dict(files.folder)
    placeholder = _spelled(files.name, tokenizer, config.image_token_id)
    chat = _chat_template(tokenizer, values.get("chat_template"), placeholder, family)
    aspect = images.aspect or CROP
    if aspect == AS_CHECKPOINT:
        aspect = PAD if getattr(processor, "do_pad", False) else CROP
    image_ids = count_image_tokens(config, processor) * [config.image_token_id]
    prompt_format = PromptFormat(
        tokenizer,
        image_ids,
        max_tokens=longest_prompt(config.get_text_config()),
        family=family.name,
        default_template=_default_template(family, files.name, config, tokenizer, chat),
        llava_templates=family.llava_templates,
        chat=chat,
    )
    return Description(config, family, prompt_format, SquarePreprocessor(processor, image_ids, padded=aspect == PAD))


def count_image_tokens(config: PreTrainedConfig, processor: Any) -> int:
    """How many tokens stand for one picture: as many as a LLaVA's vision tower gives features.

    It depends on the size of image and patches, and on whether a class token is kept. Only the tower's embeddings are
    computed, on the meta device: no later layer changes the number.
    """
    vision = copy(config.vision_config)
    vision.num_hidden_layers = 0
    with torch.device("meta"):
        embeddings = AutoModel.from_config(vision).embeddings
    pixels = processor(images=[blank_image(64)], return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        features = int(embeddings(pixels.to("meta")).shape[1])
    kept = getattr(config, "vision_feature_select_strategy", "default")  # VipLlava's config lacks it: the default
    return features - (kept == "default")  # which leaves out the first, a CLIP's class token


def _default_template(
    family: Family,
    model_path: str,
    config: PreTrainedConfig,
    tokenizer: PreTrainedTokenizerBase,
    chat: ChatTemplate | None,
) -> str:
    """The name of the template that is used if the user names none.

    Models that are not based on Vicuna come as `llava` too; their prompts follow their own template.
    """
    if family is not LLAVA:
        return family.template
    if config.get_text_config().model_type != "llama" or tokenizer.bos_token != "<s>":
        return CHAT
    if chat is None:
        return choose_default(model_path)
    return VICUNA if _is_vicuna(chat) else CHAT


def _is_vicuna(chat: ChatTemplate) -> bool:
    """Whether a chat template has the form of Vicuna's: `USER: ... ASSISTANT:`."""
    try:
        text = chat.render("question").text
    except HeadflowError:
        return False
    return "USER:" in text and "ASSISTANT:" in text


def _describe_tiled(
    files: Files,
    config: PreTrainedConfig,
    tokenizer: PreTrainedTokenizerBase,
    family: Family | None,
    images: ImageSettings,
) -> Description:
    """A model whose processor decides what it reads of an image.

    Which tokens stand for the image is said by its config.json, and checked by where its features stand
    (`extract.models.self_check`); the token types of some processors mark others.
    """
    family = family or unknown_family(config.model_type)
    check_settings(images, family, files.name)
    processor = load_processor(files.folder, config, tokenizer, pixels=images.pixels)
    token = image_token_id(config)
    if token is not None:
        _spelled(files.name, tokenizer, token)
    placeholder = find_placeholder(processor, tokenizer, token)
    if placeholder is None:
        raise HeadflowError(
            f"{files.name}, a {family.name}, does not say which token its image is: its tokenizer_config.json names no "
            f"image_token, and its config.json no {IMAGE_TOKEN_ID}"
        )
    if token is None:
        with asking(processor, placeholder, files.name, config):
            token = most_written(processor, placeholder)
    chat = _chat_template(tokenizer, None if family.bare else processor.chat_template, placeholder, family)
    taken = frozenset(signature(MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING[type(config)].forward).parameters)
    tile = tokens_of_tile(config) if family.crossing else 0
    prompt = placeholder + "Question" if family.bare else _example(chat, placeholder)
    separator = _separator(tokenizer, placeholder)
    with asking(processor, placeholder, files.name, config):
        token_types = find_token_types(processor, placeholder, prompt, taken)
        ending = [] if family.bare or separator is None or tile else find_ending(processor, placeholder, separator)
    if chat is not None:
        chat = replace(chat, ending=chat.decode(ending))
    prompt_format = PromptFormat(
        tokenizer,
        [],
        max_tokens=longest_prompt(config.get_text_config()),
        family=family.name,
        default_template=family.template,
        llava_templates=family.llava_templates,
        chat=chat,
        image_token_id=token,
        spaced=family.spaced,
        crossing=tile * processor.image_processor.max_image_tiles if tile else 0,
    )
    preprocessor = ProcessorPreprocessor(
        processor,
        placeholder,
        token,
        taken,
        token_types,
        settings_of_tokens(processor, config),
        bare=family.bare,
        pictures=family.pictures,
        separator=separator if family.several else None,
        ending=ending,
        crossing=tile,
    )
    return Description(config, family, prompt_format, preprocessor)


def _separator(tokenizer: PreTrainedTokenizerBase, placeholder: str) -> str | None:
    """A special token that no processor writes for an image; None if the tokenizer has none."""
    tokens = (tokenizer.eos_token, tokenizer.pad_token, tokenizer.bos_token)
    return next((str(token) for token in tokens if token and token != placeholder), None)


def _example(chat: ChatTemplate | None, placeholder: str) -> str:
    """A prompt of a checkpoint's chat template; its placeholder if there is no template, or none that works."""
    try:
        return placeholder if chat is None else chat.render("Question").text
    except HeadflowError:  # LLaVA's templates may do
        return placeholder


def _chat_template(
    tokenizer: PreTrainedTokenizerBase, template: str | dict[str, str] | None, placeholder: str, family: Family
) -> ChatTemplate | None:
    """The chat template of a processor, else of a tokenizer, else of a family; None if none has one."""
    text = template or (None if family.bare else tokenizer.chat_template) or family.chat_template
    if isinstance(text, dict):
        text = text.get("default")
    return ChatTemplate(tokenizer, text, placeholder) if text else None
