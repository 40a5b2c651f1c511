"""Images -> pixels: read, decoded and preprocessed in worker processes, in order."""

import hashlib
import multiprocessing
import os
import pickle
import signal
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection
from threading import Event, Thread, current_thread, main_thread
from typing import Any

from PIL import Image
from torch._C import _error_if_any_worker_fails
from torch.utils.data import DataLoader, Dataset

from extract.images.counterfactual.altered import Counterfactual
from extract.images.decoding import decode_image, find_image, load_image
from extract.images.preprocessing import Pixels, thumbnail
from extract.questions.question_set import QuestionSet
from extract.questions.samples import Sample, Unusable
from extract.questions.stored_images import StoredImages
from schemas.errors import HeadflowError
from schemas.files.locations import Location, ObjectPath
from schemas.text import one_line


@dataclass(frozen=True)
class LoadedImages:
    """What a model reads of a question's images, or the reason why they cannot be used.

    Attributes:
        hashes: of all of them, in order; empty if one was not read.
    """

    hashes: tuple[str, ...]
    pixels: Pixels | None
    reason: str | None = None
    detail: str | None = None

    @property
    def sha256(self) -> str | None:
        """What tells the images from others: the hash of one, that of the hashes of several; None: none was read."""
        if len(self.hashes) < 2:
            return next(iter(self.hashes), None)
        return hashlib.sha256("".join(self.hashes).encode()).hexdigest()

    def usable(self) -> Pixels:
        """What a model reads of them; raises `Unusable` if they cannot be used."""
        if self.pixels is None:
            raise Unusable(self.reason or "", self.detail or "", image_sha256=self.sha256)
        return self.pixels

    def pin_memory(self) -> "LoadedImages":
        """The same in pinned memory; torch's loader calls this in a thread."""
        return self if self.pixels is None else replace(self, pixels=self.pixels.pin_memory())

    def __reduce__(self) -> tuple[Callable[..., "LoadedImages"], tuple[Any, ...]]:
        """Pickle it, or the reason why its pixels cannot be pickled.

        An error of a process that sends is lost in its queue, and its owner would wait without end.
        """
        try:
            content = pickle.dumps(self.pixels)
        except Exception as error:  # of what third-party processors give
            detail = f"{type(error).__name__}: {one_line(error)[:300]}"
            return LoadedImages, (self.hashes, None, "image_refused", detail)
        return _unpickled, (self.hashes, content, self.reason, self.detail)


def _unpickled(hashes: tuple[str, ...], content: bytes, *why: str | None) -> LoadedImages:
    return LoadedImages(hashes, pickle.loads(content), *why)


# Forking is the fastest way to start a process: the others import torch again in each. It is safe here although torch
# has threads: workers only use Pillow, numpy, and torch in one thread. None of them waits for a thread that a fork
# does not copy, and never the GPU. Elsewhere than on Linux, system libraries do not allow it.
START_METHOD = "fork" if sys.platform == "linux" else "spawn"
PATIENCE = 10.0  # seconds; schedulers kill some 30 s after they ask a process to stop
Preprocess = Callable[..., Pixels]  # of images


