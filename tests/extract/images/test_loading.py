"""Oracle: `load_image` and the image processor, called one by one in this process."""

import hashlib
import io
import pickle
from multiprocessing.reduction import ForkingPickler

import pytest
import torch
from transformers import CLIPImageProcessorPil

from extract.images.decoding import load_image
from extract.images.loading import ImageFiles, load_images
from extract.images.preprocessing import Pixels, SquarePreprocessor
from tests.support.pictures import READABLE

PROCESSOR = CLIPImageProcessorPil(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28})


@pytest.fixture
def files(tmp_path) -> ImageFiles:
    """Nine images, then one that is empty, one that is not there and one without a name."""
    names = [f"{number}.png" for number in range(9)]
    for name, content in zip(names, [*READABLE.values()] * 2, strict=False):
        (tmp_path / name).write_bytes(content)
    (tmp_path / "empty.png").write_bytes(b"")
    return ImageFiles(tmp_path, [*names, "empty.png", "gone.png", ""], SquarePreprocessor(PROCESSOR, [7]))


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
