"""Oracle: what a reader of the terminal can tell apart."""

import numpy as np
import pandas as pd

from analyze.printing.terminal import as_text


def test_a_small_p_value_is_not_printed_as_zero():
    table = pd.DataFrame({"p_centre": [1e-4, 0.25, 0.0, np.nan], "adjusted_p": [4e-6, 1.0, 0.5, 0.2], "mass": 1e-4})
    rows = [line.split() for line in as_text(table, 3).splitlines()]
    assert rows[1:] == [
        ["0.0001", "4e-06", "0.000"], ["0.250", "1.000", "0.000"], ["0.000", "0.500", "0.000"], ["0.200", "0.000"],
    ]  # fmt: skip
