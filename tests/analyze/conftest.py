"""What several tests of `analyze` share."""

import pytest

from analyze.drawing import fonts

FONT = "Made up"  # which no machine has


@pytest.fixture
def only_latin(monkeypatch):
    """No font for Chinese letters but `FONT`, whatever this machine has."""
    monkeypatch.setattr(fonts, "OTHERS", (FONT,))