class _Images(ABC, Dataset[LoadedImages]):
    """The images of questions by number, read when they are needed, in any process.

    Attributes:
        shown: by the number of a question, where the image is that is shown in place of its own; missing: they are
            shown as they are.
        counterfactual: makes counterfactual images; None: they are read as they are.
        thumbnails: whether to make small pictures: of the image in its place if there is one, before any alteration.
        start_method: how processes that read them are started, one of `multiprocessing.get_all_start_methods()`.
    """

    def __init__(self, locations: Sequence[tuple[Any, ...]], preprocess: Preprocess) -> None:
        self._locations = locations
        self._preprocess = preprocess
        self.shown: Mapping[int, Any] = {}
        self.counterfactual: Counterfactual | None = None
        self.thumbnails = False
        self.start_method = START_METHOD

    def __len__(self) -> int:
        return len(self._locations)

    def __getitem__(self, number: int) -> LoadedImages:
        locations = self._locations[number]
        images: list[Image.Image] = []
        hashes: list[str] = []
        try:
            for location in locations:
                image, digest = self._load(location)
                images.append(image)
                hashes.append(digest)
            if number in self.shown:
                images = [self._load_other(self.shown[number])]
            return LoadedImages(tuple(hashes), self._read(images, hashes))
        except Unusable as error:
            if len(locations) == 1:
                own = hashes or ([error.image_sha256] if error.image_sha256 else [])
                return LoadedImages(tuple(own), None, error.reason, error.detail)
            if len(hashes) == len(locations):
                return LoadedImages(tuple(hashes), None, error.reason, error.detail)
            which = f"image {len(hashes) + 1} of {len(locations)}: "
            return LoadedImages((), None, error.reason, which + error.detail)
        except Exception as error:  # clients of stores and processors raise anything
            whole = len(hashes) == len(locations)
            reason, detail = "image_refused" if whole else "image_unreadable", one_line(error)[:300]
            return LoadedImages(tuple(hashes) if whole else (), None, reason, f"{type(error).__name__}: {detail}")

    def _read(self, images: list[Image.Image], hashes: Sequence[str]) -> Pixels:
        pixels = self.counterfactual(images[0], hashes[0]) if self.counterfactual else self._preprocess(*images)
        return replace(pixels, thumbnails=tuple(map(thumbnail, images))) if self.thumbnails else pixels

    @abstractmethod
    def _load(self, location: Any) -> tuple[Image.Image, str]:
        """An image and its hash; raises `Unusable` if it cannot be used."""

    def _load_other(self, location: Any) -> Image.Image:
        """An image that is shown in place of another; raises `Unusable` as `_load` does."""
        return self._load(location)[0]


class ImageFiles(_Images):
    """The images of a folder, by their names."""

    def __init__(self, folder: Location, names: Sequence[tuple[str, ...]], preprocess: Preprocess) -> None:
        super().__init__(names, preprocess)
        self._folder = folder
        if isinstance(folder, ObjectPath):
            self.start_method = "spawn"  # a client of a store does not survive a fork

    def _load(self, location: str) -> tuple[Image.Image, str]:
        return load_image(find_image(self._folder, location))


class ImagesOfFile(_Images):
    """The images that a question file holds, by their places."""

    def __init__(self, contents: StoredImages, places: Sequence[tuple[Any, ...]], preprocess: Preprocess) -> None:
        super().__init__(places, preprocess)
        self._contents = contents
        self._others = copy(contents)  # each of the two is read in order

    def _load(self, location: Any) -> tuple[Image.Image, str]:
        return self._decode(self._contents, location)

    def _load_other(self, location: Any) -> Image.Image:
        return self._decode(self._others, location)[0]

    @staticmethod
    def _decode(contents: StoredImages, location: Any) -> tuple[Image.Image, str]:
        where = contents.where(location)
        try:
            content = contents[location]
        except HeadflowError as error:
            raise Unusable("image_unreadable", f"{where}: {one_line(error)[:300]}") from None
        if content is None:
            raise Unusable("image_missing", f"{where} has no image")
        return decode_image(content, where)


def open_images(
    questions: QuestionSet,
    samples: Sequence[Sample],
    preprocess: Preprocess,
    counterfactual: Counterfactual | None = None,
    *,
    thumbnails: bool = False,
) -> _Images:
    """The images of some samples of a question set, or those in their place: files, or in the question file.

    Args:
        counterfactual: see `_Images`; `thumbnails` too.
    """
    images = questions.images
    others = {number: sample.shown for number, sample in enumerate(samples) if sample.shown is not None}
    if images is None:
        raise ValueError(f"{questions.name} has no images")
    found: _Images
    if isinstance(images, StoredImages):
        found = ImagesOfFile(images, [images.places(sample) for sample in samples], preprocess)
        found.shown = {number: images.places(sample)[0] for number, sample in others.items()}
    else:
        found = ImageFiles(images, [sample.images for sample in samples], preprocess)
        found.shown = {number: sample.images[0] for number, sample in others.items()}
    found.counterfactual, found.thumbnails = counterfactual, thumbnails
    return found


