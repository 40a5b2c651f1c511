"""Groups of words in a file, such as content words and function words, and where texts have them.

The file is JSON: `{"content": ["dog", "red", ...], "function": ["the", ...]}`, or a part of speech for each word,
`{"dog": "noun", "the": "determiner", ...}`. Nothing is tagged here: a word belongs where the file says.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from schemas.errors import HeadflowError
from schemas.files.json_objects import read_object
from schemas.files.locations import Location
from schemas.text import begin_of_letter, listed, short

OTHER = "other words"  # what a single group is compared with
_UNSPACED = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"  # letters of Chinese and Japanese, which have no spaces
_LETTER = rf"[^\W{_UNSPACED}]"
_WORD = re.compile(rf"{_LETTER}+")


@dataclass(frozen=True)
class Vocabulary:
    """Words in groups.

    Attributes:
        groups: their names; a single group has `OTHER` after it.
        of_word: the place of each word's group, by the word without case.
    """

    groups: Sequence[str]
    of_word: dict[str, int]

    @cached_property
    def _others(self) -> re.Pattern[str] | None:
        """Words that are more than one run of letters, or have no spaces around them; the longest first."""
        words = [word for word in self.of_word if not _WORD.fullmatch(word)]
        if not words:
            return None
        return re.compile("|".join(map(whole_word, sorted(words, key=len, reverse=True))), re.IGNORECASE)

    def find(self, pieces: Sequence[str]) -> Iterator[tuple[int, int]]:
        """The words of a text that are in a group: the place of a word's first piece, and that of its group.

        Case does not matter. Of words that overlap, such as `hot dog` and `dog`, the longer one counts.

        Args:
            pieces: that concatenate to the text, see `schemas.text.begin_of_letter`.
        """
        text, ends = "".join(pieces), np.cumsum([len(each) for each in pieces])
        spans = [] if self._others is None else [(each.span(), each.group()) for each in self._others.finditer(text)]
        taken = np.zeros(len(text) + 1, np.bool_)
        for (first, last), _ in spans:
            taken[first:last] = True
        spans += [(each.span(), each.group()) for each in _WORD.finditer(text) if not taken[slice(*each.span())].any()]
        beside = self.groups.index(OTHER) if OTHER in self.groups else None
        for (first, _), word in sorted(spans):
            group = self.of_word.get(" ".join(word.casefold().split()), beside)
            if group is not None:
                yield first_piece(pieces, ends, first), group


def first_piece(pieces: Sequence[str], ends: Any, start: int) -> int:
    """The piece in which the letter at a place of the text begins."""
    place = int(np.searchsorted(ends, start, side="right"))
    return begin_of_letter(pieces, place) if start == ends[place] - len(pieces[place]) else place


def whole_word(word: str) -> str:
    """A pattern of a word that is no part of another one, any space for its spaces."""
    before = f"(?<!{_LETTER})" if re.match(_LETTER, word) else ""
    after = f"(?!{_LETTER})" if re.match(_LETTER, word[-1]) else ""
    return before + r"\s+".join(map(re.escape, word.split())) + after


def read_vocabulary(path: Location) -> Vocabulary:
    """The words of a file.

    Raises:
        HeadflowError: it cannot be read, has another form, an empty group or word, or a word in two groups.
    """
    content = read_object(path, str(path))
    if content and all(isinstance(each, str) for each in content.values()):
        names = list(dict.fromkeys(content.values()))
        content = {name: [word for word, of in content.items() if of == name] for name in names}
    if not content or not all(_is_list(each) for each in content.values()):
        raise HeadflowError(f'{path} has not the form {{"group": ["word", ...], ...}} or {{"word": "group", ...}}')
    if empty := [name for name, words in content.items() if not words]:
        raise HeadflowError(f"{path} has no word in {listed([short(name) for name in empty])}")
    found: dict[str, int] = {}
    for group, words in enumerate(content.values()):
        for word in (" ".join(each.casefold().split()) for each in words):
            if not word:
                raise HeadflowError(f"{path} has an empty word in {short(list(content)[group])}")
            if found.setdefault(word, group) != group:
                both = [short(list(content)[each]) for each in (found[word], group)]
                raise HeadflowError(f"{path} has {short(word)} in two groups, {both[0]} and {both[1]}")
    if OTHER in content:
        raise HeadflowError(f"{path} has a group {short(OTHER)}, which is what a single group is compared with")
    return Vocabulary([*content, *([OTHER] if len(content) == 1 else [])], found)


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)
