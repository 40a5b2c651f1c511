"""Oracle: files that are equal, and the same with one thing changed by hand."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from extract.models.fingerprint import fingerprint
from extract.models.loading import load_model
from tests.support import tiny_originals as tiny
from tests.support.bytes_read import bytes_read

TENSORS = {"a.weight": torch.arange(50_000.0), "b.bias": torch.ones(7), "c.empty": torch.ones(0)}


@pytest.fixture(params=["model.safetensors", "pytorch_model.bin", "old.bin"])
def file(request, tmp_path):
    path = tmp_path / request.param
    if path.suffix == ".safetensors":
        save_file(TENSORS, path, metadata={"format": "pt"})
    else:
        torch.save(TENSORS, path, _use_new_zipfile_serialization=path.stem != "old")
    return path


def test_the_same_content_elsewhere(file, tmp_path):
    (tmp_path / "other").mkdir()
    copy = Path(shutil.copy(file, tmp_path / "other"))
    os.utime(copy, (0, 0))
    assert fingerprint([file]) == fingerprint([copy])
    assert len(fingerprint([file])) == 64


def test_a_byte_changed_in_place(file):
    """At the beginning, in the middle of the tensors and at the end of the file: all are sampled."""
    content, before = file.read_bytes(), fingerprint([file])
    ones = content.index(torch.ones(7).numpy().tobytes()) + 14
    for place in (0, 9, *([ones] if file.stem != "old" else []), len(content) - 1):
        file.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        assert fingerprint([file]) != before, place
    file.write_bytes(content)
    assert fingerprint([file]) == before


def test_another_size_name_or_header(file, tmp_path):
    before = fingerprint([file])
    assert fingerprint([file, file]) != before
    assert fingerprint([Path(shutil.copy(file, tmp_path / f"renamed{file.suffix}"))]) != before
    with file.open("ab") as more:
        more.write(b"\0")
    assert fingerprint([file]) != before


def test_another_name_of_a_tensor(tmp_path):
    made = []
    for name in ("first", "other"):
        (tmp_path / name).mkdir()
        save_file({name: torch.ones(7)}, tmp_path / name / "model.safetensors")
        made.append(fingerprint([tmp_path / name / "model.safetensors"]))
    assert len(set(made)) == 2


@pytest.mark.parametrize("content", [b"", b"\xff" * 9, (9).to_bytes(8, "little") + b"[1, 2, 3]", b"PK\x03\x04 damaged"])
@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_files_that_hold_anything(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert len(fingerprint([tmp_path / name])) == 64


def test_little_is_read_of_a_large_checkpoint(tmp_path):
    """13 GB that take no room on the disk, in three files of 300 tensors."""
    shards = []
    for number in range(3):
        entries = {
            f"layer.{each}": {
                "dtype": "F16",
                "shape": [7_200_000],
                "data_offsets": [each * 14_400_000, (each + 1) * 14_400_000],
            }
            for each in range(300)
        }
        header = json.dumps(entries).encode()
        shards.append(tmp_path / f"model-{number}.safetensors")
        with shards[-1].open("wb") as file:
            file.write(len(header).to_bytes(8, "little") + header)
            file.truncate(8 + len(header) + 300 * 14_400_000)
    before = bytes_read()
    fingerprint(shards)
    assert sum(shard.stat().st_size for shard in shards) > 12.9e9
    assert bytes_read() - before < 20e6


def test_all_weights_of_a_checkpoint_count(tmp_path, texts, checkpoint_path):
    """Of the model, of its base, and of the vision tower that it names."""
    cpu = torch.device("cpu")
    form = tiny.Original(tmp_path, tiny.make_corpus(texts), **tiny.FORMS["lora in safetensors"])

    def weights():
        return load_model(str(form.path), str(form.base), device=cpu).weights

    before = weights()
    assert before == weights()
    for path in (
        form.base / "model.safetensors",
        form.path / "non_lora_trainables.bin",
        form.tower / "pytorch_model.bin",
    ):
        content = path.read_bytes()
        at = len(content) // 2
        path.write_bytes(content[:at] + bytes(64) + content[at + 64 :])
        assert weights() != before, path
        path.write_bytes(content)
    assert weights() == before
    copy = shutil.copytree(checkpoint_path, tmp_path / "copy")
    assert load_model(str(copy), device=cpu).weights == load_model(str(checkpoint_path), device=cpu).weights
