"""Models that cannot be observed, told by their config.json: a line for each, before any weight is read or fetched."""

import re
from typing import Any

import torch
from packaging.version import InvalidVersion, Version
from transformers import AutoModelForImageTextToText, PreTrainedConfig, __version__
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING

from extract.models.families import attending_layers, find_family
from schemas.errors import HeadflowError
from schemas.text import listed, short

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
        HeadflowError: it is in code of its own, or transformers is of another time.
    """
    kind = config.get("model_type")
    if kind in CONFIG_MAPPING:
        return
    if kind is None:
        raise HeadflowError(f"{name} has a config.json without a model_type; {_other_format(name)}")
    if "auto_map" in config or twin(name) is not None:
        raise HeadflowError(f"{name} is a {short(kind)}, in code of its own, which is not run; {_other_format(name)}")
    raise HeadflowError(f"{name} is a {short(kind)}, which transformers {__version__} does not know; {_age(config)}")


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
        raise HeadflowError(f"{name} is a {config.model_type}, not a vision-language model; see the README's table")
    text = config.get_text_config()
    if any(getattr(each, "is_encoder_decoder", False) for each in (config, text, getattr(config, "text_config", None))):
        raise HeadflowError(
            f"{name} is a {config.model_type} with an encoder and a decoder, which reads the image by cross-attention; "
            "only decoders that read one sequence of image and text are supported"
        )


def check_layers(name: str, config: PreTrainedConfig) -> None:
    """Check that the attention of a language model is over one sequence.

    Raises:
        HeadflowError: it is not, no layer attends, or it has learned sinks.
    """
    text = config.get_text_config()
    if text.model_type == "gpt_oss":
        raise HeadflowError(_with_sinks(name, config))
    if find_family(config) is not None:  # the table says what is read of it
        return
    if getattr(text, "cross_attention_layers", None):
        raise HeadflowError(
            f"{name} is a {config.model_type}, whose image enters by cross-attention in the layers "
            f"{listed(text.cross_attention_layers, 99)}; that is not supported"
        )
    if not attending_layers(text):
        raise HeadflowError(
            f"{name} is a {config.model_type} with layers of {listed(sorted(set(text.layer_types)))}, none of which "
            "has an attention matrix: there is nothing to observe"
        )


def _with_sinks(name: str, config: PreTrainedConfig) -> str:
    text = config.get_text_config().model_type
    return (
        f"{name} is a {config.model_type} on a {text}, whose attention has learned sinks: rows of attention do not sum "
        "to 1, and are not supported"
    )


def check_modules(name: str, config: PreTrainedConfig) -> None:
    """Check, for a model that is not in the table of families, the modules that its class makes, without weights.

    Raises:
        HeadflowError: its language model has no layers that can be observed, or is no plain decoder.
    """
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config)
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
