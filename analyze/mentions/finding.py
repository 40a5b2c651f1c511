"""The words of generated texts that name an object: true if it is in the image, or made up.

An object of the question file has words that name it. A word in a text is a mention of an object of any image of the
run; it is true if an object that the word can mean is in this image. (CHAIR, Rohrbach et al. 2018, arXiv:1809.02156,
which has its words from COCO.)
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from analyze.tables.frames import Heads
from analyze.tables.rows import part_apart
from analyze.tables.values import observed_rows
from schemas.columns import TABLES, TOKENS

_TEXT = next(column for column in TABLES[TOKENS].apart if column.name == "text")
COLUMNS = ["sample_id", "category", "name", "word", "step", "last_step", "true"]


class Vocabulary:
    """The objects that texts may name.

    Attributes:
        names: by word in small letters, the objects that it may mean.
    """

    def __init__(self, objects: Iterable[Sequence[Mapping[str, Any]]]) -> None:
        """Take the objects of some images, see `objects` of `samples`."""
        self.names: dict[str, list[str]] = {}
        for each in objects:
            for item in each:
                for word in item["words"]:
                    names = self.names.setdefault(str(word).lower(), [])
                    if item["name"] not in names:
                        names.append(str(item["name"]))
        longest_first = sorted(self.names, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(_whole, longest_first)) or r"(?!)", re.IGNORECASE)

    def find(self, text: str) -> Iterator[tuple[int, int, str]]:
        """The words of a text that name an object: where they begin and end, and the word; of two, the longer one."""
        for found in self._pattern.finditer(text):
            yield found.start(), found.end(), found[0].lower()


def _whole(word: str) -> str:
    """The pattern of a word that is no part of another one; scripts without spaces have no such bounds."""
    begin, end = (r"\b" if letter.isalnum() and unicodedata.east_asian_width(letter) not in "WF" else "" for letter in (
        word[0], word[-1]
    ))  # fmt: skip
    return f"{begin}{re.escape(word)}{end}"


def find_mentions(heads: Heads) -> pd.DataFrame:
    """The mentions in the texts of the samples whose objects are known.

    Returns:
        A row each: `sample_id`, `category`, `name` (of the object, the one in the image if several have the word),
        `word`, `step` and `last_step` (those of the first and the last token of the word), `true`, and `row`, the place
        of the sample in `observed_samples`.

    Raises:
        HeadflowError: a part of `tokens` is missing, or does not have the rows of its samples.
    """
    samples, rows, observed = heads.samples, observed_rows(heads), heads.observed.to_numpy()
    known = observed & samples["objects"].notna().to_numpy()
    vocabulary = Vocabulary(samples.loc[known, "objects"])
    ids = samples["sample_id"].astype(str)
    found: list[dict[str, Any]] = []
    others = heads.others or [()] * len(heads.parts)
    for part, (first, last), left_out in zip(heads.run.parts, heads.parts, others, strict=True):
        own = first + np.flatnonzero(observed[first:last])
        if not known[own].any():
            continue
        pieces = part_apart(heads.run, TOKENS, part, [*ids.iloc[own], *left_out], _TEXT)
        for place, texts in zip(own.tolist(), pieces, strict=False):
            if known[place]:
                sample = samples.iloc[place]
                for each in _in_text(texts, vocabulary, {item["name"] for item in sample["objects"]}):
                    about = {"sample_id": ids.iloc[place], "category": str(sample["category"])}
                    found.append(about | each | {"row": int(rows[place])})
    return pd.DataFrame(found, columns=[*COLUMNS, "row"])


def _in_text(pieces: Sequence[str], vocabulary: Vocabulary, there: set[str]) -> Iterator[dict[str, Any]]:
    ends = np.cumsum([len(piece) for piece in pieces])
    for begin, end, word in vocabulary.find("".join(pieces)):
        names = vocabulary.names[word]
        true = [name for name in names if name in there]
        step, last = (int(np.searchsorted(ends, at, side="right")) for at in (begin, end - 1))
        yield {"name": (true or names)[0], "word": word, "step": step, "last_step": last, "true": bool(true)}
