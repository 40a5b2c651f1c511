"""Every kind of image file is read, or refused with its reason."""

import hashlib
import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from extract.images.decoding import load_image
from extract.questions.samples import Unusable
from tests.support.pictures import JPEG, READABLE, RED, encoded, png


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
        (encoded(Image.new("F", (9, 9), 0.5), "tiff"), "image_unreadable", "floating-point or 32-bit numbers"),
        (encoded(Image.new("I", (9, 9), 99), "tiff"), "image_unreadable", "floating-point or 32-bit numbers"),
        (encoded(Image.new("RGB", (9, 9)), "eps"), "image_unreadable", "PostScript is a program, and not run"),
        (png(20_000, 20_000), "image_too_large", "400000000 pixels"),
    ],
    ids=[
        "missing",
        "empty",
        "text",
        "truncated",
        "cut",
        "zeros",
        "gif",
        "dds",
        "floats",
        "32 bits",
        "eps",
        "20000x20000",
    ],
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


def test_pipes_and_devices_are_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "link.png").symlink_to("/dev/zero")
    for path in (tmp_path / "pipe.png", tmp_path / "link.png", Path("/dev/zero")):
        with pytest.raises(Unusable) as error:
            load_image(path)
        assert error.value.reason == "image_unreadable"
        assert "it is a pipe or a device, not a file" in error.value.detail


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


@pytest.mark.parametrize("place", ["before the pixels", "after them"])
def test_a_png_with_a_long_text_or_profile(tmp_path, place):
    """Such as the settings that generators of pictures write; Pillow refuses more than 1 MB of it."""
    long = zlib.compress(bytes(4_000_000))
    notes = [
        chunk(b"zTXt", b"parameters\0\0" + long),
        chunk(b"iTXt", b"parameters\0\1\0\0\0" + long),
        chunk(b"iCCP", b"profile\0\0" + long),
        chunk(b"tEXt", b"parameters\0" + b"x" * 70_000_000),
    ]
    plain = READABLE["palette with transparency"]
    at = {"before the pixels": plain.index(b"PLTE") - 4, "after them": len(plain) - 12}[place]
    for note in notes if place == "before the pixels" else notes[:2]:
        content = plain[:at] + note + plain[at:]
        with pytest.raises(ValueError, match=r"MAX_TEXT_CHUNK|Too much memory"):
            Image.open(io.BytesIO(content)).convert("RGB")
        (tmp_path / "image.png").write_bytes(content)
        image, digest = load_image(tmp_path / "image.png")
        (tmp_path / "plain.png").write_bytes(plain)
        assert image.tobytes() == load_image(tmp_path / "plain.png")[0].tobytes()
        assert digest == hashlib.sha256(content).hexdigest()
