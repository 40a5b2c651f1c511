"""Image files -> pixels, decoded and preprocessed in worker processes, in the order asked for."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from extract.images import load_image
from extract.questions import Unusable


@dataclass(frozen=True)
class LoadedImage:
    """The pixels of an image file, float32 [3, height, width]; or none, and the reason.

    Goes from process to process through a pipe: shared memory, torch's way, is scarce in containers.
    """

    sha256: str | None
    pixels: Tensor | None
    reason: str | None = None
    detail: str | None = None

    def pin_memory(self) -> "LoadedImage":
        """The same in pinned memory; torch's loader calls this in a thread."""
        return self if self.pixels is None else replace(self, pixels=self.pixels.pin_memory())

    def __reduce__(self) -> tuple[Callable[..., "LoadedImage"], tuple[Any, ...]]:
        array = None if self.pixels is None else self.pixels.numpy()
        return _from_array, (self.sha256, array, self.reason, self.detail)


def _from_array(sha256: str | None, array: np.ndarray | None, *why: str | None) -> LoadedImage:
    return LoadedImage(sha256, None if array is None else torch.from_numpy(array), *why)


class ImageFiles(Dataset[LoadedImage]):
    """The images of a folder, by number."""

    def __init__(self, folder: Path, names: Sequence[str], preprocess: Callable[[Image.Image], Tensor]) -> None:
        self._folder = folder
        self._names = names
        self._preprocess = preprocess

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, number: int) -> LoadedImage:
        try:
            if not self._names[number]:
                raise Unusable("image_missing", "the question names no image file")
            image, digest = load_image(self._folder / self._names[number])
        except Unusable as error:
            return LoadedImage(error.image_sha256, None, error.reason, error.detail)
        return LoadedImage(digest, self._preprocess(image))


def load_images(files: ImageFiles, *, workers: int, ahead: int, pin: bool) -> Iterator[LoadedImage]:
    """All images in order.

    Args:
        workers: processes that decode and preprocess; 0: this one does, when an image is asked for.
        ahead: how many images the workers may have ready together.
        pin: put pixels into pinned memory, from where they can be copied to a GPU while it computes.
    """
    workers = min(workers, len(files))
    each = max(2, -(-ahead // workers)) if workers else None
    return iter(DataLoader(files, batch_size=None, num_workers=workers, prefetch_factor=each, pin_memory=pin))
