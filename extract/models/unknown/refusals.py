"""Models that cannot be observed, told by their config.json: a line for each, before any weight is read or fetched."""

import re
from collections.abc import Iterable, Mapping
from inspect import signature
from typing import Any

import torch
from packaging.version import InvalidVersion, Version
from torch import Tensor
from transformers import AutoModelForImageTextToText, PreTrainedConfig, PreTrainedModel, __version__
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING

from extract.models.families import (
    FAMILIES,
    Family,
    attending_layers,
    crossing_layers,
    find_family,
    is_attention,
)
from extract.models.unknown.values import AS_PUBLISHED
from schemas.errors import HeadflowError
from schemas.text import counted, listed, short

# Names on the hub -> the same weights in transformers' format
TWINS = {
    r"OpenGVLab/InternVL3-(\d+B)": r"OpenGVLab/InternVL3-\1-hf",
    r"OpenGVLab/InternVL3_5-(\d+B(?:-A\d+B)?)": r"OpenGVLab/InternVL3_5-\1-HF",
    r"AIDC-AI/Ovis2-([12]B)": r"thisisiron/Ovis2-\1-hf",
    r"deepseek-ai/deepseek-vl-(1\.3b|7b)-chat": r"deepseek-community/deepseek-vl-\1-chat",
    r"deepseek-ai/Janus-Pro-1B": r"deepseek-community/Janus-Pro-1B",
    r"stepfun-ai/GOT-OCR2_0": r"stepfun-ai/GOT-OCR-2.0-hf",
    r"DAMO-NLP-SG/VideoLLaMA3-2B-Image": r"lkhl/VideoLLaMA3-2B-Image-HF",
}
_SINKS = "sink"  # in the names of learned sinks among the weights of attention


def twin(name: str) -> str | None:
    """The checkpoint in transformers' format that has the weights of a checkpoint of the hub, where that is known."""
    found = ((re.fullmatch(pattern, name, re.IGNORECASE), other) for pattern, other in TWINS.items())
    return next((match.expand(other) for match, other in found if match), None)


def check_format(name: str, config: dict[str, Any]) -> None:
    """Check that transformers knows a kind of model.

    Args:
        name: the checkpoint's.
        config: its config.json.

    Raises:
        HeadflowError: it is in code of its own, transformers is of another time, or its family has no such layers.
    """
    kind = config.get("model_type")
    if kind in CONFIG_MAPPING:
        kinds = _kinds_of(config)
        if kind in FAMILIES and kinds is not None:
            _check_kinds(name, FAMILIES[kind], kinds)  # here, as transformers reads some as others
        return
    if kind is None:
        raise HeadflowError(f"{name} has a config.json without a model_type; {_other_format(name)}")
    if "auto_map" in config or twin(name) is not None:
        raise HeadflowError(f"{name} is a {short(kind)}, in code of its own, which is not run; {_other_format(name)}")
    raise HeadflowError(f"{name} is a {short(kind)}, which transformers {__version__} does not know; {_age(config)}")


def _kinds_of(config: dict[str, Any]) -> list[str] | None:
    """The kinds of layers that a config.json lists; None if it lists none."""
    kinds = (config.get("text_config") or config).get("layer_types")
    return [*map(str, kinds)] if isinstance(kinds, list) else None


def _check_kinds(name: str, family: Family, kinds: Iterable[str]) -> None:
    if unknown := family.unknown_kinds(kinds):
        raise HeadflowError(
            f"config.json of {name} has layers of {listed(unknown)} (layer_types): whether such layers of a "
            f"{family.name} attend is not known; they are not supported"
        )


def _other_format(name: str) -> str:
    """What to take in the place of a checkpoint in another format than transformers'."""
    found = twin(name)
    if found is not None:
        return f"take {found}, the same model in transformers' format"
    return "if there is the same model in transformers' format, often under a name that ends with -hf, take that"


def _age(config: dict[str, Any]) -> str:
    """Whether transformers is too old or too new, by the version that wrote a config.json."""
    theirs = config.get("transformers_version")
    try:
        newer = Version(str(theirs)) > Version(__version__)
    except InvalidVersion:
        return "it may need a newer version, or is in code of its own"
    if newer:
        return f"its config.json is of transformers {theirs}: pip install -U transformers"
    return f"its config.json is of transformers {theirs}: it is in code of its own, or no longer in transformers"


def check_kind(name: str, config: PreTrainedConfig) -> None:
    """Check that a model writes text about images by a language model of its own.

    Raises:
        HeadflowError: it does not, or its language model is an encoder and a decoder.
    """
    if type(config) not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
        raise HeadflowError(f"{name} is a {config.model_type}, not a vision-language model; see `headflow families`")
    text = config.get_text_config()
    if any(getattr(each, "is_encoder_decoder", False) for each in (config, text, getattr(config, "text_config", None))):
        raise HeadflowError(
            f"{name} is a {config.model_type} with an encoder and a decoder, which reads the image by cross-attention; "
            "only decoders that read one sequence of image and text are supported"
        )


