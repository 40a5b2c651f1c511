"""A fingerprint of a checkpoint's weights: tells checkpoints apart without reading all of them.

It is a SHA-256 of each weight file's name, size, directory of tensors (the header of safetensors, the central directory
of a torch file, which holds the CRC-32 of each tensor as it was saved), and of sampled bytes: some of each tensor, and
some at even distances through the file. A 13 GB checkpoint takes a fraction of a second.

It does not depend on where the files lie. What it cannot see: bytes changed in place between the samples, with all
names, sizes and shapes as they were. A tensor that was trained further changes nearly everywhere, so it is seen; a
tensor with a few edited numbers may not be. Tokenizers and settings have a fingerprint of their own.
"""

import hashlib
import json
import os
import struct
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from extract.models.weights.adapter import ADAPTER_CONFIG, named_base

_SAMPLE = 64  # bytes of each sample
SPREAD = 64  # samples at even distances through a file
SETTINGS = (  # what decides token ids, pixels and the model, but for its weights
    "config.json", "tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json",
    "added_tokens.json", "vocab.json", "merges.txt", "preprocessor_config.json", "processor_config.json",
    "chat_template.json", "chat_template.jinja",
)  # fmt: skip
LONGEST_HEADER = 100_000_000  # bytes; the limit of safetensors


def fingerprint(files: Iterable[Path]) -> str:
    """The fingerprint of weight files, 64 hexadecimal digits; their order counts, their directories do not.

    Raises:
        OSError: a file cannot be read.
    """
    digest = hashlib.sha256()
    for path in files:
        size = path.stat().st_size
        digest.update(json.dumps([path.name, size]).encode())
        with path.open("rb") as file:
            for piece in _pieces(path, file.fileno(), size):
                digest.update(struct.pack("<Q", len(piece)))
                digest.update(piece)
    return digest.hexdigest()


def fingerprint_settings(model_path: str, model_base: str | None = None) -> str | None:
    """The fingerprint of the settings and the tokenizer of a checkpoint, and of its base, 64 hexadecimal digits.

    None for a model of the hub, whose revision says what they are.

    Raises:
        OSError: a file cannot be read.
    """
    if not Path(model_path).is_dir():
        return None
    digest = hashlib.sha256()
    adapter = Path(model_path) / ADAPTER_CONFIG
    if adapter.is_file():
        digest.update(adapter.read_bytes())
        model_base = model_base or named_base(Path(model_path))
    for folder in (Path(model_path), Path(model_base or model_path)):
        for path in (folder / name for name in SETTINGS):
            content = path.read_bytes() if path.is_file() else b""
            digest.update(json.dumps([path.name, len(content)]).encode() + content)
    return digest.hexdigest()


def _pieces(path: Path, file: int, size: int) -> Iterator[bytes]:
    """What is hashed of a file."""
    directory, starts = _safetensors(file, size) if path.suffix == ".safetensors" else _torch(path, file)
    yield directory
    step = max(1, size // SPREAD)
    for start in sorted({*starts, *range(0, size, step), max(0, size - _SAMPLE)}):
        yield os.pread(file, _SAMPLE, start)


def _safetensors(file: int, size: int) -> tuple[bytes, list[int]]:
    """The header of a safetensors file, and the middle of each tensor in bytes; nothing if it is none."""
    length = int.from_bytes(os.pread(file, 8, 0), "little")
    if length > min(size, LONGEST_HEADER):
        return b"", []
    header = os.pread(file, length, 8)
    try:
        spans = [entry["data_offsets"] for name, entry in json.loads(header).items() if name != "__metadata__"]
        return header, [8 + length + (start + stop) // 2 for start, stop in spans]
    except (ValueError, TypeError, KeyError, AttributeError):  # what damaged headers may hold
        return header, []


def _torch(path: Path, file: int) -> tuple[bytes, list[int]]:
    """The entries of a torch file, and the middle of each in bytes; nothing for files of before torch 1.6."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError):
        return b"", []
    starts = []
    for entry in entries:
        local = os.pread(file, 4, entry.header_offset + 26)  # lengths of the name and of what fills up before the data
        lengths = int.from_bytes(local[:2], "little") + int.from_bytes(local[2:], "little")
        starts.append(entry.header_offset + 30 + lengths + entry.file_size // 2)
    listed = [[entry.filename, entry.file_size, entry.CRC] for entry in entries]
    return json.dumps(listed).encode(), starts
