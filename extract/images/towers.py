"""What a vision tower of one size reads of an image, as in released LLaVA: one square picture, or tiles (LLaVA-1.6)."""

from ast import literal_eval
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image
from transformers import CLIPImageProcessorPil, LlavaNextImageProcessorPil

from extract.images.patch_positions import Places
from extract.images.preprocessing import Pixels, Preprocessor, describe_processor
from extract.images.tiling import check_pixels, resized_size, square, tiled, tiles_of
from schemas.manifest import CROP, PAD


@dataclass(frozen=True)
class SquarePreprocessor(Preprocessor):
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

    def _preprocess(self, images: Sequence[Image.Image]) -> Pixels:
        (image,) = images
        size = image.size
        check_pixels(self.processor, size, padded=self.padded)
        if self.padded:
            image = _to_square(image, tuple(int(255 * mean) for mean in self.processor.image_mean))
        options: dict[str, Any] = {}
        if resized := resized_size(self.processor, image.size):
            # What the processor does first, without its copies of the whole image, which take 1.6 GB at 13,000 x 13,000
            image, options = image.resize(resized, self.processor.resample), {"do_resize": False}
        read = self.processor(images=[image], return_tensors="pt", **options)
        return Pixels({"pixel_values": read["pixel_values"]}, [self.image_ids], [size])

    def _places(self, pixels: Pixels, number: int) -> Places:
        return square(self.processor, pixels.sizes[number], len(self.image_ids), padded=self.padded)

    def describe(self) -> dict[str, Any]:
        """What decides the pixels, as plain values for the manifest."""
        return describe_processor(self.processor, PAD if self.padded else CROP)


@dataclass(frozen=True)
class TilesPreprocessor(Preprocessor):
    """The whole picture and its tiles, for a `LlavaNextForConditionalGeneration`.

    Attributes:
        image_token_id: stands for each patch that is no padding, and for the end of each row of patches.
        edge: of a tile, in pixels; `side`: in patches.
        features: tokens of one tile, as the vision tower gives them.
    """

    processor: LlavaNextImageProcessorPil
    image_token_id: int
    edge: int
    side: int
    features: int

    def _preprocess(self, images: Sequence[Image.Image]) -> Pixels:
        (image,) = images
        read = self.processor(images=[image], return_tensors="pt")
        inputs = {name: read[name] for name in ("pixel_values", "image_sizes")}
        return Pixels(inputs, [[self.image_token_id] * self._count(image.height, image.width)], [image.size])

    def _places(self, pixels: Pixels, number: int) -> Places:
        size = pixels.sizes[number]
        found = tiles_of(self.processor.image_grid_pinpoints, self.edge, self.side, size)
        return tiled(*found, self.edge, self.side, size, len(pixels.image_ids[number]))

    def _count(self, height: int, width: int) -> int:
        """Tokens of an image, by the model's own arithmetic."""
        _, (high, wide) = tiles_of(self.processor.image_grid_pinpoints, self.edge, self.side, (width, height))
        return self.features + high * (wide + 1)

    def describe(self) -> dict[str, Any]:
        """What decides the pixels, as plain values for the manifest."""
        grid = [[int(height), int(width)] for height, width in self.processor.image_grid_pinpoints]
        return describe_processor(self.processor) | {"image_grid_pinpoints": grid}


def grid_of(config: dict[str, Any]) -> list[list[int]]:
    """The sizes in pixels that tiles may make up, [height, width]; a released config.json has [width, height]."""
    grid = config["image_grid_pinpoints"]
    return [[height, width] for width, height in (literal_eval(grid) if isinstance(grid, str) else grid)]


def tiling_processor(tower: CLIPImageProcessorPil, grid: list[list[int]]) -> LlavaNextImageProcessorPil:
    """What cuts images into tiles and prepares these as the vision tower's own processor would."""
    names = ("size", "crop_size", "image_mean", "image_std", "resample", "rescale_factor")
    return LlavaNextImageProcessorPil(image_grid_pinpoints=grid, **{name: getattr(tower, name) for name in names})


def _to_square(image: Image.Image, colour: tuple[int, ...]) -> Image.Image:
    width, height = image.size
    if width == height:
        return image
    edge = max(width, height)
    square = Image.new(image.mode, (edge, edge), colour)
    square.paste(image, ((edge - width) // 2, (edge - height) // 2))
    return square
