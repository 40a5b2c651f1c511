"""The content of an image file, decoded by Pillow: RGB pixels, or the reason why it cannot be used."""

import io
import struct
import warnings
from collections.abc import Callable
from typing import TypeVar

import numpy as np
from PIL import Image, UnidentifiedImageError

from schemas.text import one_line

PNG = b"\x89PNG\r\n\x1a\n"
_NOTES = (b"tEXt", b"zTXt", b"iTXt", b"iCCP")  # chunks of a PNG that decide no pixel
Read = TypeVar("Read")


class ImageError(Exception):
    """An image that cannot be used: a reason from `schemas.columns.REASONS`, and the detail."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def has_header(content: bytes) -> bool:
    """Whether a file begins as an image that can be read; its pixels, which are not decoded, may be damaged."""
    try:
        read_image(content, lambda _: None)
    except ImageError:
        return False
    return True


def read_image(content: bytes, read: Callable[[Image.Image], Read]) -> Read:
    """What `read` takes from an opened image.

    Raises:
        ImageError: `image_unreadable` or `image_too_large`.
    """
    if not content:
        raise ImageError("image_unreadable", "the file is empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a large image that Pillow still opens, odd metadata
            image = Image.open(io.BytesIO(_without_notes(content)))
            if image.format == "EPS":
                raise ImageError("image_unreadable", "PostScript is a program, and not run")
            return read(image)
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageError("image_too_large", one_line(error)) from None
    except UnidentifiedImageError:
        raise ImageError("image_unreadable", "not an image in a format that Pillow knows") from None
    except MemoryError:
        raise ImageError("image_too_large", "not enough memory to decode it") from None
    except Exception as error:  # Pillow's decoders raise anything
        raise ImageError("image_unreadable", one_line(error)[:300] or type(error).__name__) from None


def _without_notes(content: bytes) -> bytes:
    """The content, if it is a PNG without its texts and colour profile, which Pillow refuses if they are long."""
    if not content.startswith(PNG):
        return content
    kept, start = [PNG], len(PNG)
    while start + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, start)
        end = start + length + 12  # length, kind and checksum have 4 bytes each
        if kind not in _NOTES:
            kept.append(content[start:end])
        start = end
    return b"".join([*kept, content[start:]])


def to_rgb(image: Image.Image) -> Image.Image:
    """Any mode turned into RGB as Pillow does it, except 16-bit grey, which is scaled to 8 bits instead of clipped.

    Of an animation, the first frame is taken. EXIF orientation is not applied, as in LLaVA's own code.

    Raises:
        ImageError: the range of its pixels is not known.
    """
    if image.mode == "F" or (image.mode == "I" and image.format != "PNG"):  # older Pillow has PNGs of 16 bits as I
        raise ImageError(
            "image_unreadable", "its pixels are floating-point or 32-bit numbers, whose range is not known"
        )
    if image.mode.startswith("I"):  # 16-bit grey; Pillow's own conversion clips at 255
        grey = np.asarray(image).astype(np.int64).clip(0, 65535) // 257
        image = Image.fromarray(grey.astype(np.uint8))
    image.load()
    return image if image.mode == "RGB" else image.convert("RGB")  # which would copy it
