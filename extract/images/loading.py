"""Images -> pixels, read, decoded and preprocessed in worker processes, in the order asked for."""

import ctypes
import os
import signal
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image
from torch.utils.data import DataLoader, Dataset

from extract.images.decoding import decode_image, load_image
from extract.images.preprocessing import Pixels
from extract.questions.parquet import ImageBytes
from extract.questions.question_set import QuestionSet
from extract.questions.samples import Sample, Unusable
from schemas.errors import HeadflowError
from schemas.text import one_line


@dataclass(frozen=True)
class LoadedImage:
    """What a model reads of an image; or nothing, and the reason."""

    sha256: str | None
    pixels: Pixels | None
    reason: str | None = None
    detail: str | None = None

    def usable(self) -> Pixels:
        """What a model reads of it; raises `Unusable` where there is nothing."""
        if self.pixels is None:
            raise Unusable(self.reason or "", self.detail or "", image_sha256=self.sha256)
        return self.pixels

    def pin_memory(self) -> "LoadedImage":
        """The same in pinned memory; torch's loader calls this in a thread."""
        return self if self.pixels is None else replace(self, pixels=self.pixels.pin_memory())


PR_SET_PDEATHSIG = 1  # of Linux
Preprocess = Callable[[Image.Image], Pixels]


class Images(ABC, Dataset[LoadedImage]):
    """Images by number; each knows where it lies, and is read when it is asked for."""

    def __init__(self, places: Sequence[Any], preprocess: Preprocess) -> None:
        self._places = places
        self._preprocess = preprocess

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, number: int) -> LoadedImage:
        try:
            image, digest = self._load(self._places[number])
        except Unusable as error:
            return LoadedImage(error.image_sha256, None, error.reason, error.detail)
        try:
            return LoadedImage(digest, self._preprocess(image))
        except Unusable as error:
            return LoadedImage(digest, None, error.reason, error.detail)

    @abstractmethod
    def _load(self, place: Any) -> tuple[Image.Image, str]:
        """An image and its hash; raises `Unusable` where there is none that can be used."""


class ImageFiles(Images):
    """The images of a folder, by their names."""

    def __init__(self, folder: Path, names: Sequence[str], preprocess: Preprocess) -> None:
        super().__init__(names, preprocess)
        self._folder = folder

    def _load(self, place: str) -> tuple[Image.Image, str]:
        if not place:
            raise Unusable("image_missing", "the question names no image file")
        path = self._folder / place
        try:
            inside = path.resolve().is_relative_to(self._folder.resolve())
        except (OSError, ValueError, RuntimeError) as error:  # a name that is no path, a link to itself
            raise Unusable("image_unreadable", f"{place!r}: {one_line(error)}") from None
        if not inside:
            raise Unusable("image_outside", f"{place} leads out of the image folder {self._folder}")
        return load_image(path)


class ImageRows(Images):
    """The images of Parquet shards, by their rows."""

    def __init__(self, contents: ImageBytes, rows: Sequence[int], preprocess: Preprocess) -> None:
        super().__init__(rows, preprocess)
        self._contents = contents

    def _load(self, place: int) -> tuple[Image.Image, str]:
        try:
            content = self._contents[place]
        except HeadflowError as error:
            raise Unusable("image_unreadable", f"row {place}: {one_line(error)[:300]}") from None
        if content is None:
            raise Unusable("image_missing", f"row {place} has no image")
        return decode_image(content, f"row {place}")


def open_images(questions: QuestionSet, samples: Sequence[Sample], preprocess: Preprocess) -> Images:
    """The images of some samples of a question set: files of a folder, or rows of Parquet."""
    images = questions.images
    if isinstance(images, Path):
        return ImageFiles(images, [sample.image for sample in samples], preprocess)
    if images is None:
        raise ValueError(f"{questions.name} has no images")
    return ImageRows(images, [sample.row for sample in samples], preprocess)


def load_images(files: Images, *, workers: int, ahead: int, pin: bool) -> Iterator[LoadedImage]:
    """All images in order.

    Args:
        workers: processes that decode and preprocess; 0: this one does, when an image is asked for.
        ahead: how many images the workers may have ready together.
        pin: put pixels into pinned memory, from where they can be copied to a GPU while it computes.
    """
    workers = min(workers, len(files))
    each = max(2, -(-min(ahead, len(files)) // workers)) if workers else None
    return iter(
        DataLoader(
            files,
            batch_size=None,
            num_workers=workers,
            prefetch_factor=each,
            pin_memory=pin,
            worker_init_fn=partial(end_with, os.getpid()),
        )
    )


def end_with(owner: int, _: int) -> None:
    """For worker processes: end when their owner does, however it ends, and not at Ctrl-C.

    A terminal sends that to them too, and it is for their owner to follow. Left to themselves, workers of a killed
    owner would wait for ever to hand over what they hold.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != owner:  # which ended before
            os._exit(1)
