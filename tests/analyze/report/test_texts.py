"""Which texts a page holds: what it holds is within its budget, counted in the arrays of its pieces."""

import numpy as np
import pytest

from analyze.report.measures import measure_looking
from analyze.report.samples.maps import Unread
from analyze.report.samples.texts import choose_texts, write_texts
from analyze.tables.frames import open_heads
from tests.support.report import MAPPED, PIECES, WORLD, write_captions

IMAGES, PATCHES, HEADS = 8, 24, WORLD.heads.size
STEPS = np.array([len(PIECES) - number % 3 for number in range(IMAGES)])
MASSES, MAPS = 2 * STEPS * HEADS, STEPS * PATCHES * len(MAPPED)  # bytes of each text


@pytest.fixture(scope="module")
def heads(tmp_path_factory):
    return open_heads(write_captions(tmp_path_factory.mktemp("captions") / "captions"))[0]


@pytest.mark.parametrize(
    ("budget", "folder", "texts", "cells", "mapped"),
    [
        (2 * MASSES.sum() + MAPS.sum(), False, IMAGES, HEADS, IMAGES),
        (2 * MASSES[:4].sum(), False, 4, HEADS, 4),  # what masses leave is for maps: of one head
        (MASSES[:4].sum(), False, 4, HEADS // 2, 1),
        (2 * MASSES[:2].sum(), True, 2, HEADS, 0),  # a folder has all heads of a text, or none
        (100, False, 3, 1, 0),
        (0, False, 0, 0, 0),
    ],
)
def test_texts_keep_their_budget(heads, budget, folder, texts, cells, mapped):
    measured = measure_looking(heads, heads.scope(None), ("a2v",))
    chosen = choose_texts(heads, measured, range(IMAGES), 4, float(budget), folder=folder)
    pieces = []
    said, _ = write_texts(heads, chosen, pieces.append, Unread(), folder=folder)
    sizes = [piece.arrays.index for piece in pieces]
    held = sum(2 * size["masses"][2] + size["maps"][2] for size in sizes)
    assert held <= budget
    assert (len(said["rows"]), len(said["mapped_rows"])) == (texts, mapped)
    assert len(said["cells"]) == cells
    assert len(pieces) == (texts if folder else 1)
    assert sum(size["masses"][2] for size in sizes) == cells * STEPS[:texts].sum()
