"""The fields of a question under the names that question files give them -> the fields of MME_test.json."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from schemas.errors import HeadflowError
from schemas.text import short

MME_SUFFIX = "\nAnswer the question using a single word or phrase."  # what LLaVA appends to MME's questions
# By field, the names that it may have in a file; of several, the first that has a value counts
FIELD_NAMES = {
    "question_id": ("question_id", "index"),  # the latter of VLMEvalKit's tables
    "image_file": ("image_file", "image", "img", "image_path"),
    "question": ("question", "text", "prompt"),
    "answer": ("answer", "label", "multiple_choice_answer", "gt_answer"),  # the last two of VQAv2 and HallusionBench
    "category": ("category",),
    "difficulty": ("difficulty",),
    "boxes": ("boxes",),
    "objects": ("objects",),
}
PLACED = ("boxes", "objects")  # fields that are not text, with rectangles
GT_ANSWERS = {"0": "No", "1": "Yes"}  # as HallusionBench writes them
_REQUIRED = ("image_file", "question")
NEEDED = " and ".join(f"`{field}` (or {', '.join(FIELD_NAMES[field][1:])})" for field in _REQUIRED)


def to_mme_fields(row: Any, where: str) -> Any:
    """A row with the fields of MME_test.json that it has, under any of `FIELD_NAMES`; what is no object stays as it is.

    Names are read in any case. A value that is missing becomes None. A question that is not called `question` comes
    without `MME_SUFFIX`, with which LLaVA's files end it.

    Raises:
        HeadflowError: two names that are not `question` have texts, such as `prompt` and `text` in LLaVA's answers;
            `where` names the row.
    """
    if not isinstance(row, dict):
        return row
    if isinstance(row.get("conversations"), list):
        row = _with_first_messages(row)
    given = names_in_small_letters(row) | row
    found: dict[str, Any] = {}
    for field, names in FIELD_NAMES.items():
        there = [name for name in names if name in given]
        if there:
            known = [name for name in there if not is_missing(given[name])]
            found[field] = given[known[0]] if known else None
            if field == "question" and known and known[0] != field:
                if any(given[name] != given[known[0]] for name in known):
                    raise HeadflowError(f"{where} has `{'` and `'.join(known)}`; call the one to ask `{field}`")
                if isinstance(found[field], str):
                    found[field] = found[field].removesuffix(MME_SUFFIX)
            if field == "answer" and known[:1] == ["gt_answer"]:
                found[field] = GT_ANSWERS.get(str(found[field]), found[field])
    return found


def names_in_small_letters(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row by the names of its columns in small letters, without spaces at their ends."""
    return {str(name).strip().lower(): value for name, value in row.items()}


def is_missing(value: Any) -> bool:
    """Whether a value stands for none: None, or NaN or infinity, as pandas writes them into JSON and Parquet."""
    return value is None or (isinstance(value, float) and not math.isfinite(value))


def check_rows(rows: Sequence[Any], path: Path) -> None:
    """Raise `HeadflowError` if a row of a question file is no object, or has no image or no question."""
    bad = [(number, what) for number, row in enumerate(rows) if (what := _what_is_wrong(row))]
    if bad:
        number, what = bad[0]
        others = f" (and {len(bad) - 1} more rows like it)" if len(bad) > 1 else ""
        raise HeadflowError(f"question file {path}: row {number} {what}{others}; each row needs {NEEDED}")


def _what_is_wrong(row: Any) -> str:
    if not isinstance(row, dict):
        return f"is {short(row)}, not an object"
    return next((f"has no `{field}`" for field in _REQUIRED if field not in row), "")


def _with_first_messages(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with the first question and answer of its `conversations`; some of ScienceQA's have no image."""

    def first(sender: str) -> Any:
        messages = (message for message in row["conversations"] if isinstance(message, dict))
        return next((message.get("value") for message in messages if message.get("from") == sender), None)

    return {"question_id": row.get("id"), "image": None, "question": first("human"), "answer": first("gpt"), **row}
