"""The one place that runs a model: what a checkpoint holds -> transformers' classes, one observed forward pass."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from torch import Tensor
from transformers import PretrainedConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from extract.attention.causal import HELD_ON_CUDA, Observation
from extract.attention.kernels import choose_kernel
from extract.attention.masked import MaskedObservation
from extract.attention.packing import Batch
from extract.attention.transformers_interface import observe_language_model, observing
from extract.images.preprocessing import Preprocessor, SquarePreprocessor, blank_image
from extract.images.processors import ProcessorPreprocessor
from extract.models.checkpoint import Checkpoint, Parts, Tokens
from extract.models.llava.released import is_original, load_original
from extract.models.self_check import probe
from extract.models.transformers_format import load_transformers, longest_prompt
from extract.prompts.prompt import PromptBuilder
from schemas.errors import HeadflowError
from schemas.manifest import AS_CHECKPOINT, CROP, PAD
from schemas.roles import IMAGE, PADDING
from schemas.text import one_line, short

ORIGINAL_FILES = ["*.json", "*.bin", "*.safetensors", "tokenizer.model"]


@dataclass(frozen=True)
class Model(Checkpoint):
    """A model of transformers."""

    def forward(self, batch: Batch, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """See `Checkpoint.forward`."""
        observation = self.observation(batch)
        with torch.inference_mode(), observing(observation, layers=self.layers):
            logits = self.model(**self.arguments(batch, inputs), logits_to_keep=batch.ends).logits
            return logits[batch.owner, batch.end], observation.flows()

    def check(self, prompts: PromptBuilder) -> None:
        """See `Checkpoint.check`."""
        probe(self, prompts)

    def observation(self, batch: Batch) -> Observation | MaskedObservation:
        """What is to watch a forward pass over a batch."""
        if self.kernel is None:
            return MaskedObservation(batch)
        return Observation(batch, self.kernel, hold=HELD_ON_CUDA if self.device.type == "cuda" else 0)

    def arguments(self, batch: Batch, inputs: dict[str, Tensor]) -> dict[str, Any]:
        """What a forward pass is called with."""
        family = self.tokens.family
        named: dict[str, Any] = {"input_ids": batch.input_ids, "use_cache": False, **inputs}
        if family.packs:
            named["position_ids"] = batch.position_ids
        else:
            named["attention_mask"] = (batch.roles != PADDING).long()
        if family.token_types is not None:
            name, of_image = family.token_types
            named[name] = of_image * (batch.roles == IMAGE).long()
        return named


def load_model(
    model_path: str, model_base: str | None, *, device: torch.device, dtype: torch.dtype, aspect: str | None = None
) -> Model:
    """Load a checkpoint, local or from the hub: transformers' format or LLaVA's released one.

    Args:
        model_base: what a LoRA or projector-only checkpoint stands on.
        aspect: what becomes of images that are not square: `crop`, `pad`, or `checkpoint`, as it asks for; null: `crop`
            where the model takes square pictures, else `checkpoint`.

    Raises:
        HeadflowError: no such model, no vision-language model, a form that is not read, or weights that do not fit.
    """
    with _loading(model_path):
        parts = _read(model_path, model_base, dtype=dtype, weights=True, aspect=aspect)
        return watch(parts, device, aspect=aspect, name=model_path)


def load_tokens(model_path: str, model_base: str | None, aspect: str | None = None) -> tuple[Tokens, Preprocessor]:
    """What prompts for a checkpoint are made of, without its weights.

    Raises:
        HeadflowError: as `load_model`, but for what is wrong with weights.
    """
    with _loading(model_path):
        parts = _read(model_path, model_base, dtype=torch.float32, weights=False, aspect=aspect)
        tokens = _tokens(parts)
        return tokens, _preprocessor(parts, tokens, aspect)


@contextmanager
def _loading(model_path: str) -> Iterator[None]:
    try:
        yield
    except HeadflowError:
        raise
    except Exception as error:  # third-party loaders raise anything
        raise HeadflowError(f"{model_path} cannot be loaded: {one_line(error)[:500]}") from error


def watch(parts: Parts, device: torch.device, *, aspect: str | None = None, name: str = "the model") -> Model:
    """Let a model be observed on a device.

    Raises:
        HeadflowError: its language model is not causal; the message calls it `name`.
    """
    model = parts.model.eval().to(device)
    causal = parts.family.causal
    if causal and not all(getattr(module, "is_causal", True) for module in model.get_decoder().modules()):
        raise HeadflowError(f"{name} is not causal over its prompt, as a {parts.family.name} should be")
    observe_language_model(model, causal=causal)
    text = model.config.get_text_config()
    heads = text.num_attention_heads
    kv_heads = getattr(text, "num_key_value_heads", None) or heads
    head_dim = getattr(text, "head_dim", None) or text.hidden_size // heads
    shape = {"heads": heads, "kv_heads": kv_heads, "head_dim": head_dim}
    tokens = _tokens(parts)
    return Model(
        model=model,
        tokens=tokens,
        preprocessor=_preprocessor(parts, tokens, aspect),
        kind=parts.kind,
        kernel=choose_kernel(model.device, model.dtype, **shape) if causal else None,
        layers=text.num_hidden_layers,
        heads=heads,
        revision=parts.revision,
    )


def _read(model_path: str, model_base: str | None, *, dtype: torch.dtype, weights: bool, aspect: str | None) -> Parts:
    config = _config(model_path)
    if is_original(config):
        folder, base = _folder(model_path), _folder(model_base) if model_base else None
        parts = load_original(folder, base, config, dtype=dtype, weights=weights, aspect=aspect)
        return parts if Path(model_path).is_dir() else replace(parts, revision=folder.name)
    if model_base is not None:
        raise HeadflowError(
            f"{model_path} is no LoRA or projector-only checkpoint in LLaVA's released format: it needs no --model-base"
        )
    kind = config.get("model_type")
    if kind not in CONFIG_MAPPING and "auto_map" in config:
        raise HeadflowError(
            f"{model_path} is a {short(kind)}, in code of its own, which is not run; see the README's table"
        )
    return load_transformers(model_path, dtype=dtype, weights=weights, aspect=aspect)


def _tokens(parts: Parts) -> Tokens:
    return Tokens(
        tokenizer=parts.tokenizer,
        image_ids=_image_ids(parts) if parts.family.square else [],
        max_tokens=longest_prompt(parts.model.config.get_text_config(), parts.family),
        image_text=parts.image_text,
        family=parts.family,
        chat=parts.chat,
        image_token_id=parts.image_token_id,
    )


def _preprocessor(parts: Parts, tokens: Tokens, aspect: str | None) -> Preprocessor:
    if parts.tiles is not None:
        return parts.tiles
    if parts.family.square:
        padded = (parts.aspect if aspect == AS_CHECKPOINT else aspect or CROP) == PAD
        return SquarePreprocessor(parts.processor, tokens.image_ids, padded=padded)
    assert parts.image_token_id is not None
    bare = parts.family.chat_template is not None
    return ProcessorPreprocessor(parts.processor, parts.placeholder, parts.image_token_id, bare=bare)


def _image_ids(parts: Parts) -> list[int]:
    """Ask the vision tower itself: its count depends on image size, patch size and how it treats its class token."""
    pixels = parts.processor(images=[blank_image(64)], return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        features = parts.model.get_image_features(pixel_values=pixels.to(parts.model.device, parts.model.dtype))
    return [parts.model.config.image_token_id] * int(features.pooler_output[0].shape[0])


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
    """The files of a model in the released format; from the hub, by the name of a commit, where there is no folder."""
    try:
        return Path(name) if Path(name).is_dir() else Path(snapshot_download(name, allow_patterns=ORIGINAL_FILES))
    except Exception as error:  # third-party loaders raise anything
        raise HeadflowError(f"no model at {name}: {one_line(error)[:300]}") from None
