"""LLaVA checkpoints in their released format -> transformers' own classes.

A released checkpoint is a language model with a projector and perhaps a vision tower inside. Each part is read into
its own class under its released names, and the parts are put into a `LlavaForConditionalGeneration`.
"""

import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    CLIPVisionModel,
    LlamaConfig,
    LlamaForCausalLM,
    LlavaConfig,
    LlavaForConditionalGeneration,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    TokenizersBackend,
)

from extract.checkpoint import CROP, PAD, Parts
from extract.llama_tokenizer import SentencePieceLlamaTokenizer
from extract.original_weights import State, check_base, read_state
from extract.templates import IMAGE_PLACEHOLDER
from schemas.errors import HeadflowError, one_line

LANGUAGE_MODELS: dict[str, tuple[Any, Any]] = {
    "LlavaLlamaForCausalLM": (LlamaConfig, LlamaForCausalLM),
    "LlavaMistralForCausalLM": (MistralConfig, MistralForCausalLM),
}
TOWER, PROJECTOR = "model.vision_tower.vision_tower.", "model.mm_projector."
COMPUTED = ("rotary_emb.inv_freq", "embeddings.position_ids")  # buffers that old checkpoints hold
START, END = "<im_start>", "<im_end>"
STRATEGIES = {"patch": "default", "cls_patch": "full"}


def is_original(config: dict[str, Any]) -> bool:
    """Whether a config.json is that of a checkpoint in the released format."""
    return "mm_vision_tower" in config or any(name in LANGUAGE_MODELS for name in config.get("architectures") or ())


def load_original(
    folder: Path, base: Path | None, config: dict[str, Any], *, dtype: torch.dtype, weights: bool = True
) -> Parts:
    """Read a checkpoint.

    Args:
        folder: what --model-path names.
        base: what --model-base names.
        config: the checkpoint's config.json.
        weights: false: the model comes on the meta device, and no weights are read.

    Raises:
        HeadflowError: a part is missing, of an unknown kind, or does not fit the others.
    """
    check_base(folder, base)
    tokenizer = _tokenizer(base or folder, config)
    text, tower = _text_config(config, folder), _tower_config(config, folder)
    image_text = IMAGE_PLACEHOLDER
    if config.get("mm_use_im_start_end"):
        image_text = START + IMAGE_PLACEHOLDER + END
        tokenizer.add_tokens([START, END], special_tokens=True)
    if len(tokenizer) > text.vocab_size:
        raise HeadflowError(
            f"{folder} has {text.vocab_size} embeddings, too few for the {len(tokenizer)} tokens of its tokenizer"
        )
    feature = config.get("mm_vision_select_feature", "patch")
    if feature not in STRATEGIES:
        raise HeadflowError(f"{folder}: mm_vision_select_feature is {feature!r}, not one of {', '.join(STRATEGIES)}")
    whole = LlavaConfig(
        vision_config=tower,
        text_config=text,
        image_token_index=text.vocab_size,  # one row behind the released embeddings
        vision_feature_layer=config.get("mm_vision_select_layer", -2),
        vision_feature_select_strategy=STRATEGIES[feature],
    )
    with torch.device("meta"):
        model = LlavaForConditionalGeneration(whole)
    if weights:
        _fill(model, read_state(folder, base), config, folder, dtype)
    return Parts(
        model=model,
        tokenizer=tokenizer,
        processor=CLIPImageProcessorPil.from_pretrained(config["mm_vision_tower"]),
        aspect=PAD if config.get("image_aspect_ratio") == PAD else CROP,
        image_text=image_text,
        kind=f"released {_architecture(config, folder)}",
    )


def _fill(
    model: LlavaForConditionalGeneration, state: State, config: dict[str, Any], folder: Path, dtype: torch.dtype
) -> None:
    """Put the parts of a checkpoint into a model that has no weights yet."""
    state = {name: tensor for name, tensor in state.items() if not name.endswith(COMPUTED)}
    tower, projector = _take(state, TOWER), _take(state, PROJECTOR)
    _, language_class = LANGUAGE_MODELS[_architecture(config, folder)]
    language = _part(language_class, model.config.text_config, state, folder, dtype)
    if tower:
        model.model.vision_tower = _part(CLIPVisionModel, model.config.vision_config, tower, folder, dtype)
    else:
        model.model.vision_tower = _named_tower(config, dtype)
    model.model.multi_modal_projector = _projector(config, projector, model.config, folder).to(dtype)
    model.model.language_model, model.lm_head = language.model, language.lm_head
    model.config.text_config = language.config
    released: Tensor = language.get_input_embeddings().weight.data
    rows = torch.cat([released, released.new_zeros(1, released.shape[1])])  # the image token's, never looked at
    model.set_input_embeddings(nn.Embedding.from_pretrained(rows))


def _take(state: State, prefix: str) -> State:
    """The tensors whose names begin so, by the rest of their names; they leave `state`."""
    return {name.removeprefix(prefix): state.pop(name) for name in list(state) if name.startswith(prefix)}


