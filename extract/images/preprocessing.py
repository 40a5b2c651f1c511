"""RGB images -> what a model reads of them: the inputs of its vision tower, and the tokens that stand for each."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import pad

from extract.images.patch_positions import Places
from extract.questions.samples import Unusable
from schemas.manifest import AS_CHECKPOINT
from schemas.text import one_line

Size = tuple[int, int]  # width, height
THUMBNAIL = 320  # pixels
_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}  # by size in bytes; numpy has no bfloat16


@dataclass(frozen=True)
class Pixels:
    """What a model reads of the images of one question.

    It is sent between processes through a pipe: shared memory, torch's way, is scarce in containers.

    Attributes:
        inputs: arguments of the model's forward pass by name, such as `pixel_values` float32 [1, 3, height, width];
            those of several questions are joined along the first axis.
        image_ids: of each image the tokens in its place in a prompt.
        sizes: of each image, in pixels.
        thumbnails: of each image the JPEG of a small picture of it; empty: none were asked for.
    """

    inputs: dict[str, Tensor]
    image_ids: list[list[int]]
    sizes: list[Size]
    thumbnails: tuple[bytes, ...] = ()

    def pin_memory(self) -> "Pixels":
        """The same in pinned memory."""
        return replace(self, inputs={name: tensor.pin_memory() for name, tensor in self.inputs.items()})

    def __reduce__(self) -> tuple[Callable[..., "Pixels"], tuple[Any, ...]]:
        inputs = {name: (each.dtype, each.view(_BITS[each.itemsize]).numpy()) for name, each in self.inputs.items()}
        return _from_bits, (inputs, self.image_ids, self.sizes, self.thumbnails)


def _from_bits(inputs: dict[str, tuple[torch.dtype, np.ndarray]], *others: Any) -> Pixels:
    return Pixels({name: torch.from_numpy(bits).view(dtype) for name, (dtype, bits) in inputs.items()}, *others)


def join(images: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The inputs of several questions as those of one forward pass; what differs in shape is padded with zeros."""
    return {name: _concatenate([inputs[name] for inputs in images]) for name in images[0]}


def _concatenate(tensors: Sequence[Tensor]) -> Tensor:
    shape = [max(sizes) for sizes in zip(*(tensor.shape[1:] for tensor in tensors), strict=True)]
    return torch.cat([_padded(tensor, shape) for tensor in tensors])


def _padded(tensor: Tensor, shape: Sequence[int]) -> Tensor:
    missing = [wanted - size for wanted, size in zip(shape, tensor.shape[1:], strict=True)]
    return pad(tensor, [each for more in reversed(missing) for each in (0, more)]) if any(missing) else tensor


def blank_image(edge: int = 336) -> Image.Image:
    """A square black picture, `edge` pixels wide."""
    return Image.new("RGB", (edge, edge))


@dataclass(frozen=True)
class ImageSettings:
    """How the user wants images preprocessed; None: as is usual for the checkpoint.

    Attributes:
        aspect: how non-square images are preprocessed for a model that takes one square picture: `crop`, `pad`, or
            `checkpoint`, its own way.
        min_pixels: least pixels of a resized image, for models that take images of any size; `max_pixels` too.
    """

    aspect: str | None = None
    min_pixels: int | None = None
    max_pixels: int | None = None

    @property
    def pixels(self) -> dict[str, int]:
        """The limits of pixels that are given, by name."""
        limits = {"min_pixels": self.min_pixels, "max_pixels": self.max_pixels}
        return {name: limit for name, limit in limits.items() if limit is not None}


def thumbnail(image: Image.Image) -> bytes:
    """The JPEG of a picture of at most `THUMBNAIL` pixels a side, about 10 KB."""
    small = image.copy()
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    content = BytesIO()
    small.save(content, "JPEG", quality=75, optimize=True)
    return content.getvalue()


class Preprocessor(ABC):
    """Turns RGB images into what a model reads, on the CPU."""

    @property
    def several(self) -> bool:
        """Whether the model takes several images in one prompt."""
        return False

    def __call__(self, *images: Image.Image) -> Pixels:
        """What the model reads of the images of one question.

        Raises:
            Unusable: `several_images` where it takes one; `image_refused`, or `image_too_large` for this machine's
                memory.
        """
        if len(images) > 1 and not self.several:
            raise Unusable("several_images", f"the question has {len(images)} images, and the model takes one")
        try:
            return self._preprocess(images)
        except Unusable:
            raise
        except MemoryError:
            sizes = ", ".join(f"{image.width} x {image.height}" for image in images)
            raise Unusable("image_too_large", f"not enough memory to prepare {sizes}") from None
        except Exception as error:  # third-party processors raise anything
            raise Unusable("image_refused", one_line(error)[:300] or type(error).__name__) from None

    @abstractmethod
    def _preprocess(self, images: Sequence[Image.Image]) -> Pixels:
        """What the model reads of images, one where it is not `several`; raises anything if it does not take them."""

    def places(self, pixels: Pixels, number: int = 0) -> Places:
        """Where the tokens that stand for an image lie in it.

        Args:
            number: of the image among those of the question.

        Raises:
            Unusable: `image_unplaced`: that is not known.
        """
        try:
            return self._places(pixels, number)
        except ValueError as error:
            width, height = pixels.sizes[number]
            raise Unusable(
                "image_unplaced",
                f"where the tokens of an image of {width} x {height} lie in it is not known: {one_line(error)}",
            ) from None

    @abstractmethod
    def _places(self, pixels: Pixels, number: int) -> Places:
        """See `places`; raises `ValueError` if that is not known."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """What decides the pixels, as plain values for the manifest."""

    @property
    def token_types(self) -> dict[str, dict[int, int]]:
        """What else the model reads of each token: by the argument's name, the value of each token that is not 0."""
        return {}

    def contradictions(self) -> list[str]:
        """What the checkpoint's files say in two ways about the tokens of an image, in words."""
        return []

    def whole_prompt(self, text: str, *images: Image.Image, special: bool) -> dict[str, Tensor] | None:
        """All that the checkpoint's own processor makes of a rendered prompt and its images, for the model to read.

        Args:
            special: with the tokens that the processor adds by itself, if it does; else with none.

        Returns:
            Arguments of the model's forward pass by name, of one sequence, such as `input_ids` int64 [1, tokens]; None
            if the processor tokenises no prompts.
        """
        return None


def describe_processor(processor: Any, aspect: str = AS_CHECKPOINT) -> dict[str, Any]:
    """What an image processor of transformers does, as plain values."""
    described: dict[str, Any] = {
        "processor": type(processor).__name__,
        "backend": getattr(processor, "backend", "pil"),
        "aspect": aspect,
    }
    if getattr(processor, "do_resize", False):
        described |= _describe_size(processor.size or {}) | {"resample": int(processor.resample)}
    if getattr(processor, "do_center_crop", False):
        described["crop"] = [processor.crop_size["height"], processor.crop_size["width"]]
    for name in ("image_mean", "image_std"):
        if getattr(processor, "do_normalize", False):
            described[name] = [float(value) for value in getattr(processor, name)]
    return described


def _describe_size(size: Any) -> dict[str, Any]:
    """A `size` of transformers, without what it leaves open."""
    values = {name: size.get(name) for name in ("height", "width", "shortest_edge", "longest_edge")}
    edges = {name: value for name, value in values.items() if value is not None}
    if {"height", "width"} <= edges.keys():
        edges = {"size": [edges.pop("height"), edges.pop("width")], **edges}
    return edges
