"""The benchmark runs, on a run too small to measure."""

import pytest

from tests.bench.plots import HEADER, measure


@pytest.mark.parametrize(
    ("command", "workers", "shown"),
    [(["plots", "--dpi", "20"], 1, "plots --dpi 20"), (["summary"], 2, "summary --workers 2")],
)
def test_every_command_is_measured(made_up, command, workers, shown):
    rows, name, *measured = measure(made_up, command, 1, workers)
    assert (rows, name) == ("60", shown)
    assert len([rows, name, *measured]) == len(HEADER)
    assert all(float(text.split()[0]) > 0 for text in measured)
