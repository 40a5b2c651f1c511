"""The benchmark runs, on a run too small to measure."""

import pytest

from tests.bench.plots import HEADER, measure


@pytest.mark.parametrize("command", [["plots", "--dpi", "20"], ["summary"]], ids=lambda command: command[0])
def test_every_command_is_measured(made_up, command):
    rows, name, *measured = measure(made_up, command, 1)
    assert (rows, name) == ("60", " ".join(command))
    assert len([rows, name, *measured]) == len(HEADER)
    assert all(float(text.split()[0]) > 0 for text in measured)
