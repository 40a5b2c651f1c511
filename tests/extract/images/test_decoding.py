"""Every kind of image file is read, or refused with its reason."""

import hashlib
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from extract.images.decoding import load_image
from extract.questions.samples import Unusable

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
    pixels = b"".join(compress.compress(row) for _ in range(height)) + compress.flush()
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


@pytest.mark.parametrize("name", READABLE)
def test_readable(tmp_path, name):
    path = tmp_path / "image"
    path.write_bytes(READABLE[name])
    image, digest = load_image(path)
    assert image.mode == "RGB"
    assert image.size == (60, 40)
    assert np.abs(np.asarray(image).astype(int).mean(axis=(0, 1)) - RED[0, 0]).max() < 12
    assert digest == hashlib.sha256(READABLE[name]).hexdigest()


def test_one_pixel(tmp_path):
    path = tmp_path / "image"
    path.write_bytes(png(1, 1))
    assert load_image(path)[0].size == (1, 1)


def test_sixteen_bits_are_scaled_and_not_clipped(tmp_path):
    path = tmp_path / "image"
    path.write_bytes(encoded(Image.fromarray(np.linspace(0, 65535, 256).astype(np.uint16)[None])))
    grey = np.asarray(load_image(path)[0])[0, :, 0]
    assert (grey == np.arange(256)).all()


JPEG = encoded(Image.effect_noise((200, 200), 90), "jpeg")


@pytest.mark.parametrize(
    ("content", "reason", "says"),
    [
        (None, "image_missing", "does not exist"),
        (b"", "image_unreadable", "the file is empty"),
        (b"this is no image", "image_unreadable", "not an image in a format that Pillow knows"),
        (JPEG[: len(JPEG) // 2], "image_unreadable", "truncated"),
        (READABLE["rgb"][:40], "image_unreadable", ""),
        (READABLE["rgb"][:30] + bytes(200), "image_unreadable", ""),
        (b"GIF89a" + bytes(20), "image_unreadable", ""),
        (b"DDS |\0\0\0" + bytes(120), "image_unreadable", "Unknown pixel format"),
        (png(20_000, 20_000), "image_too_large", "400000000 pixels"),
        (png(1, 4_000), "image_too_large", "too long and thin"),
    ],
    ids=["missing", "empty", "text", "truncated", "cut", "zeros", "gif", "dds", "20000x20000", "1x4000"],
)
def test_unusable(tmp_path, content, reason, says):
    path = tmp_path / "image"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(Unusable) as error:
        load_image(path)
    assert error.value.reason == reason
    assert says in error.value.detail
    assert str(path) in error.value.detail
    assert (error.value.image_sha256 is None) == (content is None)


def test_a_directory_and_an_impossible_name(tmp_path):
    for path in (tmp_path, tmp_path / "a\0b"):
        with pytest.raises(Unusable) as error:
            load_image(path)
        assert error.value.reason == "image_unreadable"
