"""Read a folder's images in workers that live on; light, as workers that are spawned load this module."""

import signal
from itertools import islice
from pathlib import Path

import torch
from PIL import Image

from extract.images.loading import ImageFiles, load_images
from extract.images.preprocessing import Pixels


def one_pixel(image: Image.Image) -> Pixels:
    return Pixels({"pixel": torch.tensor(image.resize((1, 1)).getpixel((0, 0)))}, [[7]], [image.size])


def read_and_wait(folder: Path, method: str, workers: int, out: int) -> None:
    """Read the images twice; those of the second time are left to be read.

    Writes the hash of each image of the first time to the file `out`, then `held`, and waits.
    """
    names = sorted(path.name for path in folder.iterdir())
    images = ImageFiles(folder, [(name,) for name in names] * 2, one_pixel)
    images.start_method = method
    loaded = load_images(images, workers=workers, ahead=4, pin=False)
    with open(out, "w", buffering=1) as file:
        for image in islice(loaded, len(names)):
            assert image.usable().image_ids == [[7]]
            print(image.sha256, file=file)
        print("held", file=file)
        signal.pause()