def _part(kind: type[PreTrainedModel], config: Any, state: State, folder: Path, dtype: torch.dtype) -> Any:
    """A model of transformers from its tensors."""
    try:
        model, report = kind.from_pretrained(
            None, config=config, state_dict=state, dtype=dtype, attn_implementation="sdpa",
            ignore_mismatched_sizes=True, output_loading_info=True,
        )  # fmt: skip
    except (OSError, ValueError, RuntimeError) as error:
        raise HeadflowError(f"{folder} cannot be loaded: {one_line(error)[:300]}") from error
    check_report(report, folder)
    return model


def check_report(report: dict[str, Any], where: object) -> None:
    """Hold what transformers says of a loaded checkpoint.

    Raises:
        HeadflowError: a weight is missing, unexpected or of another shape.
    """
    for what in ("missing", "unexpected", "mismatched"):
        keys = report[f"{what}_keys"]
        if keys:
            names = sorted(str(key[0] if isinstance(key, tuple) else key) for key in keys)
            raise HeadflowError(
                f"{where}: {len(names)} {what} weights, such as {names[0]}; the checkpoint does not fit its config.json"
            )


def _named_tower(config: dict[str, Any], dtype: torch.dtype) -> CLIPVisionModel:
    """The vision tower that lies beside the checkpoint; what else a CLIP has is left there."""
    name = config["mm_vision_tower"]
    try:
        tower, report = CLIPVisionModel.from_pretrained(
            name, dtype=dtype, attn_implementation="sdpa", ignore_mismatched_sizes=True, output_loading_info=True
        )
    except Exception as error:  # third-party loaders raise anything
        raise HeadflowError(f"vision tower {name} cannot be loaded: {one_line(error)[:300]}") from error
    check_report(report | {"unexpected_keys": []}, f"vision tower {name}")
    return tower


def _projector(config: dict[str, Any], state: State, whole: LlavaConfig, folder: Path) -> nn.Module:
    """The projector of `mm_projector_type`: linear, or mlpNx_gelu (`llava/model/multimodal_projector/builder.py`)."""
    kind = config.get("mm_projector_type", "linear")
    mlp = re.fullmatch(r"mlp(\d+)x_gelu", kind)
    if kind != "linear" and not mlp:
        raise HeadflowError(f"{folder}: mm_projector_type {kind!r} is not known; known are linear and mlpNx_gelu")
    width, out = whole.vision_config.hidden_size, whole.text_config.hidden_size
    layers: list[nn.Module] = [nn.Linear(width, out)]
    for _ in range(1, int(mlp[1]) if mlp else 1):
        layers += [nn.GELU(), nn.Linear(out, out)]
    projector = nn.Sequential(*layers) if mlp else layers[0]
    wanted = {name: tensor.shape for name, tensor in projector.state_dict().items()}
    report = {
        "missing_keys": wanted.keys() - state.keys(),
        "unexpected_keys": state.keys() - wanted.keys(),
        "mismatched_keys": {name for name in wanted.keys() & state.keys() if wanted[name] != state[name].shape},
    }
    check_report({what: {PROJECTOR + name for name in names} for what, names in report.items()}, folder)
    projector.load_state_dict(state)
    return projector


def _architecture(config: dict[str, Any], folder: Path) -> str:
    """Which of `LANGUAGE_MODELS` it is: as config.json says, else by its model_type."""
    for name in config.get("architectures") or ():
        if name in LANGUAGE_MODELS:
            return name
    if config.get("model_type") in ("llava", "llava_llama"):
        return "LlavaLlamaForCausalLM"
    if config.get("model_type") == "llava_mistral":
        return "LlavaMistralForCausalLM"
    raise HeadflowError(
        f"{folder} is a {config.get('model_type')} in LLaVA's released format; known are {', '.join(LANGUAGE_MODELS)}"
    )


def _text_config(config: dict[str, Any], folder: Path) -> Any:
    config_class, _ = LANGUAGE_MODELS[_architecture(config, folder)]
    return config_class.from_dict({name: value for name, value in config.items() if name != "model_type"})


def _tower_config(config: dict[str, Any], folder: Path) -> CLIPVisionConfig:
    name = config.get("mm_vision_tower")
    try:
        kind = AutoConfig.from_pretrained(name).model_type
    except Exception as error:  # third-party loaders raise anything
        raise HeadflowError(f"{folder}: its vision tower {name} cannot be loaded: {one_line(error)[:300]}") from error
    if not kind.startswith("clip"):
        raise HeadflowError(f"{folder}: its vision tower {name} is a {kind}; LLaVA's released format has a clip")
    return CLIPVisionConfig.from_pretrained(name)


def _tokenizer(folder: Path, config: dict[str, Any]) -> PreTrainedTokenizerBase:
    """The tokenizer that the package chooses: LLaMA's own, or for a Mistral the fast one."""
    fast = _architecture(config, folder) == "LlavaMistralForCausalLM"
    try:
        if (folder / "tokenizer.model").is_file() and not (fast and (folder / "tokenizer.json").is_file()):
            options = {"legacy": True} if fast else {}  # what the fast one is converted to
            return SentencePieceLlamaTokenizer.from_pretrained(folder, **options)
        return TokenizersBackend.from_pretrained(folder)
    except Exception as error:  # third-party loaders raise anything
        raise HeadflowError(f"the tokenizer of {folder} cannot be loaded: {one_line(error)[:300]}") from error
