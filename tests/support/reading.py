"""`python -m tests.support.reading FOLDER METHOD`: read a folder's images in two workers, twice, and then wait.

Prints the hash of each image of the first time, then `held` once the workers of the second time are at work.
"""

import sys
from pathlib import Path

import torch
from PIL import Image

from extract.images.loading import ImageFiles, load_images
from extract.images.preprocessing import Pixels


def one_pixel(image: Image.Image) -> Pixels:
    return Pixels({"pixel": torch.tensor(image.resize((1, 1)).getpixel((0, 0)))}, [7], image.size)


def main(folder: Path, method: str) -> None:
    names = sorted(path.name for path in folder.iterdir())
    images = ImageFiles(folder, names, one_pixel)
    images.start_method = method
    for image in load_images(images, workers=2, ahead=4, pin=False):
        assert image.usable().image_ids == [7]
        print(image.sha256, flush=True)
    again = load_images(images, workers=2, ahead=4, pin=False)
    next(again)
    print("held", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