def load_images(
    images: _Images, *, workers: int, ahead: int, pin: bool, stopped: Callable[[], bool] = lambda: False
) -> Iterator[LoadedImages]:
    """All images in order.

    Args:
        workers: processes that decode and preprocess; 0: this process does it, when an image is needed.
        ahead: how many images the workers may have ready together.
        pin: put pixels into pinned memory, from where they can be copied to a GPU while it computes.
        stopped: whether the reader was asked to stop: workers then end that do not deliver an image for `PATIENCE`.

    Raises:
        RuntimeError: a worker has ended.
    """
    workers = min(workers, len(images))
    if not workers:
        yield from DataLoader(images, batch_size=None, pin_memory=pin)
        return
    context = multiprocessing.get_context(images.start_method)
    receiver, sender = context.Pipe(duplex=False)
    loader = DataLoader(
        images,
        batch_size=None,
        num_workers=workers,
        prefetch_factor=max(2, -(-min(ahead, len(images)) // workers)),
        pin_memory=pin,
        multiprocessing_context=context,
        worker_init_fn=partial(end_with_owner, receiver, sender if images.start_method == "fork" else None),
    )
    loaded, since, over = _in_order(loader), list[float](), Event()
    Thread(target=_end_stuck, args=(stopped, since, over, sender), daemon=True).start()
    try:
        while True:
            since.append(time.monotonic())
            image = next(loaded, None)
            since.clear()
            if image is None:
                return
            yield image
    finally:
        over.set()
        loaded.close()  # ends the workers, before the pipe would
        sender.close()


def _end_stuck(stopped: Callable[[], bool], since: Sequence[float], over: Event, sender: Connection) -> None:
    """End workers that do not deliver an image for `PATIENCE` after a stop request; runs in a thread of their owner.

    Args:
        since: when the owner began to wait for an image; empty: it does not wait.
        over: set when no more images are wanted.
        sender: the owner's end of the pipe with which workers end.
    """
    asked = None
    while not over.wait(0.2):
        if asked is None and stopped():
            asked = time.monotonic()
        if asked is not None and any(time.monotonic() - max(asked, each) > PATIENCE for each in [*since]):
            sender.close()
            return


def _in_order(loader: DataLoader[LoadedImages]) -> Generator[LoadedImages, None, None]:
    """What the workers load.

    torch's handler of SIGCHLD raises as soon as a worker dies, wherever the process is then. Here it is set while an
    image is waited for, and at no other time: without it, a worker that is killed in the middle of a message would be
    waited for without end.

    Raises:
        RuntimeError: a worker has died.
    """
    if sys.platform == "win32" or current_thread() is not main_thread():
        yield from loader
        return
    before = signal.getsignal(signal.SIGCHLD) or signal.SIG_DFL
    loaded = iter(loader)
    while True:
        signal.signal(signal.SIGCHLD, lambda *_: _error_if_any_worker_fails())
        try:
            _error_if_any_worker_fails()  # since the last image
            image = next(loaded, None)
        finally:
            signal.signal(signal.SIGCHLD, before)
        if image is None:
            return
        yield image


def end_with_owner(receiver: Connection, inherited: Connection | None, _: int) -> None:
    """Let a worker process end when its owner does, however the owner ends, and not by SIGINT or SIGTERM.

    Called in the worker. Terminals and schedulers send these signals to all processes of a command, but the owner
    decides what follows from them. If the owner is killed, workers
    would wait forever to deliver their images. Only the owner keeps the sending end of a pipe open, so the pipe ends
    with it, whichever method started the worker. (The id of the parent process would not do: the parent of a worker
    that a fork server started is the server.)

    Args:
        receiver: the receiving end of the pipe.
        inherited: the copy of the sending end that a forked process has; None in processes that were not forked.
    """
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, signal.SIG_IGN)
    if inherited is not None:
        inherited.close()
    Thread(target=_exit_with_pipe, args=(receiver,), daemon=True).start()


def _exit_with_pipe(receiver: Connection) -> None:
    with suppress(EOFError, OSError):
        receiver.recv_bytes()
    os._exit(1)
