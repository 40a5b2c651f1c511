"""Image files -> pixels, decoded and preprocessed in worker processes, in the order asked for."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image
from torch.utils.data import DataLoader, Dataset

from extract.images import load_image
from extract.pixels import Pixels
from extract.questions import Unusable


@dataclass(frozen=True)
class LoadedImage:
    """What a model reads of an image file; or nothing, and the reason."""

    sha256: str | None
    pixels: Pixels | None
    reason: str | None = None
    detail: str | None = None

    def pin_memory(self) -> "LoadedImage":
        """The same in pinned memory; torch's loader calls this in a thread."""
        return self if self.pixels is None else replace(self, pixels=self.pixels.pin_memory())


class ImageFiles(Dataset[LoadedImage]):
    """The images of a folder, by number."""

    def __init__(self, folder: Path, names: Sequence[str], preprocess: Callable[[Image.Image], Pixels]) -> None:
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
        try:
            return LoadedImage(digest, self._preprocess(image))
        except Unusable as error:
            return LoadedImage(digest, None, error.reason, error.detail)


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
