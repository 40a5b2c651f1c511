"""Oracle: `load_image` and the image processor, called one by one in this process."""

import hashlib
import io
import os
import pickle
import signal
import sys
import time
from multiprocessing.reduction import ForkingPickler

import psutil
import pytest
import torch
from PIL import Image
from transformers import CLIPImageProcessorPil

from extract.images.decoding import load_image
from extract.images.loading import ImageFiles, load_images
from extract.images.preprocessing import Pixels
from extract.images.towers import SquarePreprocessor
from extract.models.families import FAMILIES
from extract.models.loading import load_prompt_format
from tests.support.forks import living, start, wait
from tests.support.pictures import READABLE
from tests.support.reading import read_and_wait
from tests.support.tiny_families import RECIPES, make_family

PROCESSOR = CLIPImageProcessorPil(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28})


@pytest.fixture
def files(tmp_path) -> ImageFiles:
    """Nine images, then one that is empty, one that is not there and one without a name."""
    names = [f"{number}.png" for number in range(9)]
    for name, content in zip(names, [*READABLE.values()] * 2, strict=False):
        (tmp_path / name).write_bytes(content)
    (tmp_path / "empty.png").write_bytes(b"")
    names += ["empty.png", "gone.png", ""]
    return ImageFiles(tmp_path, [(name,) for name in names], SquarePreprocessor(PROCESSOR, [7]))


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_images_come_in_order(files, tmp_path, workers):
    found = list(load_images(files, workers=workers, ahead=4, pin=False))
    assert len(found) == len(files) == 12
    for number, image in enumerate(found[:9]):
        right, digest = load_image(tmp_path / f"{number}.png")
        assert image.sha256 == digest
        assert torch.equal(
            image.pixels.inputs["pixel_values"], PROCESSOR(images=[right], return_tensors="pt")["pixel_values"]
        )
        assert image.reason is None
    empty, gone, unnamed = found[9:]
    assert (empty.reason, empty.sha256) == ("image_unreadable", hashlib.sha256(b"").hexdigest())
    assert "empty.png: the file is empty" in empty.detail
    assert (gone.reason, gone.sha256, gone.pixels) == ("image_missing", None, None)
    assert (unnamed.reason, unnamed.detail) == ("image_missing", "the question names no image file")


def same(one: Pixels, other: Pixels) -> bool:
    return one.image_ids == other.image_ids and all(
        torch.equal(tensor, other.inputs[name]) for name, tensor in one.inputs.items()
    )


def test_workers_that_do_not_fork_can_have_them(files):
    copy = pickle.loads(pickle.dumps(files))
    assert same(copy[3].pixels, files[3].pixels)


def test_what_crosses_processes_is_no_shared_memory(files):
    class Refuse(ForkingPickler):
        """Fails on what torch would put into shared memory."""

        def reducer_override(self, thing):
            assert not isinstance(thing, torch.Tensor)
            return NotImplemented

    for image in (files[0], files[10]):
        Refuse(stream := io.BytesIO()).dump(image)
        copy = pickle.loads(stream.getvalue())
        assert (copy.sha256, copy.reason, copy.detail) == (image.sha256, image.reason, image.detail)
        assert copy.pixels is image.pixels is None or same(copy.pixels, image.pixels)


class OfSpecialPixels:
    """Preprocesses images to bfloat16, as Llama 4's processor does, and one to what no process can send."""

    def __call__(self, image: Image.Image) -> Pixels:
        unsent = [lambda: None] if image.width == 5 else []
        return Pixels({"pixel_values": HALVES, "sizes": torch.tensor(5)}, [unsent], [image.size])


HALVES = torch.linspace(-3, 3, 60).bfloat16().view(1, 3, 4, 5).transpose(2, 3)


def test_what_a_worker_cannot_send_is_a_reason_and_not_waited_for(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "sent.png")
    Image.new("RGB", (5, 4)).save(tmp_path / "unsent.png")
    images = ImageFiles(tmp_path, [("unsent.png",), ("sent.png",)], OfSpecialPixels())
    unsent, sent = load_images(images, workers=1, ahead=2, pin=False)
    assert (unsent.pixels, unsent.reason, unsent.sha256) == (None, "image_refused", images[0].sha256)
    assert "pickle" in unsent.detail
    assert sent.sha256 == images[1].sha256
    for name, right in images[1].pixels.inputs.items():
        found = sent.pixels.inputs[name]
        assert found.dtype == right.dtype
        assert torch.equal(found, right)


def wait_at_a_wide_one(image):
    time.sleep(3600 * (image.width == 5))
    return Pixels({}, [], [image.size])


def test_a_worker_that_does_not_deliver_ends_after_a_stop_request_only(tmp_path, monkeypatch):
    monkeypatch.setattr("extract.images.loading.PATIENCE", 0.5)
    for name, width in (("one.png", 4), ("other.png", 5)):
        Image.new("RGB", (width, 4)).save(tmp_path / name)
    images = ImageFiles(tmp_path, [("one.png",), ("other.png",)], wait_at_a_wide_one)
    began, asked = time.monotonic(), []

    def stopped():
        if time.monotonic() > began + 1:
            asked.append(time.monotonic())
        return bool(asked)

    loaded = load_images(images, workers=1, ahead=2, pin=False, stopped=stopped)
    assert next(loaded).reason is None
    with pytest.raises(RuntimeError, match="exited unexpectedly"):
        next(loaded)
    assert 0.5 <= time.monotonic() - asked[0] < 20


@pytest.mark.parametrize("name", sorted({*FAMILIES} & {*RECIPES}))
def test_workers_of_each_family_can_be_spawned(tmp_path, name):
    """All that a worker gets is sent by pickle; it reads the same of an image then."""
    make_family(tmp_path / "model", name)
    (tmp_path / "a.png").write_bytes(READABLE["rgb"])
    _, preprocessor = load_prompt_format(str(tmp_path / "model"))
    images = ImageFiles(tmp_path, [("a.png",)], preprocessor)
    assert same(pickle.loads(ForkingPickler.dumps(images))[0].usable(), images[0].usable())


@pytest.mark.skipif(sys.platform != "linux", reason="processes end with their owner on Linux alone")
@pytest.mark.parametrize(("method", "workers"), [("fork", 2), ("spawn", 1)])
def test_workers_of_each_start_method_end_with_their_owner(tmp_path, method, workers):
    """Forked ones have what the workers before them have."""
    contents = list(READABLE.values())
    for number, content in enumerate(contents):
        (tmp_path / f"{number}.png").write_bytes(content)
    reader, writer = os.pipe()
    owner = start(read_and_wait, tmp_path, method, workers, writer)
    os.close(writer)
    try:
        with os.fdopen(reader) as lines:
            found = [lines.readline().strip() for _ in (*contents, "held")]
        assert found == [*(hashlib.sha256(content).hexdigest() for content in contents), "held"]
        started = [process.pid for process in psutil.Process(owner).children(recursive=True)]
        assert len(started) >= workers
        assert living(started, seconds=0) == started
    finally:
        os.kill(owner, signal.SIGKILL)
        wait(owner)
    assert living(started) == []
