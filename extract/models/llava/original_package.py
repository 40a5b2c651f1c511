"""A checkpoint run by the original `llava` package itself, with the same observation of attention.

An independent reference: the package loads the model, preprocesses the image, writes the prompt, tokenises it and runs
it, one question at a time. It needs an environment of its own, which `make setup-llava` makes.
"""

import sys
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stdout
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from llava.constants import DEFAULT_IM_END_TOKEN, DEFAULT_IM_START_TOKEN, DEFAULT_IMAGE_TOKEN, IMAGE_TOKEN_INDEX
from llava.conversation import conv_templates
from llava.mm_utils import (
    get_anyres_image_grid_shape,
    get_model_name_from_path,
    process_images,
    tokenizer_image_token,
)
from llava.model.builder import load_pretrained_model
from llava.model.llava_arch import unpad_image
from PIL import Image
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from torch.overrides import TorchFunctionMode
from transformers import PreTrainedTokenizerBase

from extract.attention.causal import Observation
from extract.attention.kernels import choose_kernel
from extract.attention.packing import Batch
from extract.attention.readers import AttentionReader, LayerInput
from extract.images.patch_positions import Places
from extract.images.preprocessing import ImageSettings, Pixels, Preprocessor, Size, blank_image, describe_processor
from extract.images.tiling import check_pixels, square, tiled
from extract.models.checkpoint import PACKAGE_FORMAT, Checkpoint, choose_dtype, patch_size_of
from extract.models.fingerprint import fingerprint
from extract.models.weights.files import Files, find_cached, list_files
from extract.prompts.chat_template import ChatTemplate
from extract.prompts.conversation_templates import PromptText, Template, choose_default
from extract.prompts.prompt_builder import DEFAULT_WORDING, PromptBuilder
from extract.prompts.prompt_format import PromptFormat
from extract.prompts.wordings import Wording
from schemas.errors import HeadflowError
from schemas.manifest import AS_CHECKPOINT, CROP, PAD
from schemas.text import one_line

_ANYRES = "anyres"


@dataclass(frozen=True, kw_only=True)
class PackagePromptBuilder(PromptBuilder):
    """Prompts in the package's words and tokens; which token has which role is ours."""

    tokenizer: PreTrainedTokenizerBase

    def encode_around_images(self, message: str, prompt_text: PromptText) -> list[list[int]]:
        """See `PromptBuilder.encode_around_images`; the package renders the message itself."""
        conversation = conv_templates[self.template.name].copy()
        conversation.system = self.template.system
        conversation.append_message(conversation.roles[0], message)
        conversation.append_message(conversation.roles[1], None)
        ids = tokenizer_image_token(conversation.get_prompt(), self.tokenizer, IMAGE_TOKEN_INDEX)
        if ids.count(IMAGE_TOKEN_INDEX) != 1:
            raise HeadflowError(
                f"the llava package writes {ids.count(IMAGE_TOKEN_INDEX)} images into a prompt of {self.template.name}"
            )
        image = ids.index(IMAGE_TOKEN_INDEX)
        return [ids[:image], ids[image + 1 :]]


@dataclass(frozen=True)
class PackagePromptFormat(PromptFormat):
    """How the package's prompts are written."""

    def prompt_builder(
        self,
        template: Template | ChatTemplate,
        *,
        wording: Wording = DEFAULT_WORDING,
        system_span: str = "template",
    ) -> PackagePromptBuilder:
        """See `PromptFormat.prompt_builder`."""
        ours = super().prompt_builder(template, wording=wording, system_span=system_span)
        return PackagePromptBuilder(**vars(ours), tokenizer=self.tokenizer)


