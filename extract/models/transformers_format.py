"""Vision-language checkpoints in transformers' format -> their parts, as the table of families says."""

import sys
from dataclasses import replace
from inspect import signature
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    AutoTokenizer,
    CLIPImageProcessorPil,
    PreTrainedConfig,
    PreTrainedTokenizerBase,
    ProcessorMixin,
    SiglipImageProcessorPil,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING

from extract.images.processors import find_placeholder, find_token_types, load_processor
from extract.models.checkpoint import Parts
from extract.models.families import FAMILIES, Family, image_token_id, unknown_family
from extract.models.weights import check_report
from extract.prompts.chat_template import ChatTemplate
from schemas.errors import HeadflowError
from schemas.manifest import AS_CHECKPOINT, CROP, PAD

IMAGE_PROCESSORS = {"clip_vision_model": CLIPImageProcessorPil, "siglip_vision_model": SiglipImageProcessorPil}


def load_transformers(model_path: str, *, dtype: torch.dtype, weights: bool, aspect: str | None) -> Parts:
    """Read a checkpoint.

    Args:
        weights: false: the model comes on the meta device, and no weights are read.
        aspect: what is asked to become of images that are not square; null: nothing is.

    Raises:
        HeadflowError: no vision-language model, one that cannot be read, or one that leaves nothing to ask.
    """
    config = AutoConfig.from_pretrained(model_path, trust_remote_code=False)  # by default its user is asked
    if type(config) not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
        raise HeadflowError(
            f"{model_path} is a {config.model_type}, not a vision-language model; see the README's table"
        )
    tokenizer = AutoTokenizer.from_pretrained(model_path, trust_remote_code=False)
    family = FAMILIES.get(config.model_type)
    if family is not None and family.square:
        parts = _square(model_path, config, tokenizer)
    else:
        parts = _tiled(model_path, config, tokenizer, family)
    if not parts.family.square and aspect not in (None, AS_CHECKPOINT):
        raise HeadflowError(
            f"--image-aspect-ratio {aspect} is for models that take one square picture; {model_path} is a "
            f"{parts.family.name}, whose own processor cuts images: leave the flag out"
        )
    kind = MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING[type(config)]
    if weights:
        attention = "sdpa" if parts.family.causal else None  # what there is; sdpa does not cap scores
        model, report = AutoModelForImageTextToText.from_pretrained(
            model_path,
            dtype=dtype,
            attn_implementation=attention,
            output_loading_info=True,
            trust_remote_code=False,
        )
        check_report(report, model_path)
    else:
        with torch.device("meta"):
            model = AutoModelForImageTextToText.from_config(config)
    return replace(
        parts, model=model, kind=f"transformers {kind.__name__}", revision=getattr(model.config, "_commit_hash", None)
    )


def _square(model_path: str, config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase) -> Parts:
    """All but the model of a LLaVA that takes one square picture."""
    tower = getattr(getattr(config, "vision_config", None), "model_type", None)
    if tower not in IMAGE_PROCESSORS:
        raise HeadflowError(f"{model_path} has a vision tower {tower!r}; known are {', '.join(IMAGE_PROCESSORS)}")
    processor = IMAGE_PROCESSORS[tower].from_pretrained(model_path)
    values, _ = ProcessorMixin.get_processor_dict(model_path)
    return Parts(
        model=None,
        tokenizer=tokenizer,
        processor=processor,
        aspect=PAD if getattr(processor, "do_pad", False) else CROP,
        kind="",
        family=FAMILIES[config.model_type],
        chat=_chat(tokenizer, values.get("chat_template"), tokenizer.convert_ids_to_tokens(config.image_token_id)),
    )


def _tiled(
    model_path: str, config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase, family: Family | None
) -> Parts:
    """All but the model of one whose processor says what it takes of an image."""
    processor = load_processor(model_path, config, tokenizer)
    placeholder, token = find_placeholder(processor, tokenizer), image_token_id(config)
    if family is None:
        family, token = _unknown(model_path, config, processor, placeholder)
    if placeholder is None or token is None:
        missing = "image_token" if placeholder is None else "image_token_id"
        raise HeadflowError(f"{model_path}, a {family.name}, does not say which token its image is: no {missing}")
    return Parts(
        model=None,
        tokenizer=tokenizer,
        processor=processor,
        aspect=AS_CHECKPOINT,
        kind="",
        family=family,
        chat=_chat(tokenizer, family.chat_template or processor.chat_template, placeholder),
        image_token_id=token,
        placeholder=placeholder,
    )


def _unknown(
    model_path: str, config: PreTrainedConfig, processor: Any, placeholder: str | None
) -> tuple[Family, int | None]:
    """How to read a model that the table lacks, by what its processor says of tokens.

    Raises:
        HeadflowError: it says nothing, or not which token stands for image content.
    """
    what = f"{model_path} is a {config.model_type}, which is not known (known are {', '.join(FAMILIES)})"
    found = find_token_types(processor, placeholder) if placeholder is not None else None
    if found is None:
        raise HeadflowError(f"{what}, and its processor gives no token types that say where the image is")
    name, tokens = found
    token = image_token_id(config)
    if token not in tokens and len(tokens) == 1:
        (token,) = tokens
    taken = name in signature(MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING[type(config)].forward).parameters
    if token not in tokens or (taken and len(tokens) > 1):
        raise HeadflowError(f"{what}, and its processor's {name} do not say which token stands for image content")
    return unknown_family(config.model_type, name if taken else None), token


def _chat(
    tokenizer: PreTrainedTokenizerBase, template: str | dict[str, str] | None, placeholder: str
) -> ChatTemplate | None:
    """The chat template of a processor, else of a tokenizer; null where neither has one."""
    text = template or tokenizer.chat_template
    if isinstance(text, dict):
        text = text.get("default")
    return ChatTemplate(tokenizer, text, placeholder) if text else None


def longest_prompt(text: PreTrainedConfig, family: Family) -> int:
    """How many tokens a language model can place, and each of them see all earlier ones where that is assumed."""
    placed = getattr(text, "max_position_embeddings", None) or sys.maxsize
    window = getattr(text, "sliding_window", None) if family.causal else None
    return int(min(placed, window or sys.maxsize))
