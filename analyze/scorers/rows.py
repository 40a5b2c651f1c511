"""The questions of a run that are written for another tool's scorer, with what was answered."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from analyze.scores.accuracy import said, scored_questions, without_figure
from analyze.tables.frames import Heads

_GAPS = str.maketrans("\t\n\r\v\f\x85\u2028\u2029", " " * 8)  # what would end a cell or a line
LABELS = ("Yes", "No")


@dataclass(frozen=True)
class Answered:
    """The questions of a run whose answers are written, and those that are left out.

    Attributes:
        rows: `samples` in the order of the question file, with `text`, the answer that is read; `right` and `given`,
            the places of the right option and of that which is read, NaN where there is none; and the columns of groups
            of `scored_questions`.
        unlabelled: whether no observed question has a right answer that is an option, so that all are written.
        unscored: the ids of observed questions that are left out as their right answer is no option, while others have
            such an answer.
        without_figure: how many questions have no figure, see `without_figure`.
        missing: how many more are left out: skipped, or one that they are scored with is left out.
    """

    rows: pd.DataFrame
    unlabelled: bool
    unscored: Sequence[str]
    without_figure: int
    missing: int


def answered_rows(heads: Heads, *, labelled: bool, together: int | None = None) -> Answered:
    """Choose the questions whose answers are written: those that count in the score.

    Where no question has a right answer, as in the test split of a benchmark, those are written that were observed.

    Args:
        labelled: only questions whose right answer is an option.
        together: only groups of so many questions on an image.
    """
    samples = heads.samples
    scored = scored_questions(samples, heads.task)
    table = samples.assign(text=_one_line(said(samples))).join(
        scored.drop(columns=["category", "image"]).rename(columns={"right": "correct", "expected": "right"})
    )
    unknown = table["right"].isna() & heads.observed
    unlabelled = not labelled and unknown.sum() == heads.observed.sum()
    kept = table[unknown if unlabelled else table["counts"].eq(True)]
    if together is not None and heads.task.by_image:
        groups = kept.groupby([kept["category"].astype(str), heads.task.by_image.name])
        kept = kept[groups["sample_id"].transform("size") == together]
    unscored = [] if unlabelled else table.loc[unknown, "sample_id"].astype(str).tolist()
    bare = int(without_figure(samples, heads.task).sum())
    return Answered(
        kept.sort_values("row", kind="stable").reset_index(drop=True),
        unlabelled,
        unscored,
        bare,
        len(table) - len(kept) - len(unscored) - bare,
    )


def _one_line(texts: pd.Series) -> pd.Series:
    """Texts without what ends a line or a cell, and without space at their ends; empty where there is none."""
    return texts.fillna("").astype(str).str.translate(_GAPS).str.strip()


def labels(table: pd.DataFrame) -> list[str]:
    """The right answer to each question, `Yes` or `No`; empty where it is neither."""
    return ["" if pd.isna(place) else LABELS[int(place)] for place in table["right"]]


def images(table: pd.DataFrame) -> list[str]:
    """The name of each question's image, without tabs and line breaks, or its hash."""
    names = table["image"].fillna(table["image_sha256"])
    return [str(name).translate(_GAPS) for name in names]


def questions(table: pd.DataFrame) -> list[str]:
    """Each question on one line."""
    return [str(text).translate(_GAPS).strip() for text in table["question"].fillna("")]