@dataclass(frozen=True)
class PackagePreprocessor(Preprocessor):
    """Images as the package prepares them.

    Attributes:
        config: the model's, with the `image_aspect_ratio` that is wanted.
        tile_edge: of a tile, in pixels; `tile_side`: in patches.
        features: how many tokens stand for one picture of the vision tower's size.
    """

    processor: Any
    config: Any
    tile_edge: int
    tile_side: int
    features: int

    @property
    def tiled(self) -> bool:
        """Whether images are cut into tiles, as many as their size asks for."""
        return getattr(self.config, "image_aspect_ratio", None) == _ANYRES

    def _preprocess(self, images: Sequence[Image.Image]) -> Pixels:
        (image,) = images
        if not self.tiled:
            check_pixels(self.processor, image.size, padded=self._padded)
        pixels = process_images([image], self.processor, self.config)
        if pixels.ndim == 4:
            return Pixels({"pixel_values": pixels}, [[IMAGE_TOKEN_INDEX] * self.features], [image.size])
        count = self._count_tiled(image.size)
        sizes = torch.tensor([image.size])
        return Pixels({"pixel_values": pixels, "image_sizes": sizes}, [[IMAGE_TOKEN_INDEX] * count], [image.size])

    def _places(self, pixels: Pixels, number: int) -> Places:
        tokens, size = len(pixels.image_ids[number]), pixels.sizes[number]
        if not self.tiled:
            return square(self.processor, size, tokens, padded=self._padded)
        if "unpad" not in self.config.mm_patch_merge_type:
            raise ValueError(f"tiles are merged as {self.config.mm_patch_merge_type} asks for")
        return tiled(*self._tiles(size), self.tile_edge, self.tile_side, size, tokens)

    @property
    def _padded(self) -> bool:
        return getattr(self.config, "image_aspect_ratio", None) == PAD

    def _count_tiled(self, size: tuple[int, int]) -> int:
        """Tokens of an image in tiles after the whole of it, each row of patches ended by one more."""
        (rows, columns), (high, wide) = self._tiles(size)
        if "unpad" not in self.config.mm_patch_merge_type:
            return self.features * (1 + columns * rows)
        return self.features + high * (wide + 1)

    def _tiles(self, size: Size) -> tuple[tuple[int, int], tuple[int, int]]:
        """Rows and columns of the tiles of an image, and of their patches without padding."""
        columns, rows = get_anyres_image_grid_shape(size, self.config.image_grid_pinpoints, self.tile_edge)
        _, high, wide = unpad_image(torch.zeros(1, rows * self.tile_side, columns * self.tile_side), size).shape
        return (rows, columns), (high, wide)

    def describe(self) -> dict[str, Any]:
        """What decides the pixels, as plain values for the manifest."""
        described = describe_processor(self.processor, AS_CHECKPOINT if self.tiled else PAD if self._padded else CROP)
        if self.tiled:
            described["image_grid_pinpoints"] = str(self.config.image_grid_pinpoints)
        return described


@dataclass(frozen=True, kw_only=True)
class PackageModel(Checkpoint):
    """A model of the package; it takes one question at a time."""

    @property
    def stack(self) -> Any:
        """See `Checkpoint.stack`."""
        return self.model.get_model()

    @property
    def patch_size(self) -> int:
        """See `Checkpoint.patch_size`."""
        return patch_size_of(self.model.get_vision_tower().config)

    def forward(
        self, batch: Batch, inputs: dict[str, Tensor], *, readers: Sequence[AttentionReader] = ()
    ) -> tuple[Tensor, Tensor, Tensor]:
        """See `Checkpoint.forward`."""
        assert self.kernel is not None
        observation = Observation(batch, self.kernel)
        normed: list[Tensor] = []
        hook = self.stack.norm.register_forward_hook(lambda _, given, made: normed.append(made[:, -1]))
        try:
            with torch.inference_mode(), _ObservedAttention(observation, readers):
                logits = self.model(**self._arguments(batch, inputs)).logits
        finally:
            hook.remove()
        masses = observation.masses()
        if masses.shape[1] != self.layers:
            raise HeadflowError(f"of {self.layers} layers of the package's model {masses.shape[1]} were observed")
        (hidden,) = normed
        return logits[:, -1].to(self.dtype), masses, hidden

    def last_hidden_states(
        self,
        batch: Batch,
        inputs: dict[str, Tensor],
        *,
        observed: bool,
        whole: dict[str, Tensor] | None = None,
        readers: Sequence[AttentionReader] = (),
        observation: Any = None,
    ) -> Tensor:
        """See `Checkpoint.last_hidden_states`."""
        assert self.kernel is not None
        assert whole is None
        assert observation is None
        observation = Observation(batch, self.kernel)
        with _ObservedAttention(observation, readers) if observed else nullcontext():
            output = self.model(**self._arguments(batch, inputs), output_hidden_states=True)
        if observed and observation.masses().shape[1] != self.layers:
            raise HeadflowError(f"not all of {self.layers} layers of the package's model were observed")
        hidden: Tensor = output.hidden_states[-1]
        return hidden

    def _arguments(self, batch: Batch, inputs: dict[str, Tensor]) -> dict[str, Any]:
        """What a forward pass is called with."""
        (ids,) = batch.input_ids
        again = (ids == IMAGE_TOKEN_INDEX) & (ids.roll(1) == IMAGE_TOKEN_INDEX)  # the package has one for an image
        return {
            "input_ids": ids[~again][None],
            "images": inputs["pixel_values"],
            "image_sizes": inputs["image_sizes"].tolist() if "image_sizes" in inputs else None,
            "use_cache": False,
        }


class _ObservedAttention(TorchFunctionMode):
    """A context in which torch's attention function is observed.

    The package's language models call it; the vision tower computes its own attention without it.
    """

    def __init__(self, observation: Observation, readers: Sequence[AttentionReader] = ()) -> None:
        super().__init__()
        self._observation = observation
        self._readers = readers

    def __torch_function__(
        self, function: Any, types: Any, arguments: tuple[Any, ...] = (), options: dict[str, Any] | None = None
    ) -> Any:
        options = options or {}
        if function is not scaled_dot_product_attention:
            return function(*arguments, **options)
        query, key, value = arguments
        if options["attn_mask"] is not None or options["dropout_p"] or not options["is_causal"]:
            raise ValueError("attention with a mask or dropout cannot be observed")
        scale = query.shape[-1] ** -0.5
        output = self._observation.attend(query, key, value, scale)
        for reader in self._readers:
            reader.read(LayerInput(query, key, value, scale))
        return output


