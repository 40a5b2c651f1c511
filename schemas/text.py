"""Text for people and for files: on one line, cut to a length, storable in UTF-8; ids of samples; words of pieces."""

import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Iterable, Sequence


def printable(value: object) -> str:
    r"""The text of a value, on one line; what a terminal would obey or hide is written as in Python, such as `\x1b`."""
    text = str(value)
    return text if text.isprintable() else "".join(_escaped(letter) for letter in text)


def _escaped(letter: str) -> str:
    return letter if letter.isprintable() else repr(letter)[1:-1]


def fitted(line: str) -> str:
    """A line that is printed: in several ones, indented, where stdout is a terminal that is too narrow for it."""
    if not (sys.stdout and sys.stdout.isatty()):
        return line
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    width = max(20, shutil.get_terminal_size().columns)
    return textwrap.fill(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def one_line(error: object) -> str:
    """The text of an error, on one line, without control characters."""
    return printable(" ".join(str(error).split()))


def cut(text: str, length: int) -> str:
    """A text; one that is longer than `length` ends after a whole word, with `...`."""
    if len(text) <= length:
        return text
    begin = text[: length - 3]
    return f"{begin.rpartition(' ')[0] or begin} ..."


def short(value: object) -> str:
    """How a value is written in Python, cut if it is long."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def shown(value: object) -> str:
    """A value for an error: a word as it was written, cut if it is long, everything else as Python writes it."""
    return value[:80] if isinstance(value, str) and value else short(value)


def not_one_of(value: object, words: Iterable[str]) -> str:
    """What is said of a value that is none of the words which are taken."""
    return f"{shown(value)} is not one of {', '.join(words)}"


def storable(text: str) -> str:
    """Replace unpaired surrogates, which JSON and pickles may contain, by `?`, so that the text has a form in UTF-8."""
    return text.encode("utf-8", "replace").decode("utf-8")


def counted(number: int, one: str, many: str | None = None) -> str:
    """A number of things, such as `1 sample` or `2,374 samples`; `many` is the plural if it is not `one` with an s."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def listed(names: Sequence[object], shown: int = 5) -> str:
    """The first names, and how many more there are."""
    more = len(names) - shown
    return ", ".join(map(str, names[:shown])) + (f" and {more} more" if more > 0 else "")


class SampleIds:
    """Assigns ids in the order of a question file."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._taken: set[str] = set()

    def give(self, question_id: str | None, row: int) -> str:
        """The question's id, with `#2`, `#3` ... for its later questions; the row number if there is none."""
        wanted = question_id or str(row)
        while True:
            count = self._counts[wanted] = self._counts.get(wanted, 0) + 1
            name = wanted if count == 1 else f"{wanted}#{count}"
            if name not in self._taken:
                self._taken.add(name)
                return name


def find_words(pieces: Sequence[str]) -> list[tuple[int, str]]:
    """The words of a text: the step that chose the first piece of each, and the word.

    A word is a run of pieces without a space between letters; each piece of Chinese or Japanese is one, as it has no
    spaces. Pieces without letters and digits are none.
    """
    found: list[tuple[int, str]] = []
    before = ""  # the letter before
    for step, piece in enumerate(pieces):
        if not piece:
            continue
        word = " ".join(piece.split("\n"))
        if found and joins(before, piece[0]):
            found[-1] = found[-1][0], found[-1][1] + word
        else:
            found.append((begin_of_letter(pieces, step), word))
        before = piece[-1]
    return [(step, _bare(word)) for step, word in found if any(map(str.isalnum, word))]


def begin_of_letter(pieces: Sequence[str], step: int) -> int:
    """The first piece of the letter with which the text of a piece begins.

    Of the pieces of one letter, all but the last one are empty; a letter of ASCII has one.
    """
    if not pieces[step][:1].isascii():
        while step and not pieces[step - 1]:
            step -= 1
    return step


def _bare(word: str) -> str:
    """A word without what stands around its letters and digits."""
    inside = [place for place, letter in enumerate(word) if letter.isalnum()]
    return word[inside[0] : inside[-1] + 1]


def joins(before: str, after: str) -> bool:
    """Whether two letters of neighbouring pieces stand in one word."""
    inside = (before or " ", "s" if after in "'\N{RIGHT SINGLE QUOTATION MARK}" else after)
    return all(letter.isalnum() and unicodedata.east_asian_width(letter) not in "WF" for letter in inside)
