"""File names made from categories."""

import re
import unicodedata
from collections.abc import Iterable

IMAGE_SUFFIX = re.compile(r"(?<=.)\.(png|jpe?g|gif|bmp|webp|tiff?)(?=$|[#@])", re.IGNORECASE)  # in a sample's id
_LONGEST = 80  # characters
LONGEST_BYTES = 120  # in UTF-8; file systems allow 255 for all of a file's name, prefix and suffix included


def file_names(names: Iterable[str]) -> dict[str, str]:
    """A file name for each name: letters of any script are kept, other characters become `_`, suffixes of images go.

    Different names get different file names, also on file systems that ignore case or how accents are written.
    """
    taken: set[str] = set()
    files = {}
    for name in names:
        plain = _cut(re.sub(r"[^\w.+-]+", "_", IMAGE_SUFFIX.sub("", name))[:_LONGEST]).strip(".") or "_"
        file, number = plain, 1
        while _compared(file) in taken:
            number += 1
            file = f"{plain}-{number}"
        taken.add(_compared(file))
        files[name] = file
    return files


def _cut(name: str) -> str:
    """The first letters of a name, as many as fit into `LONGEST_BYTES`."""
    return name.encode()[:LONGEST_BYTES].decode(errors="ignore")


def _compared(name: str) -> str:
    """A name as a file system may compare it."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
