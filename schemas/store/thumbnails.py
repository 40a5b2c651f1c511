"""Small pictures of a run's images, so that a picture of the run needs no image folder: `thumbnails/SHA256.jpg`."""

import re
from pathlib import Path

from schemas.files import publishing

THUMBNAILS = "thumbnails"
NAME = re.compile(r"[0-9a-f]{64}\.jpg")


def thumbnail_path(run: Path, sha256: str) -> Path:
    """Where the thumbnail of an image lies in the directory of a run, by the hash of the image file."""
    return run / THUMBNAILS / f"{sha256}.jpg"


def read_thumbnail(run: Path, sha256: str | None) -> bytes | None:
    """The JPEG of an image; None if the run has none."""
    path = thumbnail_path(run, sha256 or "")
    return path.read_bytes() if path.is_file() else None


def write_thumbnail(run: Path, sha256: str, content: bytes) -> None:
    """Write the JPEG of an image, unless it is there."""
    path = thumbnail_path(run, sha256)
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        with publishing(path) as aside:
            aside.write_bytes(content)


def find_thumbnails(run: Path) -> list[Path]:
    """All thumbnails of a run, and such as are half written."""
    files = [*(run / THUMBNAILS).glob("*.jpg"), *(run / THUMBNAILS).glob(".*.jpg.tmp")]
    return [file for file in files if NAME.fullmatch(file.name.removeprefix(".").removesuffix(".tmp"))]
