"""The one place that knows the model: transformers' classes, what is read into them, one observed forward pass."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from PIL import Image
from torch import Tensor
from transformers import (
    AutoTokenizer,
    CLIPImageProcessorPil,
    LlavaConfig,
    LlavaForConditionalGeneration,
    PretrainedConfig,
    SiglipImageProcessorPil,
)

from extract.attention import observe_language_model
from extract.checkpoint import AS_CHECKPOINT, CROP, PAD, Checkpoint, Parts, Tokens
from extract.kernels import choose_kernel
from extract.observer import HELD_ON_CUDA, Observation
from extract.originals import check_report, is_original, load_original
from extract.packing import Batch
from extract.pixels import SquarePreprocessor
from schemas.errors import HeadflowError, one_line

IMAGE_PROCESSORS = {"clip_vision_model": CLIPImageProcessorPil, "siglip_vision_model": SiglipImageProcessorPil}
ORIGINAL_FILES = ["*.json", "*.bin", "*.safetensors", "tokenizer.model"]


@dataclass(frozen=True)
class Model(Checkpoint):
    """A model of transformers."""

    def forward(self, batch: Batch, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """See `Checkpoint.forward`."""
        observation = Observation(batch, self.kernel, hold=HELD_ON_CUDA if self.device.type == "cuda" else 0)
        with torch.inference_mode():
            hidden = self.model.model(
                input_ids=batch.input_ids,
                position_ids=batch.position_ids,
                observation=observation,
                use_cache=False,
                **inputs,
            ).last_hidden_state
            return self.model.lm_head(hidden[batch.owner, batch.last]), observation.flows()


def load_model(
    model_path: str, model_base: str | None, *, device: torch.device, dtype: torch.dtype, aspect: str = CROP
) -> Model:
    """Load a checkpoint, local or from the hub: transformers' format or LLaVA's released one.

    Args:
        model_base: what a LoRA or projector-only checkpoint stands on.
        aspect: what becomes of images that are not square: `crop`, `pad`, or `checkpoint`, as it asks for.

    Raises:
        HeadflowError: no such model, not a LLaVA, a form that is not read, or weights that do not fit.
    """
    parts = _read(model_path, model_base, dtype=dtype, weights=True)
    return watch(parts, device, aspect=aspect, name=model_path)


def load_tokens(model_path: str, model_base: str | None) -> Tokens:
    """What prompts for a checkpoint are made of, without its weights.

    Raises:
        HeadflowError: as `load_model`, but for what is wrong with weights.
    """
    return _tokens(_read(model_path, model_base, dtype=torch.float32, weights=False))


def watch(parts: Parts, device: torch.device, *, aspect: str = CROP, name: str = "the model") -> Model:
    """Let a model be observed on a device.

    Raises:
        HeadflowError: its language model is not causal; the message calls it `name`.
    """
    model = parts.model.eval().to(device)
    if not all(getattr(module, "is_causal", True) for module in model.model.language_model.modules()):
        raise HeadflowError(f"{name} is not causal over its prompt; such a language model cannot be observed yet")
    observe_language_model(model)
    text = model.config.text_config
    heads = text.num_attention_heads
    kv_heads = getattr(text, "num_key_value_heads", None) or heads
    head_dim = getattr(text, "head_dim", None) or text.hidden_size // heads
    tokens = _tokens(parts)
    padded = (parts.aspect if aspect == AS_CHECKPOINT else aspect) == PAD
    return Model(
        model=model,
        tokens=tokens,
        preprocessor=SquarePreprocessor(parts.processor, tokens.image_ids, padded=padded),
        kind=parts.kind,
        kernel=choose_kernel(model.device, model.dtype, heads=heads, kv_heads=kv_heads, head_dim=head_dim),
        layers=text.num_hidden_layers,
        heads=heads,
        revision=parts.revision,
    )


def _read(model_path: str, model_base: str | None, *, dtype: torch.dtype, weights: bool) -> Parts:
    config = _config(model_path)
    try:
        if is_original(config):
            folder, base = _folder(model_path), _folder(model_base) if model_base else None
            return load_original(folder, base, config, dtype=dtype, weights=weights)
        if model_base is not None:
            raise HeadflowError(
                f"{model_path} is no LoRA or projector-only checkpoint in LLaVA's released format: "
                "it needs no --model-base"
            )
        return _read_llava(model_path, config, dtype=dtype, weights=weights)
    except HeadflowError:
        raise
    except Exception as error:  # third-party loaders raise anything
        raise HeadflowError(f"{model_path} cannot be loaded: {one_line(error)[:500]}") from error


def _read_llava(model_path: str, config: dict[str, Any], *, dtype: torch.dtype, weights: bool) -> Parts:
    """Read a checkpoint in transformers' format."""
    if config.get("model_type") != "llava" or not isinstance(config.get("vision_config"), dict):
        raise HeadflowError(
            f"{model_path} is a {config.get('model_type', 'model of unknown type')}, not a LLaVA: "
            "its config.json must have the model_type llava and a vision_config"
        )
    tower = config["vision_config"].get("model_type")
    if tower not in IMAGE_PROCESSORS:
        raise HeadflowError(f"{model_path} has a vision tower {tower!r}; known are {', '.join(IMAGE_PROCESSORS)}")
    if weights:
        model, report = LlavaForConditionalGeneration.from_pretrained(
            model_path, dtype=dtype, attn_implementation="sdpa", output_loading_info=True
        )
        check_report(report, model_path)
    else:
        with torch.device("meta"):
            model = LlavaForConditionalGeneration(LlavaConfig.from_pretrained(model_path))
    processor = IMAGE_PROCESSORS[tower].from_pretrained(model_path)
    return Parts(
        model=model,
        tokenizer=AutoTokenizer.from_pretrained(model_path),
        processor=processor,
        aspect=PAD if getattr(processor, "do_pad", False) else CROP,
        kind="transformers LlavaForConditionalGeneration",
        revision=getattr(model.config, "_commit_hash", None),
    )


def _tokens(parts: Parts) -> Tokens:
    text = parts.model.config.text_config
    return Tokens(
        tokenizer=parts.tokenizer,
        image_ids=[parts.model.config.image_token_id] * _count_image_tokens(parts),
        max_tokens=min(text.max_position_embeddings, getattr(text, "sliding_window", None) or sys.maxsize),
        image_text=parts.image_text,
    )


def _count_image_tokens(parts: Parts) -> int:
    """Ask the vision tower itself: its count depends on image size, patch size and how it treats its class token."""
    pixels = parts.processor(images=[Image.new("RGB", (64, 64))], return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        features = parts.model.get_image_features(pixel_values=pixels.to(parts.model.device, parts.model.dtype))
    return int(features.pooler_output[0].shape[0])


def _config(model_path: str) -> dict[str, Any]:
    """The checkpoint's config.json."""
    try:
        config, _ = PretrainedConfig.get_config_dict(model_path)
    except (OSError, ValueError) as error:
        raise HeadflowError(f"no model at {model_path}: {one_line(error)[:300]}") from None
    if not config:
        raise HeadflowError(f"no model at {model_path}: it has no config.json")
    return config


def _folder(name: str) -> Path:
    """The files of a model in the released format; from the hub where there is no such folder."""
    try:
        return Path(name) if Path(name).is_dir() else Path(snapshot_download(name, allow_patterns=ORIGINAL_FILES))
    except Exception as error:  # third-party loaders raise anything
        raise HeadflowError(f"no model at {name}: {one_line(error)[:300]}") from None
