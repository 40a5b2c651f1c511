"""Counterfactual images: what a model reads in place of an image, to tell what its answers owe to the image.

blank     `pixel_values` are 0: the image processor's mean colour, in each pixel
noise     each value is drawn from a normal distribution: the processor's mean colour and standard deviation
shuffle   the patches of the vision tower's own grid in another order

What is drawn depends only on the content of the image, by its hash, so that it is the same in any process, chunk or
order. The tokens that stand for the image are those of the image itself. Another image in its place: see `swapping`.
"""

from dataclasses import dataclass, replace
from itertools import product
from typing import Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from extract.images.preprocessing import Pixels, Preprocessor
from schemas.errors import HeadflowError
from schemas.manifest import BLANK, NOISE

PIXELS = "pixel_values"
_GREY = (128, 128, 128)


class _Model(Protocol):
    """What is needed of a loaded checkpoint."""

    @property
    def preprocessor(self) -> Preprocessor:
        """What turns images into its inputs."""

    @property
    def patch_size(self) -> int:
        """The edge of a patch of the vision tower, in pixels."""


@dataclass(frozen=True)
class Counterfactual:
    """Turns an image into what the model reads of a counterfactual one.

    Attributes:
        kind: `blank`, `noise` or `shuffle`.
        patch: the edge of a patch, in pixels.
        middle: the value in `pixel_values` of the mean colour; of mid grey, where the processor has no mean.
        spread: the standard deviation of noise.
    """

    kind: str
    preprocess: Preprocessor
    patch: int
    middle: float
    spread: float

    @classmethod
    def of(cls, kind: str, model: _Model) -> "Counterfactual":
        """That of a kind for a model.

        Raises:
            HeadflowError: the model reads images in a form that is not known, or does not say how large patches are.
        """
        preprocess = model.preprocessor
        grey = preprocess(Image.new("RGB", (64, 64), _GREY)).inputs
        if PIXELS not in grey:
            raise HeadflowError(
                f"this model reads {', '.join(grey)} of an image, not {PIXELS}: its images cannot be changed",
                setting="images",
            )
        middle, spread = 0.0, 1.0
        if "image_mean" not in preprocess.describe():
            middle = float(grey[PIXELS].float().mean())
            spread = middle / 2
        return cls(kind, preprocess, model.patch_size, middle, spread)

    def __call__(self, image: Image.Image, sha256: str) -> Pixels:
        """What the model reads; raises `Unusable` where the preprocessor does."""
        pixels = self.preprocess(image)
        values = pixels.inputs[PIXELS]
        random = np.random.default_rng(int(sha256, 16))
        if self.kind == BLANK:
            return _with(pixels, torch.full_like(values, self.middle))
        if self.kind == NOISE:
            drawn = torch.from_numpy(random.standard_normal(tuple(values.shape), dtype=np.float32))
            return _with(pixels, (self.middle + self.spread * drawn).to(values.dtype))
        if values.ndim == 2:  # Qwen's: a row for each patch
            return _with(pixels, values[torch.from_numpy(random.permutation(len(values)))])
        if values.shape[:-3].numel() == 1:
            return _with(pixels, shuffle_squares(values, self.patch, random))
        rows, columns = (edge // self.patch for edge in values.shape[-2:])
        return self.preprocess(shuffle_blocks(image, rows, columns, random))


def _with(pixels: Pixels, values: Tensor) -> Pixels:
    return replace(pixels, inputs=pixels.inputs | {PIXELS: values})


def shuffle_squares(values: Tensor, patch: int, random: np.random.Generator) -> Tensor:
    """A picture [..., height, width] with its squares of `patch` pixels in another order.

    What is left over at the lower and right edges, which the vision tower does not read, stays where it is.
    """
    rows, columns = (edge // patch for edge in values.shape[-2:])
    inner = values[..., : rows * patch, : columns * patch]
    squares = inner.unflatten(-1, (columns, patch)).unflatten(-3, (rows, patch))
    squares = squares.movedim((-4, -2), (0, 1)).flatten(0, 1)
    squares = squares[torch.from_numpy(random.permutation(rows * columns))]
    made = values.clone()
    made[..., : rows * patch, : columns * patch] = (
        squares.unflatten(0, (rows, columns)).movedim((0, 1), (-4, -2)).flatten(-4, -3).flatten(-2, -1)
    )
    return made


def shuffle_blocks(image: Image.Image, rows: int, columns: int, random: np.random.Generator) -> Image.Image:
    """An image, cut into a grid of blocks, with the blocks in another order.

    For models that read an image as tiles and as a whole: the whole is resized to a square of `rows` by `columns`
    patches, so that each block becomes one of its patches, and the tiles have the same blocks, larger. Blocks differ by
    a pixel in size where the image is no multiple of the grid, and those of one size change places.
    """
    pixels = np.asarray(image)
    tops, lefts = (
        np.arange(number + 1) * size // number for number, size in zip((rows, columns), pixels.shape[:2], strict=True)
    )
    places: dict[tuple[int, int], list[tuple[slice, slice]]] = {}
    for row, column in product(range(rows), range(columns)):
        down, across = slice(tops[row], tops[row + 1]), slice(lefts[column], lefts[column + 1])
        places.setdefault((down.stop - down.start, across.stop - across.start), []).append((down, across))
    made = pixels.copy()
    for same in places.values():
        for place, other in zip(same, random.permutation(len(same)), strict=True):
            made[place] = pixels[same[other]]
    return Image.fromarray(made)