def check_layers(name: str, config: PreTrainedConfig, stored: dict[str, Any]) -> None:
    """Check that the attention of a language model is over one sequence, and can be divided among heads.

    Args:
        stored: its config.json.

    Raises:
        HeadflowError: it is not, or cannot; no layer attends, or it is not known which; or it has learned sinks.
    """
    text = config.get_text_config()
    if text.model_type == "gpt_oss":
        raise HeadflowError(_with_sinks(name, config))
    family = find_family(config)
    if family is not None:
        if _kinds_of(stored) is None:
            _check_kinds(name, family, getattr(text, "layer_types", None) or ())
        if family.crossing:
            _check_crossing(name, text)
    elif getattr(text, "cross_attention_layers", None):
        raise HeadflowError(
            f"{name} is a {config.model_type}, whose image enters by cross-attention in the layers "
            f"{listed(text.cross_attention_layers, 99)}; that is not supported"
        )
    if not attending_layers(text):
        raise HeadflowError(
            f"{name} is a {config.model_type} with layers of {listed(sorted(set(text.layer_types)))}, none of which "
            "has an attention matrix: there is nothing to observe"
        )
    _check_heads(name, text)


def _check_crossing(name: str, text: PreTrainedConfig) -> None:
    """Check that some layers of a language model read the image by cross-attention, and that it has these."""
    crossing = crossing_layers(text)
    if not crossing or not 0 <= crossing[0] <= crossing[-1] < text.num_hidden_layers:
        raise HeadflowError(
            f"config.json of {name} has cross_attention_layers {short(text.cross_attention_layers)}, where some of "
            f"its {text.num_hidden_layers} layers are needed, as they read the image; {AS_PUBLISHED}"
        )


def _check_heads(name: str, text: PreTrainedConfig) -> None:
    """Check that the numbers of heads of a language model divide what they divide."""
    values = vars(text)  # those of layers with other ones of their own are not among them
    size, heads, groups = (values.get(each) for each in ("hidden_size", "num_attention_heads", "num_key_value_heads"))
    wrong = None
    if isinstance(heads, int) and isinstance(groups, int) and heads % groups:
        wrong = f"num_key_value_heads {groups}, which does not divide num_attention_heads {heads}"
    elif isinstance(size, int) and isinstance(heads, int) and values.get("head_dim") is None and size % heads:
        wrong = f"num_attention_heads {heads}, which does not divide hidden_size {size}"
    if wrong is not None:
        raise HeadflowError(f"config.json of {name} has {wrong}; {AS_PUBLISHED}")


def _with_sinks(name: str, config: PreTrainedConfig) -> str:
    text = config.get_text_config().model_type
    return (
        f"{name} is a {config.model_type} on a {text}, whose attention has learned sinks: rows of attention do not sum "
        "to 1, and are not supported"
    )


def without_weights(config: PreTrainedConfig) -> PreTrainedModel:
    """The model that a config describes, on the meta device."""
    with torch.device("meta"):
        model: PreTrainedModel = AutoModelForImageTextToText.from_config(config)
    return model


def check_modules(name: str, config: PreTrainedConfig, model: Any) -> None:
    """Check, for a model that is not in the table of families, the modules that its class makes.

    Args:
        model: without weights.

    Raises:
        HeadflowError: its language model has no layers that can be observed, or is no plain decoder.
    """
    decoder = model.get_decoder()
    layers = getattr(decoder, "layers", None) or getattr(getattr(decoder, "model", None), "layers", None)
    if layers is None:
        raise HeadflowError(
            f"{name} is a {config.model_type}, whose class {type(model).__name__} does not say where the layers of its "
            "language model are; it is not supported"
        )
    if any(_SINKS in weight.rpartition(".")[2] for weight, _ in layers.named_parameters()):
        raise HeadflowError(_with_sinks(name, config))
    crossing = {type(module).__name__ for module in layers.modules() if "CrossAttention" in type(module).__name__}
    if crossing:
        raise HeadflowError(
            f"{name} is a {config.model_type}, whose language model has cross-attention ({listed(sorted(crossing))}): "
            "what enters there is in no sequence of image and text; that is not supported"
        )
    if model.get_output_embeddings() is None:
        raise HeadflowError(
            f"{name} is a {config.model_type}, whose class {type(model).__name__} has no head that is a module; it is "
            "not supported"
        )
    _check_which_attend(name, config.get_text_config(), layers)


def _check_which_attend(name: str, text: PreTrainedConfig, layers: Any) -> None:
    """Check that the layers with a module of attention are those that attend by the names of their kinds."""
    if not getattr(text, "layer_types", None):
        return
    attending = attending_layers(text)
    having = [number for number, layer in enumerate(layers) if any(map(is_attention, layer.modules()))]
    if wrong := {text.layer_types[number] for number in {*attending} ^ {*having}}:
        raise HeadflowError(
            f"config.json of {name} has layers of {listed(sorted(wrong))} (layer_types): whether such layers of a "
            f"{text.model_type} attend is not known; they are not supported"
        )


def check_features(name: str, model: Any, inputs: Mapping[str, Tensor], tokens: int) -> None:
    """Check that a model gives as many features of a picture as its processor writes tokens for it.

    It is not checked where the number depends on more than shapes.

    Args:
        model: without weights.
        inputs: what its processor makes of the picture.
        tokens: those that it writes for it.

    Raises:
        HeadflowError: they are of different numbers.
    """
    try:
        taken = signature(model.get_image_features).parameters
        found = model.get_image_features(**{each: inputs[each].to("meta") for each in inputs if each in taken})
        features = getattr(found, "pooler_output", found)
        features = [features] if isinstance(features, Tensor) else features
        width = model.config.get_text_config().hidden_size
        number = sum(each.numel() for each in features) // width if features[0].shape[-1] == width else tokens
    except Exception:  # of a model that reads the values of a tensor, or says its features in another way
        return
    if number != tokens:
        raise HeadflowError(
            f"{name} is a {model.config.model_type} whose vision tower gives {counted(number, 'feature')} of a picture "
            f"(vision_config in config.json), and whose processor writes {counted(tokens, 'token')} for it: they do "
            "not fit each other"
        )
