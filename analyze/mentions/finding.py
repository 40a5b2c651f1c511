"""The words of generated texts that name an object: true if it is in the image, or made up.

An object of the question file has words that name it. A word in a text is a mention of an object of any image of the
run; it is true if an object that the word can mean is in this image. (CHAIR, Rohrbach et al. 2018, arXiv:1809.02156,
which has its words from COCO.)
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from analyze.generated.vocabulary import first_piece, whole_word
from analyze.tables.frames import Heads
from analyze.tables.rows import part_apart
from analyze.tables.values import observed_rows
from schemas.columns import TOKEN_TEXT, TOKENS

COLUMNS = ["sample_id", "category", "name", "word", "step", "last_step", "true"]


class ObjectWords:
    """The words that name objects.

    Attributes:
        names: by word without case, the objects that it may mean.
    """

    def __init__(self, objects: Iterable[Sequence[Mapping[str, Any]]]) -> None:
        """Take the objects of some images, see `objects` of `samples`."""
        self.names: dict[str, list[str]] = {}
        for item in (item for each in objects for item in each):
            for word in item["words"]:
                names = self.names.setdefault(_plain(word), [])
                names += [item["name"]] * (item["name"] not in names)
        longest_first = sorted(self.names, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(whole_word, longest_first)) or r"(?!)", re.IGNORECASE)

    def find(self, text: str) -> Iterator[tuple[int, int, str]]:
        """The words of a text that name an object: where they begin and end, and the word; of two, the longer one."""
        for found in self._pattern.finditer(text):
            yield found.start(), found.end(), _plain(found[0])


def _plain(word: str) -> str:
    return " ".join(word.casefold().split())


def find_mentions(heads: Heads) -> pd.DataFrame:
    """The mentions in the texts of the samples whose objects are known.

    Returns:
        A row each: `sample_id`, `category`, `name` (of the object, the one in the image if several have the word),
        `word`, `step` and `last_step` (those of the first and the last token of the word), `true`, and `row`, the place
        of the sample in `observed_samples`.

    Raises:
        HeadflowError: a part of `tokens` is missing, or does not have the rows of its samples.
    """
    samples, rows = heads.samples, observed_rows(heads)
    known = heads.observed.to_numpy() & samples["objects"].notna().to_numpy()
    words = ObjectWords(samples.loc[known, "objects"])
    found: list[dict[str, Any]] = []
    for part, own, ids in heads.each_part():
        if not known[own].any():
            continue
        pieces = part_apart(heads.run, TOKENS, part, ids, TOKEN_TEXT)
        for place, name, texts in zip(own.tolist(), ids, pieces, strict=False):
            if known[place]:
                sample = samples.iloc[place]
                about = {"sample_id": name, "category": str(sample["category"]), "row": int(rows[place])}
                objects = {item["name"] for item in sample["objects"]}
                found += [about | each for each in _in_text(texts, words, objects)]
    return pd.DataFrame(found, columns=[*COLUMNS, "row"])


def _in_text(pieces: Sequence[str], words: ObjectWords, there: set[str]) -> Iterator[dict[str, Any]]:
    text, ends = "".join(pieces), np.cumsum([len(piece) for piece in pieces])
    for begin, end, word in words.find(text):
        names = words.names[word]
        true = [name for name in names if name in there]
        step, last = first_piece(pieces, ends, begin), int(np.searchsorted(ends, end - 1, side="right"))
        yield {"name": (true or names)[0], "word": word, "step": step, "last_step": last, "true": bool(true)}
