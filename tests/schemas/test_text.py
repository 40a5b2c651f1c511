"""Oracle: how Python writes a string, and what Unicode calls printable."""

import pytest

from schemas.text import begin_of_letter, counted, one_line, printable


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("OCR", "OCR"),
        ("图 😀 é \\ '", "图 😀 é \\ '"),  # nothing that prints is changed, backslashes of paths least of all
        ("a\x1b[2Jb", r"a\x1b[2Jb"),
        ("a\r\nb\tc\x00\x7f\x9b", r"a\r\nb\tc\x00\x7f\x9b"),
        ("a\u202eb\u2028\u200b", r"a\u202eb\u2028\u200b"),
        ("\ud800", r"\ud800"),
        ("a\xa0b", r"a\xa0b"),  # so that it is not taken for `a b`
        (None, "None"),
    ],
)
def test_printable(text, expected):
    assert printable(text) == expected


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (["a", "", "", "只"], [0, 1, 2, 1]),
        (["", "狗", "", "dog"], [0, 0, 2, 3]),  # a special token ahead of a letter of ASCII is none of its pieces
    ],
)
def test_the_first_piece_of_a_letter(pieces, expected):
    assert [begin_of_letter(pieces, step) for step in range(len(pieces))] == expected


def test_every_character():
    letters = [chr(number) for number in range(0x11000)]
    for letter in letters:
        shown = printable(letter)
        assert shown.isprintable()
        assert shown == letter or shown.encode().decode("unicode_escape", "surrogatepass") == letter


def test_an_error_is_one_line():
    assert one_line(ValueError(" a\n b\x1b[31m ")) == r"a b\x1b[31m"


def test_things_are_counted():
    assert [counted(number, "sample") for number in (0, 1, 2374)] == ["0 samples", "1 sample", "2,374 samples"]
    assert [counted(number, "row has", "rows have") for number in (1, 2)] == ["1 row has", "2 rows have"]
