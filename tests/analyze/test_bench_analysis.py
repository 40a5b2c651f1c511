"""The benchmark runs, on a run too small to measure."""

from tests.bench.analysis import HEADER, measure


def test_a_command_is_measured(made_up):
    rows, name, *measured = measure(60, ["validate", str(made_up), "--workers", "2"], 1)  # which imports least
    assert (rows, name) == ("60", "validate --workers 2")
    assert len([rows, name, *measured]) == len(HEADER)
    assert all(float(text.split()[0]) > 0 for text in measured)
