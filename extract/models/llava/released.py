"""LLaVA checkpoints in their released format -> transformers' own classes.

A released checkpoint is a language model with a projector and perhaps a vision tower inside. Each part is read into
its own class under its released names, and the parts are put into a `LlavaForConditionalGeneration`; or, where images
are to be cut into tiles, into a `LlavaNextForConditionalGeneration`.
"""

import re
from dataclasses import replace
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
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    TokenizersBackend,
)

from extract.images.tiles import TilesPreprocessor, grid_of, tiling_processor
from extract.models.checkpoint import Parts
from extract.models.families import FAMILIES, LLAVA
from extract.models.llava.tensors import State, check_base, read_state
from extract.models.llava.tokenizer import SentencePieceLlamaTokenizer
from extract.models.weights import check_names, check_report, load_part
from extract.prompts.templates import DEFAULT, IMAGE_PLACEHOLDER
from schemas.errors import HeadflowError
from schemas.manifest import AS_CHECKPOINT, CROP, PAD
from schemas.text import one_line

LANGUAGE_MODELS: dict[str, tuple[Any, Any]] = {
    "LlavaLlamaForCausalLM": (LlamaConfig, LlamaForCausalLM),
    "LlavaMistralForCausalLM": (MistralConfig, MistralForCausalLM),
}
TOWER, PROJECTOR, NEWLINE = "model.vision_tower.vision_tower.", "model.mm_projector.", "model.image_newline"
COMPUTED = ("rotary_emb.inv_freq", "embeddings.position_ids")  # buffers that old checkpoints hold
START, END = "<im_start>", "<im_end>"
TILED = replace(FAMILIES["llava_next"], conv_mode=DEFAULT)
STRATEGIES = {"patch": "default", "cls_patch": "full"}


def is_original(config: dict[str, Any]) -> bool:
    """Whether a config.json is that of a checkpoint in the released format."""
    return "mm_vision_tower" in config or any(name in LANGUAGE_MODELS for name in config.get("architectures") or ())


def load_original(
    folder: Path, base: Path | None, config: dict[str, Any], *, dtype: torch.dtype, weights: bool, aspect: str | None
) -> Parts:
    """Read a checkpoint.

    Args:
        folder: what --model-path names.
        base: what --model-base names.
        config: the checkpoint's config.json.
        weights: false: the model comes on the meta device, and no weights are read.
        aspect: what is asked to become of images that are not square; `checkpoint` may mean tiles.

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
    tiled = aspect == AS_CHECKPOINT and _asks_for_tiles(config, folder)
    model = _empty(config, text, tower, folder, tiled=tiled)
    if weights:
        _fill(model, read_state(folder, base), config, folder, dtype)
    processor = CLIPImageProcessorPil.from_pretrained(config["mm_vision_tower"])
    return Parts(
        model=model,
        tokenizer=tokenizer,
        processor=processor,
        aspect=PAD if config.get("image_aspect_ratio") == PAD else CROP,
        image_text=image_text,
        kind=f"released {_architecture(config, folder)}",
        family=TILED if tiled else LLAVA,
        tiles=_tiles(model, processor) if tiled else None,
    )


def _asks_for_tiles(config: dict[str, Any], folder: Path) -> bool:
    """Whether a checkpoint cuts images into tiles; raises where it wants what no class of transformers does."""
    aspect, merge = config.get("image_aspect_ratio"), config.get("mm_patch_merge_type", "flat")
    if aspect in (None, CROP, PAD, "square"):
        return False
    if aspect != "anyres" or merge != "spatial_unpad":
        raise HeadflowError(
            f"{folder} asks for image_aspect_ratio {aspect} with mm_patch_merge_type {merge}; known is anyres with "
            "spatial_unpad: say --image-aspect-ratio crop or pad"
        )
    return True


def _empty(config: dict[str, Any], text: Any, tower: CLIPVisionConfig, folder: Path, *, tiled: bool) -> PreTrainedModel:
    """The whole model, on the meta device."""
    feature = config.get("mm_vision_select_feature", "patch")
    if feature not in STRATEGIES:
        raise HeadflowError(f"{folder}: mm_vision_select_feature is {feature!r}, not one of {', '.join(STRATEGIES)}")
    settings: dict[str, Any] = {
        "vision_config": tower,
        "text_config": text,
        "image_token_index": text.vocab_size,  # one row behind the released embeddings
        "vision_feature_layer": config.get("mm_vision_select_layer", -2),
        "vision_feature_select_strategy": STRATEGIES[feature],
    }
    with torch.device("meta"):
        if tiled:
            return LlavaNextForConditionalGeneration(LlavaNextConfig(**settings, image_grid_pinpoints=grid_of(config)))
        return LlavaForConditionalGeneration(LlavaConfig(**settings))


def _tiles(model: PreTrainedModel, processor: CLIPImageProcessorPil) -> TilesPreprocessor:
    config = model.config
    side = config.vision_config.image_size // config.vision_config.patch_size
    return TilesPreprocessor(
        tiling_processor(processor, config.image_grid_pinpoints),
        config.image_token_id,
        edge=config.vision_config.image_size,
        side=side,
        features=side**2 + (config.vision_feature_select_strategy == "full"),
    )


def _fill(model: Any, state: State, config: dict[str, Any], folder: Path, dtype: torch.dtype) -> None:
    """Put the parts of a checkpoint into a model that has no weights yet."""
    state = {name: tensor for name, tensor in state.items() if not name.endswith(COMPUTED)}
    tower, projector, newline = _take(state, TOWER), _take(state, PROJECTOR), _take(state, NEWLINE)
    _, language_class = LANGUAGE_MODELS[_architecture(config, folder)]
    language = load_part(language_class, model.config.text_config, state, folder, dtype)
    if tower:
        model.model.vision_tower = load_part(CLIPVisionModel, model.config.vision_config, tower, folder, dtype)
    else:
        model.model.vision_tower = _named_tower(config, dtype)
    model.model.multi_modal_projector = _projector(config, projector, model.config, folder).to(dtype)
    model.model.language_model, model.lm_head = language.model, language.lm_head
    model.config.text_config = language.config
    if isinstance(model, LlavaNextForConditionalGeneration):  # others have no use for it
        check_names(
            {NEWLINE: model.model.image_newline.shape}, {NEWLINE + name: each for name, each in newline.items()}, folder
        )
        model.model.image_newline = nn.Parameter(newline[""].to(dtype), requires_grad=False)
    released: Tensor = language.get_input_embeddings().weight.data
    rows = torch.cat([released, released.new_zeros(1, released.shape[1])])  # the image token's, never looked at
    model.set_input_embeddings(nn.Embedding.from_pretrained(rows))


def _take(state: State, prefix: str) -> State:
    """The tensors whose names begin so, by the rest of their names; they leave `state`."""
    return {name.removeprefix(prefix): state.pop(name) for name in list(state) if name.startswith(prefix)}


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
    wanted = {PROJECTOR + name: tensor.shape for name, tensor in projector.state_dict().items()}
    check_names(wanted, {PROJECTOR + name: tensor for name, tensor in state.items()}, folder)
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
        kind = AutoConfig.from_pretrained(name, trust_remote_code=False).model_type
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
