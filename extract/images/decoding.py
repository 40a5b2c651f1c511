"""An image file or its bytes -> RGB pixels and a hash, or the reason why it cannot be used."""

import hashlib
import os
import posixpath
from pathlib import Path

from PIL import Image

from extract.questions.samples import Unusable
from schemas.files.images import ImageError, read_image, to_rgb
from schemas.files.locations import Location, ObjectPath, check_no_device
from schemas.text import one_line


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
    """Decode the content of an image file, see `to_rgb`.

    Returns:
        The RGB image, and the SHA-256 of the bytes.

    Raises:
        Unusable: `image_unreadable` or `image_too_large`; the detail begins with `name`.
    """
    digest = hashlib.sha256(content).hexdigest()
    try:
        return read_image(content, to_rgb), digest
    except ImageError as error:
        raise Unusable(error.reason, f"{name}: {error.detail}", image_sha256=digest) from None
