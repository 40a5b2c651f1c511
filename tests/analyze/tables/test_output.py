"""Oracles: what a reader of the terminal can tell apart; each text of a table, once, in lines that fit."""

import re

import numpy as np
import pandas as pd
import pytest

from analyze.printing.terminal import as_text


def test_a_small_p_value_is_not_printed_as_zero():
    table = pd.DataFrame({"p_centre": [1e-4, 0.25, 0.0, np.nan], "adjusted_p": [4e-6, 1.0, 0.5, 0.2], "mass": 1e-4})
    rows = [line.split() for line in as_text(table, 3).splitlines()]
    assert rows[1:] == [
        ["0.0001", "4e-06", "0.000"], ["0.250", "1.000", "0.000"], ["0.000", "0.500", "0.000"], ["0.200", "0.000"],
    ]  # fmt: skip


def wide(rows: int = 3, note: str = "the same number of answers is right on each image") -> pd.DataFrame:
    """A table as that of `compare`, with a text that recurs, a column that is the same in all rows, and Chinese."""
    numbers = np.arange(rows)
    values = {
        f"measure_{letter}{end}": numbers + 10.0 * place + 0.25
        for place, letter in enumerate("abcd")
        for end in ("", "_low", "_high")
    }
    names = ["commonsense_reasoning", "\u6570\u5b57\u8ba1\u7b97", "OCR"][:rows]
    return pd.DataFrame({"category": names, "questions": 20, **values, "note": [note] * rows})


def widths(text: str) -> list[int]:
    return [len(line) + len(re.findall("[\u4e00-\u9fff]", line)) for line in text.splitlines()]


def test_a_value_stands_with_its_interval():
    table = pd.DataFrame({"a": [1.0, 20.0, np.nan], "a_low": [-0.5, np.nan, np.nan], "a_high": [1.5, np.nan, np.nan]})
    table = table.assign(difference=2.0, low=[1.0, -10.0, 0.0], high=3.0, n=[1, 2, 3])
    assert as_text(table, 1).splitlines() == [
        "               a       difference n",
        " 1.0 [-0.5, 1.5] 2.0 [  1.0, 3.0] 1",
        "20.0             2.0 [-10.0, 3.0] 2",
        "                 2.0 [  0.0, 3.0] 3",
    ]


def test_names_of_columns_that_are_no_bounds():
    """Wordings that users call so."""
    table = pd.DataFrame({"category": ["OCR"], "low": [1.0], "high": [2.0]})
    assert as_text(table, 1, bounds=False).split() == ["category", "low", "high", "OCR", "1.0", "2.0"]


@pytest.mark.parametrize("width", [200, 100, 80, 60, 40])
def test_a_table_fits_and_lacks_nothing(width):
    table = wide()
    text = as_text(table, 2, width=width)
    assert max(widths(text)) <= width
    joined = re.sub(r"\s", "", text)
    for name in table:
        if not name.endswith(("_low", "_high")):
            assert name in joined or all(part in text for part in name.split("_"))
    for low, high in zip(table["measure_a_low"], table["measure_a_high"], strict=True):
        assert f"{low:.2f} [{low:.2f}, {high:.2f}]" in text
    assert text.count("20") >= 1
    assert "the same number" in text


def test_each_block_has_the_columns_that_tell_the_rows_apart():
    table = pd.DataFrame([(u, c, s) for u in ("head", "layer") for c in ("a2v", "q2v") for s in (1, 2)])
    table = table.set_axis(["unit", "criterion", "set"], axis=1).assign(
        **{f"value_{n}": np.arange(8) / 9 for n in range(12)}
    )
    text = as_text(table, 3, width=60).splitlines()
    heads = [place for place, line in enumerate(text) if "unit" in line]
    assert len(heads) > 1
    for begin in heads:
        assert text[begin].split()[:3] == ["unit", "criterion", "set"]
        keys = [tuple(line.split()[:3]) for line in text[begin + 1 : begin + 9]]
        assert len({*keys}) == len(keys) == len(table)
    heads = pd.DataFrame({"layer": [0, 0, 1], "head": [0, 1, 0], "x" * 20: [0.5, 0.4, 0.5], "y" * 20: [0.5, 0.1, 0.2]})
    assert as_text(heads, 2, width=30).count("layer head") == 2


def test_a_table_that_fits_stays_as_it_is():
    lines = as_text(wide(), 2, width=500).splitlines()
    assert len(lines) == 4
    assert lines[0].split() == ["category", "questions", *(f"measure_{letter}" for letter in "abcd"), "note"]


def test_the_width_is_that_of_the_terminal(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    assert 80 < max(widths(as_text(wide(), 2))) <= 100  # there is none
    monkeypatch.setenv("COLUMNS", "70")
    assert max(widths(as_text(wide(), 2))) <= 70


def test_long_texts_have_several_lines():
    questions = [f"Is there a person in the image who wears a {color} hat?" for color in ("red", "blue")]
    text = as_text(pd.DataFrame({"sample": ["a", "b"], "question": questions, "lead": [1.0, -2.0]}), 1, width=40)
    assert max(widths(text)) <= 40
    assert " ".join(text.split()).startswith("sample question lead a Is there a person in the 1.0 image who")
    assert text.splitlines()[-1].strip() == "image who wears a blue hat?"
