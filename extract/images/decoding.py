"""An image file or its bytes -> RGB pixels and a hash, or the reason why it cannot be used."""

import hashlib
import io
import os
import posixpath
import struct
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image, UnidentifiedImageError

from extract.questions.samples import Unusable
from schemas.files.locations import Location, ObjectPath, check_no_device
from schemas.text import one_line

PNG = b"\x89PNG\r\n\x1a\n"
NOTES = (b"tEXt", b"zTXt", b"iTXt", b"iCCP")  # chunks of a PNG that decide no pixel
Read = TypeVar("Read")


def find_image(folder: Location, name: str) -> Location:
    """The path of an image in a folder.

    The name must not leave the folder. Links in the folder may, as in the hub's cache, where each file is a link: they
    belong to the user who named the folder, and the name comes with the questions.

    Raises:
        Unusable: `image_missing` if the name is empty, or `image_outside`.
    """
    if not name:
        raise Unusable("image_missing", "the question names no image file")
    if isinstance(folder, ObjectPath):
        inside = posixpath.normpath(name)
        if inside.startswith(("/", "../")) or inside == "..":
            raise Unusable("image_outside", f"{name} leads out of the image folder {folder}")
        return folder / inside
    for resolve in (os.path.abspath, os.path.realpath):
        own = Path(resolve(folder))
        path = Path(os.path.normpath(own / name))
        if path.is_relative_to(own):
            return path
    raise Unusable("image_outside", f"{name} leads out of the image folder {folder}")


def load_image(path: Location) -> tuple[Image.Image, str]:
    """Read an image file, as `decode_image` does its bytes.

    Raises:
        Unusable: `image_missing`, `image_unreadable` or `image_too_large`.
    """
    try:
        check_no_device(path)
        content = path.read_bytes()
    except FileNotFoundError:
        raise Unusable("image_missing", f"{path} does not exist") from None
    except (OSError, ValueError) as error:
        raise Unusable("image_unreadable", f"{path}: {one_line(error)}") from None
    except MemoryError:
        raise Unusable("image_too_large", f"{path}: not enough memory to read it") from None
    return decode_image(content, str(path))


def decode_image(content: bytes, name: str) -> tuple[Image.Image, str]:
    """Decode the content of an image file.

    Any mode is turned into RGB as Pillow does it, except 16-bit grey, which is scaled to 8 bits instead of clipped.
    Of an animation, the first frame is taken. EXIF orientation is not applied, as in LLaVA's own code.

    Returns:
        The RGB image, and the SHA-256 of the bytes.

    Raises:
        Unusable: `image_unreadable` or `image_too_large`; the detail begins with `name`.
    """
    digest = hashlib.sha256(content).hexdigest()
    try:
        return _opened(content, _to_rgb), digest
    except Unusable as error:
        raise Unusable(error.reason, f"{name}: {error.detail}", image_sha256=digest) from None


def has_header(content: bytes) -> bool:
    """Whether a file begins as an image that can be read; its pixels, which are not decoded, may be damaged."""
    try:
        _opened(content, lambda _: None)
    except Unusable:
        return False
    return True


def _opened(content: bytes, read: Callable[[Image.Image], Read]) -> Read:
    """What is read of an image."""
    if not content:
        raise Unusable("image_unreadable", "the file is empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a large image that Pillow still opens, odd metadata
            image = Image.open(io.BytesIO(_without_notes(content)))
            if image.format == "EPS":
                raise Unusable("image_unreadable", "PostScript is a program, and not run")
            return read(image)
    except Unusable:
        raise
    except Image.DecompressionBombError as error:
        raise Unusable("image_too_large", one_line(error)) from None
    except UnidentifiedImageError:
        raise Unusable("image_unreadable", "not an image in a format that Pillow knows") from None
    except MemoryError:
        raise Unusable("image_too_large", "not enough memory to decode it") from None
    except Exception as error:  # Pillow's decoders raise anything
        raise Unusable("image_unreadable", one_line(error)[:300] or type(error).__name__) from None


def _without_notes(content: bytes) -> bytes:
    """The content, if it is a PNG without its texts and colour profile, which Pillow refuses if they are long."""
    if not content.startswith(PNG):
        return content
    kept, start = [PNG], len(PNG)
    while start + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, start)
        end = start + length + 12  # length, kind and checksum have 4 bytes each
        if kind not in NOTES:
            kept.append(content[start:end])
        start = end
    return b"".join([*kept, content[start:]])


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F" or (image.mode == "I" and image.format != "PNG"):  # older Pillow has PNGs of 16 bits as I
        raise Unusable("image_unreadable", "its pixels are floating-point or 32-bit numbers, whose range is not known")
    if image.mode.startswith("I"):  # 16-bit grey; Pillow's own conversion clips at 255
        grey = np.asarray(image).astype(np.int64).clip(0, 65535) // 257
        image = Image.fromarray(grey.astype(np.uint8))
    image.load()
    return image if image.mode == "RGB" else image.convert("RGB")  # which would copy it
