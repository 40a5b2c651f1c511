"""Oracle: the files themselves; a fingerprint changes exactly when one of the sampled bytes or the size does."""

import json
import os
from hashlib import blake2b
from itertools import pairwise

import pytest

from extract.images.fingerprint import MOST_FINGERPRINTS, fingerprint_images
from extract.questions.question_set import read_questions
from tests.support.bytes_read import bytes_read
from tests.support.shards import hub_rows, write_shards


@pytest.fixture
def ask(tmp_path):
    """A question set about images of these names, in the folder `images`."""
    folder = tmp_path / "images"
    folder.mkdir()

    def call(*names):
        path = tmp_path / "questions.json"
        path.write_text(json.dumps([{"image_file": name, "question": "Is it?"} for name in names]))
        return read_questions(path, folder)

    return folder, call


@pytest.mark.parametrize("size", [0, 1, 100, 4096, 5000, 12_288, 100_001])
def test_size_and_three_samples(ask, size):
    folder, call = ask
    content = bytes(number * 31 % 251 for number in range(size))
    (folder / "a.png").write_bytes(content)
    middle = max(0, (size - 4096) // 2)
    sampled = content[:4096] + content[middle : middle + 4096] + content[max(0, size - 4096) :]
    expected = f"{size}:{blake2b(sampled, digest_size=8).hexdigest()}"
    assert fingerprint_images(call("a.png", "a.png")) == {"a.png": expected}
    for changed in {0, size // 2, size - 1} & set(range(size)):
        other = bytearray(content)
        other[changed] ^= 1
        (folder / "a.png").write_bytes(other)
        assert fingerprint_images(call("a.png")) != {"a.png": expected}
    (folder / "a.png").write_bytes(content + b"x")
    assert fingerprint_images(call("a.png")) != {"a.png": expected}


def test_images_that_cannot_be_read_are_left_out(ask, tmp_path):
    folder, call = ask
    (folder / "a.png").write_bytes(b"a")
    (folder / "directory").mkdir()
    os.mkfifo(folder / "pipe.png")
    (folder / "zero.png").symlink_to("/dev/zero")
    (tmp_path / "secret.png").write_bytes(b"secret")
    names = (
        "pipe.png",
        "zero.png",
        "a.png",
        "gone.png",
        "",
        "directory",
        "../secret.png",
        str(tmp_path / "secret.png"),
        "nul\0",
        "x" * 5000,
    )
    assert list(fingerprint_images(call(*names))) == ["a.png"]


def test_many_images_are_spread_evenly(ask):
    folder, call = ask
    names = [f"{number:05d}.png" for number in range(3 * MOST_FINGERPRINTS + 1000)]
    for name in names:
        (folder / name).write_bytes(name.encode())
    found = list(fingerprint_images(call(*reversed(names))))
    assert len(found) == MOST_FINGERPRINTS
    assert found[0] == names[0]
    steps = {int(after[:5]) - int(before[:5]) for before, after in pairwise(found)}
    assert steps == {3, 4}
    assert names.index(found[-1]) >= len(names) - 4


def test_a_chunk_has_its_own_images(ask):
    folder, call = ask
    for name in "abcd":
        (folder / name).write_bytes(name.encode())
    questions = call(*"abcd")
    chunks = [fingerprint_images(questions.chunk(2, index)) for index in range(2)]
    assert [list(chunk) for chunk in chunks] == [["a", "b"], ["c", "d"]]
    assert chunks[0] | chunks[1] == fingerprint_images(questions)


def test_parquet_needs_none(tmp_path, questions):
    rows = json.loads((questions / "MME_test.json").read_text())
    write_shards(tmp_path, hub_rows(rows, questions / "images"))
    assert fingerprint_images(read_questions(tmp_path)) == {}


def test_little_is_read_of_many_large_images(ask):
    folder, call = ask
    names = [f"{number}.jpg" for number in range(1187)]
    for name in names:
        with (folder / name).open("wb") as file:
            file.truncate(10_000_000)  # takes no room on the disk
    questions = call(*names)
    before = bytes_read()
    assert len(fingerprint_images(questions)) == 1187
    assert bytes_read() - before < 1187 * 50_000
