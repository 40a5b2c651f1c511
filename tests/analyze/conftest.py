"""What several tests of `analyze` share."""

import pytest

from analyze import results
from analyze.__main__ import main
from analyze.drawing import fonts
from analyze.drawing.figures import FigureFiles
from tests.support.pictures import draw_empty, write_empty

FONT = "Made up"  # which no machine has


@pytest.fixture
def only_latin(monkeypatch):
    """No font for Chinese letters but `FONT`, whatever this machine has."""
    monkeypatch.setattr(fonts, "_OTHERS", (FONT,))


@pytest.fixture(scope="module")
def undrawn():
    """Make no pictures: see `draw_empty`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(results, "_draw", draw_empty)
        yield


@pytest.fixture(scope="session")
def real_run(legacy_pt, tmp_path_factory):
    """A run made of the earlier tool's real records; not to be changed."""
    run = tmp_path_factory.mktemp("real") / "run"
    assert main(["import-pt", str(legacy_pt), str(run)]) == 0
    return run


@pytest.fixture
def unsaved(monkeypatch):
    """Make the pictures of one test, and write none: see `write_empty`."""
    monkeypatch.setattr(FigureFiles, "save", write_empty)
