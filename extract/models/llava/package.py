"""`--backend llava`: a checkpoint run by the original package itself, watched by the same observer.

An independent witness: the package loads the model, prepares the image, writes the prompt, cuts it into tokens and runs
it, one question at a time. It needs an environment of its own, which `make setup-llava` makes.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from copy import copy
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any
from unittest import mock

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
from transformers import PreTrainedTokenizerBase

from extract.attention.causal import Observation
from extract.attention.kernels import choose_kernel
from extract.attention.packing import Batch, pack
from extract.images.preprocessing import Pixels, blank_image, describe
from extract.models.checkpoint import Checkpoint, Tokens
from extract.models.transfer import Uploader
from extract.prompts.chat_template import ChatTemplate
from extract.prompts.prompt import PromptBuilder, SystemSpan
from extract.prompts.templates import Template, Written
from extract.questions.formats import MME_SUFFIX
from schemas.errors import HeadflowError
from schemas.manifest import AS_CHECKPOINT, PAD
from schemas.text import one_line

ANYRES = "anyres"
ATTENTION = "torch.nn.functional.scaled_dot_product_attention"  # what the package's language models call


@dataclass(frozen=True, kw_only=True)
class PackagePrompts(PromptBuilder):
    """Prompts in the package's words and tokens; which token has which role is ours."""

    tokenizer: PreTrainedTokenizerBase

    def halves(self, message: str, written: Written) -> tuple[list[int], list[int]]:
        """See `PromptBuilder.halves`; `written` is not looked at."""
        conversation = conv_templates[self.template.name].copy()
        conversation.append_message(conversation.roles[0], message)
        conversation.append_message(conversation.roles[1], None)
        ids = tokenizer_image_token(conversation.get_prompt(), self.tokenizer, IMAGE_TOKEN_INDEX)
        image = ids.index(IMAGE_TOKEN_INDEX)
        return ids[:image], ids[image + 1 :]


@dataclass(frozen=True)
class PackageTokens(Tokens):
    """What the package's prompts are made of."""

    def prompts(
        self, template: Template | ChatTemplate, *, suffix: str = MME_SUFFIX, system_span: SystemSpan = "template"
    ) -> PackagePrompts:
        """What writes prompts."""
        ours = super().prompts(template, suffix=suffix, system_span=system_span)
        return PackagePrompts(**vars(ours), tokenizer=self.tokenizer)


@dataclass(frozen=True)
class PackagePreprocessor:
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
        return getattr(self.config, "image_aspect_ratio", None) == ANYRES

    def __call__(self, image: Image.Image) -> Pixels:
        """What the model reads of an image."""
        pixels = process_images([image], self.processor, self.config)
        if pixels.ndim == 4:
            return Pixels({"pixel_values": pixels}, [IMAGE_TOKEN_INDEX] * self.features)
        count = self._count_tiled(image.size)
        sizes = torch.tensor([image.size])
        return Pixels({"pixel_values": pixels, "image_sizes": sizes}, [IMAGE_TOKEN_INDEX] * count)

    def _count_tiled(self, size: tuple[int, int]) -> int:
        """Tokens of an image in tiles behind the whole of it, each row of patches ended by one more."""
        columns, rows = get_anyres_image_grid_shape(size, self.config.image_grid_pinpoints, self.tile_edge)
        if "unpad" not in self.config.mm_patch_merge_type:
            return self.features * (1 + columns * rows)
        _, high, wide = unpad_image(torch.zeros(1, rows * self.tile_side, columns * self.tile_side), size).shape
        return self.features + high * (wide + 1)

    @property
    def description(self) -> str:
        """How images are resized and cropped, in words."""
        padded = getattr(self.config, "image_aspect_ratio", None) == PAD
        how = "any resolution, in tiles" if self.tiled else describe(self.processor, padded=padded)
        return f"{how} (process_images of the llava package)"


