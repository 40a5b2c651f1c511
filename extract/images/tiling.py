"""Which pictures models read of an image, by the processor that cuts it, and where they lie in the original image.

Resizing, cropping and padding are undone by the arithmetic of the image processors of transformers.
"""

import re
from collections.abc import Callable, Sequence
from fractions import Fraction
from math import ceil, isqrt
from sys import maxsize
from typing import Any

import torch
from PIL import Image

from extract.images.patch_positions import Box, PlacedPicture, Places, lay_patches
from extract.images.preprocessing import Pixels, Size
from extract.questions.samples import Unusable
from schemas.text import counted

# Of a processor, what it made of a question's images, the number of one among these, and how many tokens that has
PicturesOf = Callable[[Any, Pixels, int, int], Places]
TILE = re.compile(r"<row_(\d+)_col_(\d+)>")  # of Idefics 3 and SmolVLM, before each tile

# Of LFM2-VL, before each tile and before the whole picture
LFM_TILE, LFM_WHOLE = re.compile(r"<\|img_row_(\d+)_col_(\d+)\|>"), "<|img_thumbnail|>"


def whole(first: int, rows: int, columns: int, size: Size) -> PlacedPicture:
    """A picture of the whole image, whatever its shape became."""
    return PlacedPicture(first, rows, columns, (0, 0, *size), columns)


