"""Which sample of one run is which of another: pairs by image and question, and the settings that differ."""

import dataclasses
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analyze.compare.sentences import Sentence
from analyze.scores.accuracy import right_options
from analyze.statistics.clusters import BY_HASH, Clusters
from analyze.tables.frames import Heads
from schemas.columns import TABLES
from schemas.errors import HeadflowError
from schemas.manifest import DESCRIPTIVE, Manifest
from schemas.tasks import Task
from schemas.text import listed

_SESSION = ("device", "kernel", "batch_size")
TABLE_OF = {field: table.name for table in TABLES.values() for field in table.fields}  # fields of one table
# Fields of the manifest that say which samples, not how
DATA = ("question_file_sha256", "columns", "num_chunks", "derived")
OTHER_ORDER, OTHER_OPTIONS = "order", "options"  # in what the options of a question differ, if they do


@dataclass(frozen=True)
class Pairs:
    """The samples that were observed in both of two runs.

    Attributes:
        table: one row per pair: `a` and `b` (int64, positions in `samples` of each run), `image` (what tells images
            apart: hash or name), `category` (that of the first run), `other_answer` (whether the right answers are
            two different options, told by their texts where questions have options of their own), `differ` (in what
            such options differ: `OTHER_ORDER`, `OTHER_OPTIONS` or nothing). In the order of the first run.
        by: `image_sha256` or `image`, by which images were told apart.
        only_a, only_b: samples observed in one run that have no partner.
        by_id: whether samples of one id were paired, as a run does not know its questions (an imported one).
    """

    table: pd.DataFrame
    by: str
    only_a: int
    only_b: int
    by_id: bool = False

    def clusters(self, samples: pd.DataFrame, rows: pd.DataFrame | None = None) -> Clusters:
        """The images of some rows of `table`, or of all, in its categories.

        Args:
            samples: those of the first run.
        """
        rows = self.table if rows is None else rows
        by = BY_HASH[BY_HASH.index(self.by) :]
        return Clusters.of(samples.iloc[rows["a"]], rows["category"], by)

    @property
    def other_answers(self) -> int:
        """How many pairs have different right answers."""
        return int(self.table["other_answer"].sum())

    def of_options(self) -> list[Sentence]:
        """How many pairs offer their options in another order, or others."""
        numbers = {name: int((self.table["differ"] == name).sum()) for name in (OTHER_ORDER, OTHER_OPTIONS)}
        return [Sentence(f"other_{name}", number=number) for name, number in numbers.items() if number]

    def sentence(self) -> Sentence:
        """How many samples were paired, and by what."""
        what = Sentence("by_content" if self.by == "image_sha256" else "by_name")
        question = Sentence("by_id" if self.by_id else "by_question")
        numbers = {"samples": len(self.table), "images": self.table["image"].nunique()}
        return Sentence("paired", **numbers, what=what, question=question, a=self.only_a, b=self.only_b)

    def in_words(self) -> str:
        """How many samples were paired, on one line."""
        return str(self.sentence())


def pair_samples(a: Heads, b: Heads) -> Pairs:
    """Pair the observed samples of two runs by image and question.

    Images are told apart by their content, or by their names where that pairs more (a hub's copy of a benchmark may
    hold the same pictures in other files). A question that is asked several times of one image is paired with the one
    whose options are the same, or else the same in another order, and among equals in order. Where a run does not know
    its questions, samples of one id are paired.

    Raises:
        HeadflowError: no sample of one is in the other.
    """
    first, second = (_observed(heads) for heads in (a, b))
    by_id = not all(each["question"].notna().any() for each in (first, second))
    if by_id:
        first, second = (each.assign(question=each["sample_id"]) for each in (first, second))
    ways = [(by, _merged(first, second, by)) for by in ("image_sha256", "image")]
    by, found = max(ways, key=lambda way: len(way[1]))  # the first of equals
    if found.empty:
        raise HeadflowError(
            f"{a.run.path} and {b.run.path} have no sample in common: none has the same image and "
            f"{'id' if by_id else 'question'} in both; give runs on the same question file"
        )
    table = found.rename(columns={by: "image", "position_a": "a", "position_b": "b"}).sort_values("a", kind="stable")
    table = table[["a", "b", "image", "category"]].reset_index(drop=True)
    sides = ((a, table["a"]), (b, table["b"]))
    one, other = (_right_answers(*side, in_words=not (a.task.options and b.task.options)) for side in sides)
    table["other_answer"] = one.notna() & other.notna() & (one != other)
    offered = [_offered(heads.samples.iloc[rows], heads.task) for heads, rows in sides]
    table["differ"] = _differ(*offered)
    return Pairs(table, by, len(first) - len(table), len(second) - len(table), by_id)


