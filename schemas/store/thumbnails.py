"""Small pictures of a run's images, so that a picture of the run needs no image folder: `thumbnails/SHA256.jpg`."""

import re
from typing import TYPE_CHECKING

from schemas.columns import OK, PICTURES
from schemas.files.locations import Location
from schemas.files.pictures import hashes_of
from schemas.files.writing import write_whole

if TYPE_CHECKING:
    from schemas.store.run import Run

THUMBNAILS = "thumbnails"
_NAME = re.compile(r"[0-9a-f]{64}\.jpg")


def thumbnail_path(run: Location, sha256: str) -> Location:
    """Where the thumbnail of an image lies in the directory of a run, by the hash of the image file."""
    return run / THUMBNAILS / f"{sha256}.jpg"


def read_thumbnail(run: Location, sha256: str | None) -> bytes | None:
    """The JPEG of an image; None if the run has none."""
    path = thumbnail_path(run, sha256 or "")
    return path.read_bytes() if path.is_file() else None


def write_thumbnail(run: Location, sha256: str, content: bytes) -> None:
    """Write the JPEG of an image, unless it is there."""
    path = thumbnail_path(run, sha256)
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        write_whole(path, content)


def without_thumbnail(run: "Run") -> int:
    """Of how many images that a run observed it has no thumbnail."""
    there = {file.stem for file in find_thumbnails(run.path)}
    return len(observed_hashes(run) - there)


def observed_hashes(run: "Run") -> set[str]:
    """The hashes of the image files that a run observed."""
    columns = ["status", "image_sha256", PICTURES]
    parts = [run.read_part(path, columns) for path in run.part_paths("samples")]
    return {sha256 for part in parts for row in part.to_pylist() if row["status"] == OK for sha256 in hashes_of(row)}


def find_thumbnails(run: Location) -> list[Location]:
    """All thumbnails of a run, half written ones included."""
    files = [*(run / THUMBNAILS).glob("*.jpg"), *(run / THUMBNAILS).glob(".*.jpg.tmp")]
    return [file for file in files if _NAME.fullmatch(file.name.removeprefix(".").removesuffix(".tmp"))]
