"""The one place that knows the model: loading, preprocessing, one observed forward pass."""

import sys
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from transformers import (
    AutoTokenizer,
    CLIPImageProcessorPil,
    LlavaConfig,
    LlavaForConditionalGeneration,
    PretrainedConfig,
    PreTrainedTokenizerBase,
    SiglipImageProcessorPil,
)

from extract.kernels import Kernel, choose_kernel
from extract.observer import HELD_ON_CUDA, Observation, observe_language_model
from extract.packing import Batch
from extract.prompts import PromptBuilder, SystemSpan
from extract.templates import MME_SUFFIX, Template
from schemas.errors import HeadflowError, one_line

KIND = "transformers LlavaForConditionalGeneration"
IMAGE_PROCESSORS = {"clip_vision_model": CLIPImageProcessorPil, "siglip_vision_model": SiglipImageProcessorPil}


@dataclass(frozen=True)
class Preprocessor:
    """Resizes, crops and normalises images as the checkpoint's vision tower expects them."""

    processor: Any

    def __call__(self, image: Image.Image) -> Tensor:
        """An RGB image -> pixels, float32 [3, height, width], on the CPU."""
        return self.processor(images=[image], return_tensors="pt")["pixel_values"][0]

    @property
    def description(self) -> str:
        """How images are resized and cropped, in words."""
        steps = []
        if self.processor.do_resize:
            size = self.processor.size
            edge = size.get("shortest_edge")
            steps.append(f"shortest edge to {edge}" if edge else f"resize to {size['height']} x {size['width']}")
        if getattr(self.processor, "do_center_crop", False):
            crop = self.processor.crop_size
            steps.append(f"centre crop {crop['height']} x {crop['width']}")
        return ", ".join(steps) + f" ({type(self.processor).__name__})"


@dataclass(frozen=True)
class Tokens:
    """What prompts for a model are made of.

    Attributes:
        image_tokens: how many tokens stand for one image.
        max_tokens: longest prompt in which each token is placed, and sees all earlier ones.
    """

    tokenizer: PreTrainedTokenizerBase
    image_tokens: int
    image_token_id: int
    max_tokens: int

    @classmethod
    def of(
        cls, model: LlavaForConditionalGeneration, tokenizer: PreTrainedTokenizerBase, preprocessor: Preprocessor
    ) -> "Tokens":
        """Those of a model; it need not have its weights."""
        text = model.config.text_config
        return cls(
            tokenizer=tokenizer,
            image_tokens=_count_image_tokens(model, preprocessor),
            image_token_id=model.config.image_token_id,
            max_tokens=min(text.max_position_embeddings, getattr(text, "sliding_window", None) or sys.maxsize),
        )

    def prompts(
        self, template: Template, *, suffix: str = MME_SUFFIX, system_span: SystemSpan = "template"
    ) -> PromptBuilder:
        """What writes prompts."""
        return PromptBuilder(
            encode=lambda text: self.tokenizer(text).input_ids,
            bos_token_id=self.tokenizer.bos_token_id,
            image_token_id=self.image_token_id,
            image_tokens=self.image_tokens,
            max_tokens=self.max_tokens,
            template=template,
            suffix=suffix,
            system_span=system_span,
        )