def _right_answers(heads: Heads, rows: pd.Series, *, in_words: bool) -> pd.Series:
    """The right answers at some positions in `samples`: the place of each, or its text; missing where it is none."""
    samples = heads.samples.iloc[rows].reset_index(drop=True)
    places = right_options(samples, heads.task)
    if not in_words:
        return places
    own = [heads.task.words] * len(samples) if heads.task.options else samples["options"]
    texts = [None if np.isnan(at) else _plain(each[int(at)]) for at, each in zip(places, own, strict=True)]
    return pd.Series(texts, dtype=object)


def _offered(samples: pd.DataFrame, task: Task) -> pd.DataFrame:
    """The options that questions have of their own as text: `options`, in order, and `offered`, sorted; else empty."""
    own = [()] * len(samples) if task.options else [() if each is None else each for each in samples["options"]]
    texts = [[_plain(option) for option in each] for each in own]
    columns = {
        "options": list(map(_SEPARATOR.join, texts)),
        "offered": [_SEPARATOR.join(sorted(each)) for each in texts],
    }
    return pd.DataFrame(columns)


def _differ(one: pd.DataFrame, other: pd.DataFrame) -> pd.Series:
    """In what the options of paired questions differ; empty text where they do not, or are not known in both."""
    known = (one["options"] != "") & (other["options"] != "") & (one["options"] != other["options"])
    how = pd.Series(np.where(one["offered"] == other["offered"], OTHER_ORDER, OTHER_OPTIONS))
    return how.where(known, "")


_SEPARATOR = "\0"


def _plain(option: str) -> str:
    return option.strip().casefold()


def _observed(heads: Heads) -> pd.DataFrame:
    """Position, id, image, question, options and category of the samples that were observed."""
    samples = heads.samples.assign(position=range(len(heads.samples)))[heads.observed.to_numpy()]
    columns = ["position", "sample_id", "image_sha256", "image", "question", "category"]
    table = samples[columns].astype({"sample_id": str, "category": str}).reset_index(drop=True)
    return table.join(_offered(samples, heads.task))


def _merged(first: pd.DataFrame, second: pd.DataFrame, by: str) -> pd.DataFrame:
    """The pairs, where images are told apart by a column; a sample that lacks it has no partner."""
    left = [each[each[by].notna()] for each in (first, second)]
    found = []
    for more in (["options"], ["offered"], []):
        keys = [by, "question", *more]
        one, other = (each.assign(time=each.groupby(keys).cumcount()) for each in left)
        columns = [*dict.fromkeys([by, "question", *keys, "time"]), "position"]
        pairs = one[[*columns, "category"]].merge(other[columns], on=[*keys, "time"], suffixes=("_a", "_b"))
        found.append(pairs[[by, "question", "position_a", "position_b", "category"]])
        left = [
            each[~each["position"].isin(pairs[side])]
            for each, side in zip(left, ("position_a", "position_b"), strict=True)
        ]
        if not all(map(len, left)):
            break
    return pd.concat(found, ignore_index=True)


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
