"""An RGB image -> what a model reads of it: the inputs of its vision tower, and the tokens that stand for it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import pad


@dataclass(frozen=True)
class Pixels:
    """What a model reads of one image.

    Goes from process to process through a pipe: shared memory, torch's way, is scarce in containers.

    Attributes:
        inputs: arguments of the model's forward pass by name, such as `pixel_values` float32 [1, 3, height, width];
            of several images, they are joined along the first axis.
        image_ids: the tokens that stand in a prompt where the image is.
    """

    inputs: dict[str, Tensor]
    image_ids: list[int]

    def pin_memory(self) -> "Pixels":
        """The same in pinned memory."""
        return replace(self, inputs={name: tensor.pin_memory() for name, tensor in self.inputs.items()})

    def __reduce__(self) -> tuple[Callable[..., "Pixels"], tuple[Any, ...]]:
        return _from_arrays, ({name: tensor.numpy() for name, tensor in self.inputs.items()}, self.image_ids)


def _from_arrays(arrays: dict[str, np.ndarray], image_ids: list[int]) -> Pixels:
    return Pixels({name: torch.from_numpy(array) for name, array in arrays.items()}, image_ids)


def join(images: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The inputs of several images as those of one forward pass; what differs in shape is padded with zeros."""
    return {name: _concatenate([inputs[name] for inputs in images]) for name in images[0]}


def _concatenate(tensors: Sequence[Tensor]) -> Tensor:
    shape = [max(sizes) for sizes in zip(*(tensor.shape[1:] for tensor in tensors), strict=True)]
    return torch.cat([_padded(tensor, shape) for tensor in tensors])


def _padded(tensor: Tensor, shape: Sequence[int]) -> Tensor:
    missing = [wanted - size for wanted, size in zip(shape, tensor.shape[1:], strict=True)]
    return pad(tensor, [each for more in reversed(missing) for each in (0, more)]) if any(missing) else tensor


def blank_image(edge: int = 336) -> Image.Image:
    """A black picture, square."""
    return Image.new("RGB", (edge, edge))


class Preprocessor(Protocol):
    """Turns RGB images into what a model reads, on the CPU."""

    @property
    def description(self) -> str:
        """How images are resized and cropped, in words."""

    def __call__(self, image: Image.Image) -> Pixels:
        """What the model reads of an image.

        Raises:
            Unusable: `image_refused`.
        """


@dataclass(frozen=True)
class SquarePreprocessor:
    """One square picture for a vision tower of a fixed size.

    Attributes:
        processor: the tower's image processor: resizes, crops and normalises.
        image_ids: the tokens that stand for an image.
        padded: fill the image up to a square first, with the mean colour of the tower's training images, as LLaVA's
            own evaluation does (`expand2square` in `llava/mm_utils.py`); else its long edge is cropped.
    """

    processor: Any
    image_ids: list[int]
    padded: bool = False

    def __call__(self, image: Image.Image) -> Pixels:
        """What the model reads of an image."""
        if self.padded:
            image = _to_square(image, tuple(int(255 * mean) for mean in self.processor.image_mean))
        return Pixels(
            {"pixel_values": self.processor(images=[image], return_tensors="pt")["pixel_values"]}, self.image_ids
        )

    @property
    def description(self) -> str:
        """How images are resized and cropped, in words."""
        return f"{describe(self.processor, padded=self.padded)} ({type(self.processor).__name__})"


def describe(processor: Any, *, padded: bool) -> str:
    """What an image processor does to one picture, in words."""
    steps = ["padded to a square"] if padded else []
    if processor.do_resize:
        size = processor.size
        edge = size.get("shortest_edge")
        steps.append(f"shortest edge to {edge}" if edge else f"resize to {size['height']} x {size['width']}")
    if getattr(processor, "do_center_crop", False):
        crop = processor.crop_size
        steps.append(f"centre crop {crop['height']} x {crop['width']}")
    return ", ".join(steps)


def _to_square(image: Image.Image, colour: tuple[int, ...]) -> Image.Image:
    width, height = image.size
    edge = max(width, height)
    square = Image.new(image.mode, (edge, edge), colour)
    square.paste(image, ((edge - width) // 2, (edge - height) // 2))
    return square