@dataclass(frozen=True)
class Checkpoint:
    """A loaded LLaVA whose language model is observed.

    Attributes:
        kernel: how attention is computed, chosen once for the device, dtype and shape.
    """

    model: LlavaForConditionalGeneration
    tokens: Tokens
    preprocessor: Preprocessor
    kernel: Kernel
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

    def forward(self, batch: Batch, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """One prefill pass, observed.

        Args:
            batch: the prompts, on the model's device.
            pixels: [images, 3, height, width] in the model's dtype, on its device.

        Returns:
            Logits of each question's first generated token [questions, vocabulary] in the model's dtype, and flows
            float32 [questions, layers, heads, flows], both on the model's device.
        """
        observation = Observation(batch, self.kernel, hold=HELD_ON_CUDA if self.device.type == "cuda" else 0)
        with torch.inference_mode():
            hidden = self.model.model(
                input_ids=batch.input_ids,
                position_ids=batch.position_ids,
                pixel_values=pixels,
                observation=observation,
                use_cache=False,
            ).last_hidden_state
            return self.model.lm_head(hidden[batch.owner, batch.last]), observation.flows()


def load_checkpoint(model_path: str, model_base: str | None, *, device: torch.device, dtype: torch.dtype) -> Checkpoint:
    """Load a LLaVA checkpoint in transformers' format, local or from the hub.

    Raises:
        HeadflowError: no such model, not a LLaVA, a form that is not read, or weights that do not fit.
    """
    processor = _image_processor(model_path, model_base)
    try:
        model, report = LlavaForConditionalGeneration.from_pretrained(
            model_path, dtype=dtype, attn_implementation="sdpa", output_loading_info=True
        )
        tokenizer = AutoTokenizer.from_pretrained(model_path)
        preprocessor = Preprocessor(processor.from_pretrained(model_path))
    except Exception as error:  # third-party loaders raise anything
        raise _not_loaded(model_path, error) from error
    for what in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if report[what]:
            names = sorted(str(key) for key in report[what])
            raise HeadflowError(
                f"{model_path}: {len(names)} {what.replace('_keys', '')} weights, such as {names[0]}; "
                "the checkpoint does not fit its config.json"
            )
    return watch(model.eval().to(device), tokenizer, preprocessor, name=model_path)


def load_tokens(model_path: str, model_base: str | None) -> Tokens:
    """What prompts for a checkpoint are made of, without its weights.

    Raises:
        HeadflowError: as `load_checkpoint`, but for what is wrong with weights.
    """
    processor = _image_processor(model_path, model_base)
    try:
        with torch.device("meta"):
            model = LlavaForConditionalGeneration(LlavaConfig.from_pretrained(model_path))
        tokenizer = AutoTokenizer.from_pretrained(model_path)
        return Tokens.of(model, tokenizer, Preprocessor(processor.from_pretrained(model_path)))
    except Exception as error:  # third-party loaders raise anything
        raise _not_loaded(model_path, error) from error


def _image_processor(model_path: str, model_base: str | None) -> type[Any]:
    """The class that preprocesses images; raises where the checkpoint is of a form that is not read."""
    if model_base is not None:
        raise HeadflowError(
            "--model-base is for LoRA and projector-only checkpoints, which are not read yet: "
            "merge them into a checkpoint in transformers' format, and give that as --model-path"
        )
    tower = _config(model_path)["vision_config"].get("model_type")
    if tower not in IMAGE_PROCESSORS:
        raise HeadflowError(f"{model_path} has a vision tower {tower!r}; known are {', '.join(IMAGE_PROCESSORS)}")
    return IMAGE_PROCESSORS[tower]


def _not_loaded(model_path: str, error: Exception) -> HeadflowError:
    return HeadflowError(f"{model_path} cannot be loaded: {one_line(error)[:500]}")


def watch(
    model: LlavaForConditionalGeneration, tokenizer: PreTrainedTokenizerBase, preprocessor: Preprocessor, *, name: str
) -> Checkpoint:
    """Let a model on its device be observed.

    Raises:
        HeadflowError: its language model is not causal; the message calls it `name`.
    """
    if not all(getattr(module, "is_causal", True) for module in model.model.language_model.modules()):
        raise HeadflowError(f"{name} is not causal over its prompt; such a language model cannot be observed yet")
    observe_language_model(model)
    text = model.config.text_config
    heads = text.num_attention_heads
    kv_heads = getattr(text, "num_key_value_heads", None) or heads
    head_dim = getattr(text, "head_dim", None) or text.hidden_size // heads
    return Checkpoint(
        model=model,
        tokens=Tokens.of(model, tokenizer, preprocessor),
        preprocessor=preprocessor,
        kernel=choose_kernel(model.device, model.dtype, heads=heads, kv_heads=kv_heads, head_dim=head_dim),
        layers=text.num_hidden_layers,
        heads=heads,
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


def _count_image_tokens(model: LlavaForConditionalGeneration, preprocessor: Preprocessor) -> int:
    """Ask the vision tower itself: its count depends on image size, patch size and how it treats its class token."""
    pixels = preprocessor(Image.new("RGB", (64, 64)))[None]
    with torch.inference_mode():
        features = model.get_image_features(pixel_values=pixels.to(model.device, model.dtype)).pooler_output
    return int(features[0].shape[0])
