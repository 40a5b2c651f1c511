"""Image files of many kinds, as bytes; and none, in place of those that commands draw."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

RED = np.zeros((40, 60, 3), np.uint8) + np.array([200, 30, 30], np.uint8)


def encoded(image: Image.Image, kind: str = "png", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png(width: int, height: int) -> bytes:
    """A true PNG of one bit per pixel, of any size, without holding its pixels."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    row = bytes(1 + (width + 7) // 8)
    compress = zlib.compressobj(1)
    blocks = (compress.compress(row * min(1000, height - first)) for first in range(0, height, 1000))
    pixels = b"".join(blocks) + compress.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def animation() -> bytes:
    frames = [Image.fromarray(RED), Image.new("RGB", (60, 40), "blue")]
    return encoded(frames[0], "gif", save_all=True, append_images=frames[1:])


READABLE = {
    "rgb": encoded(Image.fromarray(RED)),
    "jpeg": encoded(Image.fromarray(RED), "jpeg", quality=95),
    "cmyk": encoded(Image.fromarray(RED).convert("CMYK"), "jpeg", quality=95),
    "palette": encoded(Image.fromarray(RED).convert("P")),
    "palette with transparency": encoded(Image.fromarray(RED).quantize(4), transparency=0),
    "alpha": encoded(Image.fromarray(RED).convert("RGBA")),
    "animated": animation(),
}
JPEG = encoded(Image.effect_noise((200, 200), 90), "jpeg")


def draw_nothing(*_: object) -> list[Path]:
    """In place of `analyze.results._draw`: no picture."""
    return []


def draw_empty(found: Any, settings: Any) -> list[Path]:
    """In place of `analyze.results._draw`: empty files, and no picture is made.

    To draw takes longer than all else that a command does. `tests/analyze/test_pages.py` draws the pictures of every
    command.
    """
    paths = [found.folder / f"{name}.{settings.format}" for name, _ in found.figures]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return paths


def write_empty(self: Any, figure: object, path: Path) -> Path:
    """In place of `FigureFiles.save`: an empty file of a picture that was made, for runs that may be hard to draw."""
    path = path.with_name(f"{path.name}.{self.kind}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path