def load_package(
    model_path: str,
    model_base: str | None = None,
    *,
    device: torch.device,
    dtype: str = "auto",
    images: ImageSettings | None = None,
) -> PackageModel:
    """Load a checkpoint as the package does, by its name and in float16, and run it in `dtype`.

    A LoRA is merged by the package, in float16.

    Raises:
        HeadflowError: the package cannot load it, or does not take it for a LLaVA.
    """
    images = images or ImageSettings()
    if images.pixels:
        raise HeadflowError("limits of pixels are for Qwen's models: leave them out", setting=next(iter(images.pixels)))
    name = _checked_name(model_path)
    try:
        with redirect_stdout(sys.stderr):  # it prints what it does
            tokenizer, model, processor, _ = load_pretrained_model(model_path, model_base, name, device=str(device))
    except Exception as error:  # third-party loaders raise anything
        raise HeadflowError(f"the llava package cannot load {model_path}: {one_line(error)[:300]}") from error
    model = _in_dtype(model, device, choose_dtype(dtype, device, getattr(model.config, "torch_dtype", None)))
    preprocessor = _preprocessor(model, processor, images.aspect)
    heads = model.config.num_attention_heads
    shape = {"heads": heads, "kv_heads": heads, "head_dim": model.config.hidden_size // heads}
    files = _files(model_path)
    return PackageModel(
        model=model,
        prompt_format=_prompt_format(model_path, model.config, tokenizer, preprocessor),
        preprocessor=preprocessor,
        format=PACKAGE_FORMAT,
        architecture=type(model).__name__,
        kernel=choose_kernel(device, model.dtype, **shape),
        layers=model.config.num_hidden_layers,
        heads=heads,
        attending=range(model.config.num_hidden_layers),
        packs=False,
        single=True,
        revision=files.commit,
        weights=_fingerprint(files, model_base, model),
    )


def _checked_name(model_path: str) -> str:
    """The name by which the package decides how to load a checkpoint."""
    name: str = get_model_name_from_path(model_path)
    if "llava" not in name.lower():
        raise HeadflowError(
            f"the llava package knows its models by their names, and {name} does not contain `llava`: rename it"
        )
    if "mpt" in name.lower():
        raise HeadflowError(
            f"the llava package takes {name} for an MPT, by three of its letters, and would run the checkpoint's own "
            "code: rename it, or choose another backend",
            setting="backend",
        )
    return name


def _in_dtype(model: Any, device: torch.device, dtype: torch.dtype) -> Any:
    """The model in a dtype; its tables of cosines and sines, rounded to the float16 of loading, are computed anew."""
    model = model.to(device=device, dtype=dtype).eval()
    for layer in model.get_model().layers:
        rotary = layer.self_attn.rotary_emb
        rotary._set_cos_sin_cache(rotary.max_seq_len_cached, device, dtype)
    return model


def _prompt_format(
    model_path: str, config: Any, tokenizer: PreTrainedTokenizerBase, images: PackagePreprocessor
) -> PackagePromptFormat:
    start_end = getattr(config, "mm_use_im_start_end", False)
    return PackagePromptFormat(
        tokenizer,
        [] if images.tiled else [IMAGE_TOKEN_INDEX] * images.features,
        max_tokens=config.max_position_embeddings,
        default_template=choose_default(model_path, mistral="mistral" in config.model_type),
        image_text=DEFAULT_IM_START_TOKEN + DEFAULT_IMAGE_TOKEN + DEFAULT_IM_END_TOKEN
        if start_end
        else DEFAULT_IMAGE_TOKEN,
    )


def _preprocessor(model: Any, processor: Any, aspect: str | None) -> PackagePreprocessor:
    config, tower = copy(model.config), model.get_vision_tower()
    own = getattr(config, "image_aspect_ratio", None)
    if aspect is None:
        aspect = AS_CHECKPOINT if own == _ANYRES else CROP
    if aspect != AS_CHECKPOINT:
        config.image_aspect_ratio = PAD if aspect == PAD else None
    blank = processor(blank_image(64), return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        features = model.encode_images(blank.to(model.device, model.dtype)).shape[1]
    return PackagePreprocessor(processor, config, tower.config.image_size, tower.num_patches_per_side, features)


def _files(name: str) -> Files:
    """The files of a checkpoint that the package has loaded."""
    cached = None if Path(name).is_dir() else find_cached(name)
    folder = cached or Path(name)
    return Files(name, folder, list_files(folder), None if cached is None else cached.name)


def _fingerprint(files: Files, model_base: str | None, model: Any) -> str:
    """The fingerprint of all weights that the package has read, as `extract.models.llava.released` has it."""
    read = [(files, files.whole())]
    if model_base is not None:
        base = _files(model_base)
        read = [(base, base.whole()), (files, files.partial())]
    if not getattr(model.config, "unfreeze_mm_vision_tower", False):
        tower = _files(model.config.mm_vision_tower)
        read.append((tower, tower.whole()))
    return fingerprint(source.folder / name for source, names in read for name in names)
