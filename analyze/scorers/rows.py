"""The questions of a run that are written for another tool's scorer, with what was answered."""

import pandas as pd

from analyze.scores.accuracy import said, scored_questions
from analyze.tables.frames import Heads

_GAPS = str.maketrans("\t\n\r\v\f\x85\u2028\u2029", " " * 8)  # what would end a cell or a line
LABELS = ("Yes", "No")


def answered_rows(heads: Heads, *, labelled: bool, together: int | None = None) -> tuple[pd.DataFrame, int]:
    """The questions whose answers are written, in the order of the question file, and how many are not.

    A question that was skipped is not, nor one that does not count as others that it is scored with were.

    Args:
        labelled: only questions whose right answer is an option.
        together: only groups of so many questions on an image.

    Returns:
        `samples`, with `text`, the answer that is read; `right` and `given`, the places of the right option and of
        that which is read, NaN where there is none; and the columns of groups of `scored_questions`.
    """
    samples = heads.samples
    scored = scored_questions(samples, heads.task)
    table = samples.assign(text=_one_line(said(samples))).join(
        scored.drop(columns=["category", "image"]).rename(columns={"right": "correct", "expected": "right"})
    )
    unlabelled = table["right"].isna() & heads.observed & (not labelled)
    kept = table[table["counts"].eq(True) | unlabelled]
    if together is not None and heads.task.by_image:
        groups = kept.groupby([kept["category"].astype(str), heads.task.by_image.name])
        kept = kept[groups["sample_id"].transform("size") == together]
    return kept.sort_values("row", kind="stable").reset_index(drop=True), len(table) - len(kept)


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
