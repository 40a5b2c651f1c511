"""What several tests of `analyze` share."""

import pytest

from analyze.drawing import fonts
from analyze.drawing.figures import FigureFiles

FONT = "Made up"  # which no machine has


@pytest.fixture
def only_latin(monkeypatch):
    """No font for Chinese letters but `FONT`, whatever this machine has."""
    monkeypatch.setattr(fonts, "OTHERS", (FONT,))


@pytest.fixture(scope="module")
def undrawn():
    """Make figures and write an empty file for each, as to draw them takes longer than all else that a command does.

    `test_pages` draws those of every command.
    """

    def save(self, figure, path):
        path = path.with_name(f"{path.name}.{self.kind}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        return path

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FigureFiles, "save", save)
        yield
