"""The images of a run, for pictures of maps: from the image folder, or the run's thumbnails.

They are grey, and as the model had them: `extract` does not apply an EXIF orientation.
"""

import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image, ImageOps

from analyze.tables.frames import Heads
from schemas.errors import HeadflowError
from schemas.files.images import ImageError, read_image, to_rgb
from schemas.files.locations import Location, check_no_device, location
from schemas.files.pictures import pictures_of
from schemas.manifest import ORIGINAL
from schemas.store.thumbnails import read_thumbnail
from schemas.text import listed, one_line

_LONGEST = 1024  # pixels that are kept along an edge
Grey = npt.NDArray[np.uint8]


class PictureImages:
    """Images by sample.

    Attributes:
        folder: the image folder; None if there is none.
        missing: why an image could not be read, by sample.
    """

    def __init__(self, heads: Heads, folder: Location | None) -> None:
        """Look for images.

        Args:
            folder: None: that of the run's last session that names one, if it is there.

        Raises:
            HeadflowError: the folder that was asked for is none.
        """
        if folder is not None and not folder.is_dir():
            raise HeadflowError(f"{folder} is not a directory", setting="image_folder")
        self._run, self._given, self._picture = heads.run.path, heads.run.manifest.images, heads.picture
        self.folder = folder or _folder_of(heads)
        self.missing: dict[str, str] = {}

    def read(self, sample: pd.Series) -> Grey | None:
        """The image of a row of `samples`, uint8 [height, width]; None if it is not there, and `missing` says why."""
        if self._given != ORIGINAL:
            self.missing[str(sample["sample_id"])] = f"the model was given other images than these: {self._given}"
            return None
        why = []
        picture = pictures_of(sample.to_dict())[self._picture]
        for find in (self._from_folder, self._thumbnail):
            try:
                return _decode(find(picture), (picture["image_width"], picture["image_height"]))
            except _Unusable as error:
                why += [str(error)] if str(error) else []
        self.missing[str(sample["sample_id"])] = "; ".join(why) or "there is neither an image folder nor a thumbnail"
        return None

    def warnings(self, drawn: str) -> list[str]:
        """How many images could not be read, of what is drawn, and why; empty if all were."""
        if not self.missing:
            return []
        reasons = listed(list(dict.fromkeys(self.missing.values())), 2)
        return [f"{len(self.missing)} of {drawn} that are drawn have no image, and grey in its place: {reasons}"]

    def _from_folder(self, picture: Mapping[str, Any]) -> bytes:
        name = picture["image"]
        if self.folder is None or not isinstance(name, str) or not name:
            raise _Unusable
        inside = PurePosixPath(os.path.normpath(name).replace(os.sep, "/"))
        if inside.is_absolute() or ".." in inside.parts:
            raise _Unusable(f"{name} leads out of {self.folder}")
        path = self.folder / str(inside)  # links may lead elsewhere: they belong to whoever named the folder
        try:
            check_no_device(path)
            content = path.read_bytes()
        except FileNotFoundError:
            raise _Unusable(f"{path} does not exist") from None
        except (OSError, ValueError) as error:
            raise _Unusable(f"{path}: {one_line(error)}") from None
        digest = picture["image_sha256"]
        if isinstance(digest, str) and hashlib.sha256(content).hexdigest() != digest:
            raise _Unusable(f"{path} is not the image that the run has seen")
        return content

    def _thumbnail(self, picture: Mapping[str, Any]) -> bytes:
        digest = picture["image_sha256"]
        try:
            content = read_thumbnail(self._run, digest if isinstance(digest, str) else None)
        except OSError as error:
            raise _Unusable(f"its thumbnail: {one_line(error)}") from None
        if content is None:
            raise _Unusable
        return content


class _Unusable(Exception):
    """Why there is no image; empty where nothing is to be said."""


def _folder_of(heads: Heads) -> Location | None:
    """The image folder that a session of the run names, if it is there."""
    sessions = [session for ledger in heads.run.ledgers.values() for session in ledger.sessions]
    names = [session.arguments.get("image_folder") for session in reversed(sessions)]
    for name in names:
        if isinstance(name, str) and name:
            with suppress(OSError, HeadflowError):  # a store that this machine does not reach
                if (folder := location(name)).is_dir():
                    return folder
    return None


def _decode(content: bytes, size: tuple[float, float]) -> Grey:
    """The pixels of an image; an EXIF orientation is applied where the size in `samples` says that it was."""

    def grey(image: Image.Image) -> Grey:
        turned = _is_wide(image.size) != _is_wide(size)
        found = to_rgb(image)
        if turned:
            found.getexif().update(image.getexif())
            found = ImageOps.exif_transpose(found)
        found = found.convert("L")
        found.thumbnail((_LONGEST, _LONGEST))
        return np.asarray(found)

    try:
        return read_image(content, grey)
    except ImageError as error:
        raise _Unusable(f"the image cannot be decoded: {error.detail}") from None


def _is_wide(size: tuple[float, float]) -> bool:
    """Whether an image is wider than it is high."""
    return size[0] > size[1]
