"""Images of any resolution, as LLaVA-1.6 was released with them: the whole picture, and tiles of it."""

from ast import literal_eval
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from transformers import CLIPImageProcessorPil, LlavaNextImageProcessorPil
from transformers.models.llava_next.modeling_llava_next import get_anyres_image_grid_shape, unpad_image

from extract.images.preprocessing import Pixels, Preprocessor, describe_processor


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

    def _preprocess(self, image: Image.Image) -> Pixels:
        read = self.processor(images=[image], return_tensors="pt")
        inputs = {name: read[name] for name in ("pixel_values", "image_sizes")}
        return Pixels(inputs, [self.image_token_id] * self._count(image.height, image.width))

    def _count(self, height: int, width: int) -> int:
        """Tokens of an image, by the model's own arithmetic."""
        rows, columns = get_anyres_image_grid_shape((height, width), self.processor.image_grid_pinpoints, self.edge)
        patches = torch.empty(1, rows * self.side, columns * self.side)
        _, high, wide = unpad_image(patches, (height, width)).shape
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
