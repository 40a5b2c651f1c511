"""Where heads look while the model writes: image mass by step, for the page; the rest of it is said by commands."""

from dataclasses import dataclass

import numpy as np

from analyze.generated.reading import read_written
from analyze.generated.steps import FIXED, WRITING, MassChange, by_step, change_along_texts
from analyze.report.comparison import Rows
from analyze.report.samples.maps import Unread
from analyze.report.words import Words, number
from analyze.statistics.intervals import FEW_IMAGES
from analyze.tables.frames import Heads
from analyze.tables.values import generated_tokens
from schemas.columns import STEPS
from schemas.errors import HeadflowError

_DIGITS = 3


@dataclass(frozen=True)
class Writing:
    """Image mass by step.

    Attributes:
        rows: see `by_step`; `name`: of the set of texts, in words.
        said: whether it falls along the texts, in words.
        objects: whether the questions name objects of their images, which `mentions` looks for.
    """

    rows: Rows
    said: str
    objects: bool


def writing_of(heads: Heads, words: Words, unread: Unread) -> Writing | None:
    """Image mass by step of a run; None where no text has rows, or they cannot be read.

    Args:
        unread: is told if they cannot.
    """
    samples = heads.samples[heads.observed.to_numpy()]
    if STEPS not in heads.run.manifest.tables or not generated_tokens(samples).any():
        return None
    try:
        written = read_written(heads)
    except HeadflowError as error:
        unread.add(STEPS, "", len(samples), error)
        return None
    table = by_step(written)
    names = {WRITING: words["still_writing"], FIXED: words["fixed_set"]}
    columns = ["step", "texts", "images", "g2v", "g2v_low", "g2v_high"]
    rows = table.assign(name=table["texts_of"].map(names))[["name", *columns]].to_dict("records")
    named = [{str(key): value for key, value in row.items()} for row in rows]
    return Writing(named, _said(change_along_texts(written), words), bool(samples["objects"].notna().any()))


def _said(change: MassChange | None, words: Words) -> str:
    if change is None:
        return words["change_short"]
    values = {
        "begin": number(change.begin, _DIGITS), "end": number(change.end, _DIGITS), "first": change.first,
        "last": change.last, "texts": f"{change.texts:,}", "images": f"{change.images:,}", "least": FEW_IMAGES,
    }  # fmt: skip
    if np.isnan(change.low):
        return words.filled("change_few", **values)
    name = {-1: "change_falls", 0: "change_untold", 1: "change_rises"}[change.direction]
    span = words.span(change.low, change.high, _DIGITS, sign=True)
    return words.filled(name, **values, value=number(change.mean, _DIGITS, sign=True), span=span)
