"""Which sample of one run is which of another: pairs by image and question, and the settings that differ."""

import dataclasses
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analyze.compare.sentences import Sentence
from analyze.scores.accuracy import right_options
from analyze.tables.frames import Heads
from schemas.columns import TABLES
from schemas.errors import HeadflowError
from schemas.manifest import DESCRIPTIVE, Manifest
from schemas.text import listed

_SESSION = ("device", "kernel", "batch_size")
TABLE_OF = {field: table.name for table in TABLES.values() for field in table.fields}  # fields of one table
DATA = ("question_file_sha256", "num_chunks", "derived")  # fields of the manifest that say which samples, not how


@dataclass(frozen=True)
class Pairs:
    """The samples that were observed in both of two runs.

    Attributes:
        table: one row per pair: `a` and `b` (int64, positions in `samples` of each run), `image` (what tells images
            apart: hash or name), `category` (that of the first run), `other_answer` (whether the right answers are
            two different options). In the order of the first run.
        by: `image_sha256` or `image`, by which images were told apart.
        only_a, only_b: samples observed in one run that have no partner.
    """

    table: pd.DataFrame
    by: str
    only_a: int
    only_b: int

    @property
    def other_answers(self) -> int:
        """How many pairs have different right answers."""
        return int(self.table["other_answer"].sum())

    def sentence(self) -> Sentence:
        """How many samples were paired, and by what."""
        images, what = self.table["image"].nunique(), "by_content" if self.by == "image_sha256" else "by_name"
        return Sentence(
            "paired", samples=len(self.table), images=images, what=Sentence(what), a=self.only_a, b=self.only_b
        )

    def in_words(self) -> str:
        """How many samples were paired, on one line."""
        return str(self.sentence())


def pair_samples(a: Heads, b: Heads) -> Pairs:
    """Pair the observed samples of two runs by image and question.

    Images are told apart by their content, or by their names where that pairs more (a hub's copy of a benchmark may
    hold the same pictures in other files). A question that is asked several times of one image is paired in order.

    Raises:
        HeadflowError: no sample of one is in the other.
    """
    first, second = (_observed(heads) for heads in (a, b))
    ways = [(by, _merged(first, second, by)) for by in ("image_sha256", "image")]
    by, found = max(ways, key=lambda way: len(way[1]))  # the first of equals
    if found.empty:
        raise HeadflowError(
            f"{a.run.path} and {b.run.path} have no sample in common: none has the same image and question in both; "
            "give runs on the same question file"
        )
    table = found.rename(columns={by: "image", "position_a": "a", "position_b": "b"}).sort_values("a", kind="stable")
    table = table[["a", "b", "image", "category"]].reset_index(drop=True)
    one, other = (
        right_options(heads.samples, heads.task).iloc[table[side]].to_numpy() for heads, side in ((a, "a"), (b, "b"))
    )
    table["other_answer"] = ~np.isnan(one) & ~np.isnan(other) & (one != other)
    return Pairs(table, by, len(first) - len(table), len(second) - len(table))


def _observed(heads: Heads) -> pd.DataFrame:
    """Position, image, question and category of the samples that were observed."""
    samples = heads.samples.assign(position=range(len(heads.samples)))[heads.observed.to_numpy()]
    columns = ["position", "image_sha256", "image", "question", "category"]
    return samples[columns].astype({"category": str})


def _merged(first: pd.DataFrame, second: pd.DataFrame, by: str) -> pd.DataFrame:
    """The pairs, where images are told apart by a column; a sample that lacks it has no partner."""
    keys = [by, "question"]

    def numbered(samples: pd.DataFrame) -> pd.DataFrame:
        known = samples[samples[by].notna()]
        return known.assign(time=known.groupby(keys).cumcount())[[*keys, "time", "position", "category"]]

    return numbered(first).merge(numbered(second).drop(columns="category"), on=[*keys, "time"], suffixes=("_a", "_b"))


def differing_settings(a: Heads, b: Heads) -> pd.DataFrame:
    """The settings in which two runs differ, with those of their newest sessions, and of a table if both have it.

    Returns:
        `setting`, `a`, `b` (text); empty if none differs.
    """
    one_of, other_of = _session(a), _session(b)
    names = [
        name
        for name in _settings()
        if name not in TABLE_OF or all(TABLE_OF[name] in each.manifest.tables for each in (a, b))
    ]
    pairs = [(name, getattr(a.manifest, name), getattr(b.manifest, name)) for name in names]
    pairs += [(name, one_of.get(name), other_of.get(name)) for name in _SESSION]
    rows: list[tuple[str, str, str]] = []
    for name, one, other in pairs:
        if isinstance(one, dict) and isinstance(other, dict):
            parts = [(f"{name}: {key}", one.get(key), other.get(key)) for key in one | other]
        else:
            parts = [(name, one, other)]
        null = "none" if name in TABLE_OF else "unknown"  # where both have the table, all its fields are known
        rows += [(part, _text(left, null), _text(right, null)) for part, left, right in parts if left != right]
    return pd.DataFrame(rows, columns=["setting", "a", "b"])


def _settings() -> list[str]:
    return [field.name for field in dataclasses.fields(Manifest) if field.name not in (*DESCRIPTIVE, *DATA)]


def _session(heads: Heads) -> dict[str, object]:
    sessions = [session for ledger in heads.run.ledgers.values() for session in ledger.sessions]
    return vars(sessions[-1]) if sessions else {}


def _text(value: object, null: str) -> str:
    if isinstance(value, list):
        return listed(value)
    return null if value is None else str(value).replace("\n", "\\n")