def square(processor: Any, size: Size, tokens: int, *, padded: bool) -> Places:
    """One square picture, cropped, padded or pressed into shape; its last tokens are its patches.

    Args:
        processor: the image processor of a vision tower.
        padded: whether the image was padded to a square first.

    Raises:
        ValueError: the tokens are no square.
    """
    width, height = size
    edge = max(size)
    left, top = ((edge - width) // 2, (edge - height) // 2) if padded else (0, 0)
    x0, y0, x1, y1 = _seen(processor, (edge, edge) if padded else size)
    side = _side(tokens, with_class=True)
    grid = PlacedPicture(tokens - side**2, side, side, (x0 - left, y0 - top, x1 - left, y1 - top), side)
    return lay_patches(grid, [grid], tokens)


def check_pixels(processor: Any, size: Size, *, padded: bool) -> None:
    """Check that an image exceeds Pillow's limit of pixels neither when it is padded nor when it is resized.

    Processors that resize the short edge of an image make many pixels of one that is long and thin.

    Args:
        processor, padded: as in `square`.

    Raises:
        Unusable: `image_too_large`.
    """
    limit = 2 * (Image.MAX_IMAGE_PIXELS or maxsize)  # of more, Pillow opens no file
    width, height = (max(size), max(size)) if padded else resized_size(processor, size) or size
    if width * height > limit:
        how = "padded to a square" if padded else "resized by its short edge"
        raise Unusable("image_too_large", f"{size[0]} x {size[1]}, {how}, is {width} x {height}: over {limit} pixels")


def resized_size(processor: Any, size: Size) -> Size | None:
    """The width and height to which an image processor resizes an image; None if it does not, or that is not known."""
    edges = getattr(processor, "size", None)
    if edges is None or not getattr(processor, "do_resize", True):
        return None
    if (shortest := edges.get("shortest_edge")) and not edges.get("longest_edge"):
        short, long = sorted(size)
        width, height = (shortest if edge == short else int(shortest * long / short) for edge in size)
        return width, height
    if edges.get("width") and edges.get("height"):
        return edges["width"], edges["height"]
    return None


def _seen(processor: Any, size: Size) -> Box:
    """What an image processor leaves of an image, in pixels of it."""
    width, height = size
    wide, high = resized_size(processor, size) or size
    if not getattr(processor, "do_center_crop", False):
        return 0, 0, width, height
    crop = processor.crop_size
    left, top = (wide - crop["width"]) // 2, (high - crop["height"]) // 2
    across, down = width / wide, height / high
    return left * across, top * down, (left + crop["width"]) * across, (top + crop["height"]) * down


def tiled(
    tiles: tuple[int, int], patches: tuple[int, int], edge: int, side: int, size: Size, tokens: int, most: int = 0
) -> Places:
    """The whole picture, then tiles of it without their padding, each row of patches ended by one more token.

    As in LLaVA-NeXT and LLaVA-OneVision. The grid is that of the tiles; that of the whole picture where they are all
    padding.

    Args:
        tiles: rows and columns of them; `patches`: of patches that are left without padding.
        edge: of a tile, in pixels; `side`: in patches.
        most: patches of more tiles than this are interpolated to fewer; 0: they are not.

    Raises:
        ValueError: there are other tokens than these.
    """
    (width, height), (down, across), (rows, columns) = size, tiles, patches
    canvas = across * edge, down * edge
    scale = min(canvas[0] / width, canvas[1] / height)
    wide, high = (min(ceil(length * scale), limit) for length, limit in zip(size, canvas, strict=True))
    if canvas[0] / width < canvas[1] / height:
        wide = canvas[0]
    else:
        high = canvas[1]
    patch = edge / side
    cut = (across * side - columns) / 2 * patch, (down * side - rows) / 2 * patch  # padding without these patches
    x0, y0 = cut[0] - (canvas[0] - wide) // 2, cut[1] - (canvas[1] - high) // 2
    box = x0, y0, x0 + columns * patch, y0 + rows * patch
    box = box[0] * width / wide, box[1] * height / high, box[2] * width / wide, box[3] * height / high
    ratio = (rows * columns / (most * side**2)) ** 0.5 if most else 0
    if ratio > 1.1:  # as in LlavaOnevisionModel.pack_image_features
        rows, columns = int(rows // ratio), int(columns // ratio)
    first = tokens - rows * (columns + 1)
    base = _side(first, with_class=True)
    coarse = whole(first - base**2, base, base, size)
    if not rows * columns:  # of a long and thin image, no patch of the tiles is left
        return lay_patches(coarse, [coarse], tokens)
    grid = PlacedPicture(first, rows, columns, box, columns + 1)
    return lay_patches(grid, [grid, coarse], tokens)


def tiles_of(
    pinpoints: Sequence[Sequence[int]], edge: int, side: int, size: Size
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Rows and columns of tiles, and of patches without padding, by the arithmetic of transformers' models.

    Args:
        pinpoints: the sizes in pixels that tiles may make up, [height, width]; `edge` and `side` as in `tiled`.
    """
    from transformers.models.llava_next.modeling_llava_next import get_anyres_image_grid_shape, unpad_image

    down, across = get_anyres_image_grid_shape(size[::-1], pinpoints, edge)
    _, rows, columns = unpad_image(torch.empty(1, down * side, across * side), size[::-1]).shape
    return (down, across), (rows, columns)


def llava_next(processor: Any, pixels: Pixels, number: int, tokens: int) -> Places:
    """Tiles of LLaVA-NeXT and Granite 4 Vision, see `tiled`."""
    images, size = processor.image_processor, pixels.sizes[number]
    edge = images.crop_size["height"]
    side = int(edge // processor.patch_size * Fraction(getattr(processor, "downsample_rate", None) or 1))
    return tiled(*tiles_of(images.image_grid_pinpoints, edge, side, size), edge, side, size, tokens)


def llava_onevision(processor: Any, pixels: Pixels, number: int, tokens: int) -> Places:
    """Tiles of LLaVA-OneVision, see `tiled`; each of several images is one padded picture, and a token after it."""
    images, size = processor.image_processor, pixels.sizes[number]
    if len(pixels.sizes) > 1:
        side, edge = _side(tokens - 1), max(size)
        left, top = ((edge - each) // 2 for each in size)
        grid = PlacedPicture(0, side, side, (-left, -top, edge - left, edge - top), side)
        return lay_patches(grid, [grid], tokens)
    most = int(processor.vision_aspect_ratio.removeprefix("anyres_max_"))
    side, edge = _side(processor.num_image_tokens), images.size["height"]
    found = tiles_of(images.image_grid_pinpoints, edge, side, size)
    return tiled(*found, edge, side, size, tokens, most)


def qwen(processor: Any, pixels: Pixels, number: int, tokens: int) -> Places:
    """One picture of any shape, a token for some patches by as many."""
    _, rows, columns = pixels.inputs["image_grid_thw"][number].tolist()
    merge = processor.image_processor.merge_size
    grid = whole(0, rows // merge, columns // merge, pixels.sizes[number])
    return lay_patches(grid, [grid], tokens)


def pixtral(processor: Any, pixels: Pixels, number: int, tokens: int) -> Places:
    """One picture of any shape, row by row; the marks that end its rows are text."""
    edge = processor.patch_size * processor.spatial_merge_size
    height, width = pixels.inputs["image_sizes"][number].tolist()
    grid = whole(0, height // edge, width // edge, pixels.sizes[number])
    return lay_patches(grid, [grid], tokens)


def idefics(processor: Any, pixels: Pixels, number: int, tokens: int) -> Places:
    """Tiles row by row, each after a mark that says which it is, then the whole picture."""
    text = processor.tokenizer.decode(pixels.image_ids[number])
    marks = [(int(row), int(column)) for row, column in TILE.findall(text)]
    down, across = (max(each) for each in zip(*marks, strict=True)) if marks else (0, 0)
    return _tiles_and_whole(down, across, pixels.sizes[number], tokens)


def internvl(processor: Any, pixels: Pixels, number: int, tokens: int) -> Places:
    """Tiles row by row, then the whole picture."""
    return _shaped(processor, pixels.sizes[number], tokens, processor.image_seq_length)


def aya(processor: Any, pixels: Pixels, number: int, tokens: int) -> Places:
    """Tiles row by row, then the whole picture, as in Aya Vision."""
    return _shaped(processor, pixels.sizes[number], tokens, (processor.img_size // processor.patch_size) ** 2)


def ovis(processor: Any, pixels: Pixels, number: int, tokens: int) -> Places:
    """The whole picture, then tiles row by row; a token of its own ends each row but the last."""
    tiles = tokens // processor.image_seq_length - 1
    row = processor.tokenizer.convert_tokens_to_ids("<IMG_ROW>")
    down = pixels.image_ids[number].count(row) + 1 if tiles else 0
    return _tiles_and_whole(down, tiles // max(1, down), pixels.sizes[number], tokens, whole_first=True)


def cohere2(processor: Any, pixels: Pixels, number: int, tokens: int) -> Places:
    """Tiles row by row, then the whole picture, as in Command A Vision."""
    return _shaped(processor, pixels.sizes[number], tokens, processor.patch_size**2)


def llama4(processor: Any, pixels: Pixels, number: int, tokens: int) -> Places:
    """Tiles of a canvas with the image in its upper left corner, row by row, then the whole picture, if there are some.

    Marks in the text end each row of tiles, and stand between the tiles of a row.
    """
    from transformers.models.llama4.image_processing_llama4 import get_max_res_without_distortion  # needs torchvision

    images, ids, size = processor.image_processor, pixels.image_ids[number], pixels.sizes[number]
    row_end, between = (
        ids.count(processor.tokenizer.convert_tokens_to_ids(each))
        for each in (processor.tile_global_token, processor.tile_token)
    )
    down, across = max(1, row_end), between // max(1, row_end) + 1
    edge = images.size["height"]
    most = down * edge, across * edge
    limit = most if images.resize_to_max_canvas else [
        min(max(length, edge), end) for length, end in zip(size[::-1], most, strict=True)
    ]  # fmt: skip
    high, wide = (max(1, each) for each in get_max_res_without_distortion(size[::-1], limit))
    canvas = most[1] * size[0] / wide, most[0] * size[1] / high
    if row_end:
        return _tiles_and_whole(down, across, size, tokens, canvas=canvas)
    side = _side(tokens)
    grid = PlacedPicture(0, side, side, (0, 0, *canvas), side)
    return lay_patches(grid, [grid], tokens)


def mllama(processor: Any, pixels: Pixels, number: int, tokens: int) -> Places:
    """Tiles of a canvas with the image in its upper left corner, row by row, a class token before each of them."""
    from transformers.models.mllama.image_processing_pil_mllama import (
        get_all_supported_aspect_ratios,
        get_image_size_fit_to_canvas,
    )

    images, (width, height) = processor.image_processor, pixels.sizes[number]
    edge, ratio = images.size["height"], int(pixels.inputs["aspect_ratio_ids"][0, number])
    down, across = get_all_supported_aspect_ratios(images.max_image_tiles)[ratio - 1]
    each = tokens // (down * across)
    side = _side(each, with_class=True)
    high, wide = get_image_size_fit_to_canvas(height, width, down * edge, across * edge, edge)
    tile = edge * width / wide, edge * height / high  # in pixels of the image
    tiles = [
        PlacedPicture(
            (row * across + column) * each + each - side**2,
            side,
            side,
            (column * tile[0], row * tile[1], (column + 1) * tile[0], (row + 1) * tile[1]),
            side,
        )
        for row in range(down)
        for column in range(across)
    ]
    grid = PlacedPicture(0, down * side, across * side, (0, 0, across * tile[0], down * tile[1]), across * side)
    return lay_patches(grid, tiles, tokens)


def lfm2(processor: Any, pixels: Pixels, number: int, tokens: int) -> Places:
    """Tiles row by row, each after a mark that says which it is, then the whole picture in a shape of its own.

    Raises:
        ValueError: there are other tokens than these.
    """
    texts = [processor.tokenizer.decode(ids) for ids in pixels.image_ids[: number + 1]]
    *before, made = (max(1, len(LFM_TILE.findall(text)) + text.count(LFM_WHOLE)) for text in texts)
    shapes = pixels.inputs["spatial_shapes"][sum(before) :][:made] // processor.image_processor.downsample_factor
    marks = [(int(row), int(column)) for row, column in LFM_TILE.findall(texts[-1])]
    down, across = (max(each) for each in zip(*marks, strict=True)) if marks else (0, 0)
    width, height = pixels.sizes[number]
    pictures, first = list[PlacedPicture](), 0
    for place, (rows, columns) in enumerate(shapes.tolist()):
        x0, y0, x1, y1 = 0.0, 0.0, 1.0, 1.0
        if place < len(marks):
            row, column = marks[place]
            x0, y0, x1, y1 = (column - 1) / across, (row - 1) / down, column / across, row / down
        pictures.append(
            PlacedPicture(first, rows, columns, (x0 * width, y0 * height, x1 * width, y1 * height), columns)
        )
        first += rows * columns
    if first != tokens:
        raise ValueError(f"{tokens} tokens are not the {first} of {counted(made, 'picture')}")
    grid = pictures[0]
    if marks:
        grid = PlacedPicture(0, down * grid.rows, across * grid.columns, (0, 0, width, height), across * grid.columns)
    return lay_patches(grid, pictures, tokens)


def gemma4(processor: Any, pixels: Pixels, number: int, tokens: int) -> Places:
    """One picture of any shape, a token for some patches by as many."""
    columns, rows = (pixels.inputs["image_position_ids"][number].amax(dim=0) + 1).tolist()
    edge = processor.image_processor.pooling_kernel_size
    grid = whole(0, rows // edge, columns // edge, pixels.sizes[number])
    return lay_patches(grid, [grid], tokens)


def _shaped(processor: Any, size: Size, tokens: int, each: int) -> Places:
    """Tiles of a canvas of about the image's shape, row by row, then the whole picture, which stands alone if it does.

    Args:
        each: tokens of a tile.
    """
    from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import get_optimal_tiled_canvas  # of later versions

    images, (width, height) = processor.image_processor, size
    down = across = 0
    if tokens > each:
        tile = images.size["height"], images.size["width"]
        across, down = get_optimal_tiled_canvas((height, width), tile, images.min_patches, images.max_patches)
    return _tiles_and_whole(down, across, size, tokens)


def fitted(processor: Any, pixels: Pixels, number: int, tokens: int) -> Places:
    """One square picture: the image resized by its long edge, and padded, as in DeepSeek-VL and Janus."""
    images, size = processor.image_processor, pixels.sizes[number]
    edge = (getattr(images, "high_res_size", None) or images.size)["height"]  # the larger of two, if there are two
    wide, high = (max(round(length * (edge / max(size))), images.min_size) for length in size)
    (left, top), (width, height) = ((edge - wide) // 2, (edge - high) // 2), size
    box = -left * width / wide, -top * height / high, (edge - left) * width / wide, (edge - top) * height / high
    side = _side(tokens)
    grid = PlacedPicture(0, side, side, box, side)
    return lay_patches(grid, [grid], tokens)


def resampled(processor: Any, pixels: Pixels, number: int, tokens: int) -> Places:
    """Tokens that a resampler makes, each of all patches, as in Aria and Idefics2.

    Raises:
        ValueError: always.
    """
    raise ValueError("a resampler makes each of its tokens of all patches, so that none has a place")


def pressed(processor: Any, pixels: Pixels, number: int, tokens: int) -> Places:
    """One square picture of the whole image, pressed into shape, as in Gemma 3 and PaliGemma.

    Raises:
        ValueError: there are other pictures beside it.
    """
    made, images = len(pixels.inputs["pixel_values"]), len(pixels.sizes)
    if made > images:
        raise ValueError(f"{type(processor).__name__} made {made} pictures of {counted(images, 'image')}")
    return _tiles_and_whole(0, 0, pixels.sizes[number], tokens)


def _tiles_and_whole(
    down: int,
    across: int,
    size: Size,
    tokens: int,
    *,
    whole_first: bool = False,
    canvas: tuple[float, float] | None = None,
) -> Places:
    """Tiles of equal size, `down` x `across` of them, row by row, and the whole picture, each as many tokens.

    Args:
        whole_first: whether the whole picture stands before the tiles; else after them.
        canvas: the width and height that all tiles cover, in pixels of the image; None: the image's.

    Raises:
        ValueError: the tokens are not those of so many squares.
    """
    each, odd = divmod(tokens, down * across + 1)
    if odd:
        raise ValueError(f"{tokens} tokens are not {down} x {across} tiles and the whole picture")
    side, (width, height) = _side(each), canvas or size
    coarse = whole(0 if whole_first else tokens - each, side, side, size)
    first = each if whole_first else 0
    tiles = [
        PlacedPicture(
            first + (row * across + column) * each,
            side,
            side,
            (
                column * width / across,
                row * height / down,
                (column + 1) * width / across,
                (row + 1) * height / down,
            ),
            side,
        )
        for row in range(down)
        for column in range(across)
    ]
    grid = PlacedPicture(0, down * side, across * side, (0, 0, width, height), across * side) if tiles else coarse
    return lay_patches(grid, [*tiles, coarse], tokens)


def _side(tokens: int, *, with_class: bool = False) -> int:
    """The side of a square of so many patches; with a class token before them, if there is one more.

    Raises:
        ValueError: they are no square.
    """
    side = isqrt(tokens)
    if side**2 not in (tokens, tokens - 1 if with_class else tokens) or not side:
        raise ValueError(f"{tokens} tokens are no square of patches")
    return side


RESAMPLED, CROSSED = "tokens of a resampler", "tiles, by cross-attention"
# In which form a model reads an image, in words
FORMS: dict[PicturesOf, str] = {
    llava_next: "tiles",
    llava_onevision: "tiles",
    qwen: "patches",
    pixtral: "patches, text after each row",
    idefics: "tiles, text between them",
    internvl: "tiles",
    aya: "tiles, text between them",
    cohere2: "tiles, text between them",
    llama4: "tiles, text between them",
    lfm2: "tiles, text between them",
    gemma4: "patches",
    mllama: CROSSED,
    ovis: "tiles",
    fitted: "one padded picture",
    resampled: RESAMPLED,
    pressed: "one picture",
}
