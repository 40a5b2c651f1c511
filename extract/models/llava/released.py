"""LLaVA checkpoints in their released format -> observed models of transformers' own classes.

A released checkpoint is a language model with a projector and perhaps a vision tower inside. Each part is read into
its own class under its released names, and the parts are put into a `LlavaForConditionalGeneration`; or, if images are
to be cut into tiles, into a `LlavaNextForConditionalGeneration`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from transformers import (
    AutoConfig,
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlamaConfig,
    LlamaForCausalLM,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    TokenizersBackend,
)

from extract.images.preprocessing import ImageSettings, Preprocessor
from extract.images.towers import SquarePreprocessor, TilesPreprocessor, grid_of, tiling_processor
from extract.models.checkpoint import RELEASED, choose_dtype
from extract.models.families import FAMILIES, LLAVA, Family, longest_prompt
from extract.models.fingerprint import fingerprint
from extract.models.llava.assembly import SentencePieceLlamaTokenizer, fill_weights
from extract.models.llava.tensors import check_base, read_state
from extract.models.transformers_format import check_settings, count_image_tokens
from extract.models.transformers_model import TransformersModel, observe
from extract.models.weights.files import Files
from extract.prompts.conversation_templates import IMAGE_PLACEHOLDER, choose_default
from extract.prompts.prompt_format import PromptFormat
from schemas.errors import HeadflowError
from schemas.manifest import AS_CHECKPOINT, CROP, PAD
from schemas.text import one_line

LANGUAGE_MODELS: dict[str, tuple[Any, Any]] = {
    "LlavaLlamaForCausalLM": (LlamaConfig, LlamaForCausalLM),
    "LlavaMistralForCausalLM": (MistralConfig, MistralForCausalLM),
}
START, END = "<im_start>", "<im_end>"
TILED = FAMILIES["llava_next"]
STRATEGIES = {"patch": "default", "cls_patch": "full"}
_ANYRES = "anyres"


@dataclass(frozen=True)
class ReleasedDescription:
    """What a checkpoint is, all but its weights; `model` is the whole model on the meta device."""

    model: PreTrainedModel
    architecture: str
    language_class: type[PreTrainedModel]
    family: Family
    prompt_format: PromptFormat
    preprocessor: Preprocessor

    @property
    def config(self) -> PreTrainedConfig:
        """See `extract.models.transformers_format.Described`."""
        found: PreTrainedConfig = self.model.config
        return found


def is_released(config: dict[str, Any]) -> bool:
    """Whether a config.json is that of a checkpoint in the released format."""
    return "mm_vision_tower" in config or any(name in LANGUAGE_MODELS for name in config.get("architectures") or ())


def load_released(
    files: Files,
    base: Files | None,
    config: dict[str, Any],
    images: ImageSettings,
    *,
    device: torch.device,
    dtype: str,
    others: Sequence[torch.device] = (),
) -> TransformersModel:
    """Load a checkpoint.

    Args:
        base: what a LoRA or projector-only checkpoint stands on.
        config: the checkpoint's config.json.
        others: further devices, among which its layers are divided.
        dtype: a name that `extract.models.checkpoint.choose_dtype` knows.

    Raises:
        HeadflowError: a part is missing, of an unknown kind, or does not fit the others.
    """
    described = describe_released(files, base, config, images)
    wanted = [(files, files.whole())] if base is None else [(base, base.whole()), (files, files.partial())]
    for source, names in wanted:
        source.fetch(names)
    state = read_state(files, base)
    chosen = choose_dtype(dtype, device, config.get("torch_dtype", config.get("dtype")))
    place = torch.device("cpu") if others else device
    tower = fill_weights(
        described.model, described.language_class, state, config, files.name, dtype=chosen, device=place
    )
    return observe(
        described.model,
        described.family,
        described.prompt_format,
        described.preprocessor,
        device,
        format=RELEASED,
        architecture=described.architecture,
        revision=files.commit,
        weights=fingerprint([*(source.folder / name for source, names in wanted for name in names), *tower]),
        others=others,
    )


def describe_released(
    files: Files, base: Files | None, config: dict[str, Any], images: ImageSettings
) -> ReleasedDescription:
    """Read all of a checkpoint but its weights; arguments and errors as of `load_released`."""
    check_base(files, base)
    tokenizer = _tokenizer(base or files, config)
    architecture = _architecture(config, files)
    config_class, language_class = LANGUAGE_MODELS[architecture]
    text = config_class.from_dict({name: value for name, value in config.items() if name != "model_type"})
    tower = _tower_config(config, files)
    image_text = IMAGE_PLACEHOLDER
    if config.get("mm_use_im_start_end"):
        image_text = START + IMAGE_PLACEHOLDER + END
        tokenizer.add_tokens([START, END], special_tokens=True)
    if len(tokenizer) > text.vocab_size:
        raise HeadflowError(
            f"config.json of {files.name} has vocab_size {text.vocab_size}, too few for the {len(tokenizer)} tokens of "
            "its tokenizer (tokenizer.model or tokenizer.json)"
        )
    tiled = images.aspect in (None, AS_CHECKPOINT) and _asks_for_tiles(config, files)
    family = TILED if tiled else LLAVA
    check_settings(replace(images, aspect=None), family, files.name)
    model = _empty_model(config, text, tower, files, tiled=tiled)
    processor = CLIPImageProcessorPil.from_pretrained(config["mm_vision_tower"])
    preprocessor: Preprocessor
    if tiled:
        image_ids, preprocessor = [], _tiles(model, processor)
    else:
        aspect = config.get("image_aspect_ratio") if images.aspect == AS_CHECKPOINT else images.aspect
        image_ids = count_image_tokens(model.config, processor) * [model.config.image_token_id]
        preprocessor = SquarePreprocessor(processor, image_ids, padded=aspect == PAD)
    prompt_format = PromptFormat(
        tokenizer,
        image_ids,
        max_tokens=longest_prompt(text),
        family=family.name,
        default_template=choose_default(files.name, mistral=language_class is MistralForCausalLM),
        llava_templates=True,
        image_text=image_text,
    )
    return ReleasedDescription(model, architecture, language_class, family, prompt_format, preprocessor)


def _asks_for_tiles(config: dict[str, Any], files: Files) -> bool:
    """Whether a checkpoint cuts images into tiles; raises if no class of transformers cuts them so."""
    aspect, merge = config.get("image_aspect_ratio"), config.get("mm_patch_merge_type", "flat")
    if aspect in (None, CROP, PAD, "square"):
        return False
    if aspect != _ANYRES or merge != "spatial_unpad":
        raise HeadflowError(
            f"{files.name} asks for image_aspect_ratio {aspect} with mm_patch_merge_type {merge}; known is anyres with "
            "spatial_unpad: choose crop or pad",
            setting="image_aspect_ratio",
        )
    return True


def _empty_model(
    config: dict[str, Any], text: Any, tower: CLIPVisionConfig, files: Files, *, tiled: bool
) -> PreTrainedModel:
    """The whole model, on the meta device."""
    feature = config.get("mm_vision_select_feature", "patch")
    if feature not in STRATEGIES:
        raise HeadflowError(
            f"{files.name}: mm_vision_select_feature is {feature!r}, not one of {', '.join(STRATEGIES)}"
        )
    settings: dict[str, Any] = {
        "vision_config": tower,
        "text_config": text,
        "image_token_index": text.vocab_size,  # one row after the released embeddings
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


def _architecture(config: dict[str, Any], files: Files) -> str:
    """Which of `LANGUAGE_MODELS` it is: as config.json says, else by its model_type."""
    for name in config.get("architectures") or ():
        if name in LANGUAGE_MODELS:
            return name
    if config.get("model_type") in ("llava", "llava_llama"):
        return "LlavaLlamaForCausalLM"
    if config.get("model_type") == "llava_mistral":
        return "LlavaMistralForCausalLM"
    raise HeadflowError(
        f"{files.name} is a {config.get('model_type')} in LLaVA's released format; known are "
        f"{', '.join(LANGUAGE_MODELS)}"
    )


def _tower_config(config: dict[str, Any], files: Files) -> CLIPVisionConfig:
    name = config.get("mm_vision_tower")
    try:
        kind = AutoConfig.from_pretrained(name, trust_remote_code=False).model_type
    except Exception as error:  # third-party loaders raise anything
        raise HeadflowError(
            f"{files.name}: its vision tower {name} cannot be loaded: {one_line(error)[:300]}"
        ) from error
    if not kind.startswith("clip"):
        raise HeadflowError(f"{files.name}: its vision tower {name} is a {kind}; LLaVA's released format has a clip")
    return CLIPVisionConfig.from_pretrained(name)


def _tokenizer(files: Files, config: dict[str, Any]) -> PreTrainedTokenizerBase:
    """The tokenizer that the package chooses: LLaMA's own, or for a Mistral the fast one."""
    fast = _architecture(config, files) == "LlavaMistralForCausalLM"
    folder = files.folder
    try:
        if (folder / "tokenizer.model").is_file() and not (fast and (folder / "tokenizer.json").is_file()):
            options = {"legacy": True} if fast else {}  # what the fast one is converted to
            return SentencePieceLlamaTokenizer.from_pretrained(folder, **options)
        return TokenizersBackend.from_pretrained(folder)
    except Exception as error:  # third-party loaders raise anything
        raise HeadflowError(f"the tokenizer of {files.name} cannot be loaded: {one_line(error)[:300]}") from error