@dataclass(frozen=True)
class PackageModel(Checkpoint):
    """A model of the package."""

    @property
    def alone(self) -> bool:
        """Whether it takes no more than one question at a time."""
        return True

    def check(self, prompts: PromptBuilder) -> None:
        """See `Checkpoint.check`."""
        pixels = self.preprocessor(blank_image(64))
        prompt = prompts.build("Is there a picture?", pixels.image_ids)
        logits, flows = self.forward(*Uploader(self.device, self.dtype).send(pack([[prompt]]), [pixels]))
        if flows.shape[1] != self.layers or not torch.isfinite(logits).all():
            raise HeadflowError(
                f"a first pass through the package's model showed {flows.shape[1]} of {self.layers} layers, or numbers "
                f"that are not finite in {self.dtype}; another --dtype may help"
            )

    def forward(self, batch: Batch, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """See `Checkpoint.forward`."""
        (ids,) = batch.input_ids
        again = (ids == IMAGE_TOKEN_INDEX) & (ids.roll(1) == IMAGE_TOKEN_INDEX)  # the package puts one for an image
        assert self.kernel is not None
        observation = Observation(batch, self.kernel)
        with torch.inference_mode(), _observed(observation):
            logits = self.model(
                input_ids=ids[~again][None],
                images=inputs["pixel_values"],
                image_sizes=inputs["image_sizes"].tolist() if "image_sizes" in inputs else None,
                use_cache=False,
            ).logits
        return logits[:, -1].to(self.dtype), observation.flows()


@contextmanager
def _observed(observation: Observation) -> Iterator[None]:
    """Let attention of the language model be observed; the vision tower computes its own without that function."""

    def attend(
        query: Tensor, key: Tensor, value: Tensor, *, attn_mask: Tensor | None, dropout_p: float, is_causal: bool
    ) -> Tensor:
        assert attn_mask is None, "one question needs no mask"
        assert is_causal
        assert not dropout_p
        return observation.attend(query, key, value, query.shape[-1] ** -0.5)

    with mock.patch(ATTENTION, attend):
        yield


def load_package(
    model_path: str, model_base: str | None, *, device: torch.device, dtype: torch.dtype, aspect: str | None = None
) -> PackageModel:
    """Load a checkpoint as the package does, by its name and in float16, and run it in `dtype`.

    Raises:
        HeadflowError: the package cannot load it, or does not take it for a LLaVA.
    """
    name = get_model_name_from_path(model_path)
    if "llava" not in name.lower():
        raise HeadflowError(
            f"the llava package knows its models by their names, and {name} holds no `llava`: rename it"
        )
    if "mpt" in name.lower():
        raise HeadflowError(
            f"the llava package takes {name} for an MPT, by three of its letters, and would run the checkpoint's own "
            "code: rename it, or leave --backend out"
        )
    try:
        with redirect_stdout(sys.stderr):  # it prints what it does
            tokenizer, model, processor, _ = load_pretrained_model(model_path, model_base, name, device=str(device))
    except Exception as error:  # third-party loaders raise anything
        raise HeadflowError(f"the llava package cannot load {model_path}: {one_line(error)[:300]}") from error
    model = model.to(device=device, dtype=dtype).eval()
    for layer in model.get_model().layers:  # tables of cosines and sines stay rounded to the float16 of loading
        rotary = layer.self_attn.rotary_emb
        rotary._set_cos_sin_cache(rotary.max_seq_len_cached, device, dtype)
    preprocessor = _preprocessor(model, processor, aspect)
    start_end = getattr(model.config, "mm_use_im_start_end", False)
    heads = model.config.num_attention_heads
    return PackageModel(
        model=model,
        tokens=PackageTokens(
            tokenizer,
            [] if preprocessor.tiled else [IMAGE_TOKEN_INDEX] * preprocessor.features,
            max_tokens=model.config.max_position_embeddings,
            image_text=DEFAULT_IM_START_TOKEN + DEFAULT_IMAGE_TOKEN + DEFAULT_IM_END_TOKEN
            if start_end
            else DEFAULT_IMAGE_TOKEN,
        ),
        preprocessor=preprocessor,
        kind=f"llava-torch {version('llava-torch')} {type(model).__name__}",
        kernel=choose_kernel(device, dtype, heads=heads, kv_heads=heads, head_dim=model.config.hidden_size // heads),
        layers=model.config.num_hidden_layers,
        heads=heads,
        revision=getattr(model.config, "_commit_hash", None),
    )


def _preprocessor(model: Any, processor: Any, aspect: str | None) -> PackagePreprocessor:
    config, tower = copy(model.config), model.get_vision_tower()
    if aspect != AS_CHECKPOINT:
        config.image_aspect_ratio = PAD if aspect == PAD else None
    blank = processor(blank_image(64), return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        features = model.encode_images(blank.to(model.device, model.dtype)).shape[1]
    return PackagePreprocessor(processor, config, tower.config.image_size, tower.num_patches_per_side, features)
