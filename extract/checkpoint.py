"""The one place that knows the model: loading, preprocessing, one observed forward pass."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from transformers import (
    AutoTokenizer,
    CLIPImageProcessorPil,
    LlavaForConditionalGeneration,
    PretrainedConfig,
    PreTrainedTokenizerBase,
    SiglipImageProcessorPil,
)

from extract.flows import flows_from_sums
from extract.observer import observe_language_model
from schemas.errors import HeadflowError, one_line

KIND = "transformers LlavaForConditionalGeneration"
IMAGE_PROCESSORS = {"clip_vision_model": CLIPImageProcessorPil, "siglip_vision_model": SiglipImageProcessorPil}


@dataclass(frozen=True)
class Checkpoint:
    """A loaded LLaVA whose language model is observed.

    Attributes:
        image_tokens: how many tokens stand for one image.
        max_tokens: longest sequence that the language model can place.
    """

    model: LlavaForConditionalGeneration
    tokenizer: PreTrainedTokenizerBase
    image_processor: Any
    image_tokens: int
    image_token_id: int
    max_tokens: int
    layers: int
    heads: int
    revision: str | None

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.device

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of its weights."""
        return self.model.dtype

    @property
    def image_preprocessing(self) -> str:
        """How images are resized and cropped, in words."""
        return _describe(self.image_processor)

    def preprocess(self, images: Sequence[Image.Image]) -> Tensor:
        """RGB images -> pixels, float32 [images, 3, height, width], on the CPU."""
        return self.image_processor(images=list(images), return_tensors="pt")["pixel_values"]

    def forward(self, input_ids: Tensor, roles: Tensor, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """One prefill pass over a batch of prompts of equal length, observed.

        Args:
            input_ids: int64 [batch, sequence], with the image token repeated for each image token.
            roles: int [batch, sequence], codes of `schemas.roles`.
            pixels: float32 [batch, 3, height, width].

        Returns:
            Logits of the first generated token [batch, vocabulary] in the model's dtype on its device, and flows
            float32 [batch, layers, heads, flows] on the CPU.
        """
        roles = roles.to(self.device)
        with torch.inference_mode():
            output = self.model(
                input_ids=input_ids.to(self.device),
                pixel_values=pixels.to(self.device, self.dtype),
                roles=roles,
                output_attentions=True,
                use_cache=False,
                logits_to_keep=1,
            )
            return output.logits[:, -1], flows_from_sums(torch.stack(output.attentions), roles).cpu()


def load_checkpoint(model_path: str, model_base: str | None, *, device: torch.device, dtype: torch.dtype) -> Checkpoint:
    """Load a LLaVA checkpoint in transformers' format, local or from the hub.

    Raises:
        HeadflowError: no such model, not a LLaVA, a form that is not read, or weights that do not fit.
    """
    if model_base is not None:
        raise HeadflowError(
            "--model-base is for LoRA and projector-only checkpoints, which are not read yet: "
            "merge them into a checkpoint in transformers' format, and give that as --model-path"
        )
    config = _config(model_path)
    tower = config["vision_config"].get("model_type")
    if tower not in IMAGE_PROCESSORS:
        raise HeadflowError(f"{model_path} has a vision tower {tower!r}; known are {', '.join(IMAGE_PROCESSORS)}")
    try:
        model, report = LlavaForConditionalGeneration.from_pretrained(
            model_path, dtype=dtype, attn_implementation="sdpa", output_loading_info=True
        )
        tokenizer = AutoTokenizer.from_pretrained(model_path)
        image_processor = IMAGE_PROCESSORS[tower].from_pretrained(model_path)
    except Exception as error:  # third-party loaders raise anything
        raise HeadflowError(f"{model_path} cannot be loaded: {one_line(error)[:500]}") from error
    for what in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if report[what]:
            names = sorted(str(key) for key in report[what])
            raise HeadflowError(
                f"{model_path}: {len(names)} {what.replace('_keys', '')} weights, such as {names[0]}; "
                "the checkpoint does not fit its config.json"
            )
    model = model.eval().to(device)
    observe_language_model(model)
    text = model.config.text_config
    return Checkpoint(
        model=model,
        tokenizer=tokenizer,
        image_processor=image_processor,
        image_tokens=_count_image_tokens(model, image_processor),
        image_token_id=model.config.image_token_id,
        max_tokens=text.max_position_embeddings,
        layers=text.num_hidden_layers,
        heads=text.num_attention_heads,
        revision=getattr(model.config, "_commit_hash", None),
    )


def choose_device(name: str) -> torch.device:
    """The device of `--device`: `auto` is CUDA where there is one, else the CPU."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise HeadflowError(f"--device {name} cannot be used: {one_line(error).split('. ')[0]}") from None
    return device


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """The dtype of `--dtype`: `auto` is float16 on CUDA, float32 elsewhere."""
    if name == "auto":
        name = "float16" if device.type == "cuda" else "float32"
    dtype: torch.dtype = getattr(torch, name)
    return dtype


def _config(model_path: str) -> dict[str, Any]:
    """The checkpoint's config.json, of a LLaVA in transformers' format."""
    try:
        config, _ = PretrainedConfig.get_config_dict(model_path)
    except (OSError, ValueError) as error:
        raise HeadflowError(f"no model at {model_path}: {one_line(error)[:300]}") from None
    if not config:
        raise HeadflowError(f"no model at {model_path}: it has no config.json")
    if "mm_vision_tower" in config:
        raise HeadflowError(
            f"{model_path} is a LLaVA in the original format, which is not read yet; "
            "give a conversion to transformers' format, such as llava-hf/llava-1.5-7b-hf"
        )
    if config.get("model_type") != "llava" or not isinstance(config.get("vision_config"), dict):
        raise HeadflowError(
            f"{model_path} is a {config.get('model_type', 'model of unknown type')}, not a LLaVA: "
            "its config.json must have the model_type llava and a vision_config"
        )
    return config


def _count_image_tokens(model: LlavaForConditionalGeneration, image_processor: Any) -> int:
    """Ask the vision tower itself: its count depends on image size, patch size and how it treats its class token."""
    pixels = image_processor(images=[Image.new("RGB", (64, 64))], return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        features = model.get_image_features(pixel_values=pixels.to(model.device, model.dtype)).pooler_output
    return int(features[0].shape[0])


def _describe(processor: Any) -> str:
    steps = []
    if processor.do_resize:
        size = processor.size
        edge = size.get("shortest_edge")
        steps.append(f"shortest edge to {edge}" if edge else f"resize to {size['height']} x {size['width']}")
    if getattr(processor, "do_center_crop", False):
        steps.append(f"centre crop {processor.crop_size['height']} x {processor.crop_size['width']}")
    return ", ".join(steps) + f" ({type(processor).__name__})"
