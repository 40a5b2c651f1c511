"""`python -m tests.support.reading FOLDER METHOD WORKERS`: read a folder's images twice in workers that live on.

Prints the hash of each image of the first time, then `held`, and waits; images of the second time are left to be read.
"""

import sys
from itertools import islice
from pathlib import Path

import torch
from PIL import Image

from extract.images.loading import ImageFiles, load_images
from extract.images.preprocessing import Pixels


def one_pixel(image: Image.Image) -> Pixels:
    return Pixels({"pixel": torch.tensor(image.resize((1, 1)).getpixel((0, 0)))}, [[7]], [image.size])


def main(folder: Path, method: str, workers: int) -> None:
    names = sorted(path.name for path in folder.iterdir())
    images = ImageFiles(folder, [(name,) for name in names] * 2, one_pixel)
    images.start_method = method
    loaded = load_images(images, workers=workers, ahead=4, pin=False)
    for image in islice(loaded, len(names)):
        assert image.usable().image_ids == [[7]]
        print(image.sha256, flush=True)
    print("held", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
