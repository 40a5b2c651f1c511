"""The fields of a question under the names that question files give them -> the fields of MME_test.json.

Options stand in a column each (`A`, `B` ... of MMBench and VLMEvalKit, `choice_a` ... of SEED-Bench), or together in a
list (`choices` of ScienceQA, `options` of MMMU, which writes the list as text).
"""

import ast
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from schemas.errors import HeadflowError
from schemas.tasks import OPTION_LETTERS
from schemas.text import counted, short

MME_SUFFIX = "\nAnswer the question using a single word or phrase."  # what LLaVA appends to MME's questions
# By field, the names that it may have in a file; of several, the first that has a value counts
FIELD_NAMES = {
    "question_id": ("question_id", "index"),  # the latter of VLMEvalKit's tables
    "image_file": ("image_file", "image", "img", "image_path", "filename", "data_id"),  # the last of SEED-Bench
    "question": ("question", "text", "prompt", "query"),
    "answer": ("answer", "label", "multiple_choice_answer", "gt_answer"),  # the last two of VQAv2 and HallusionBench
    "category": ("category", "question_type_id"),  # the latter of SEED-Bench
    "difficulty": ("difficulty",),
    "boxes": ("boxes",),
    "objects": ("objects",),
}
NO_FIGURE = "visual_input"  # 0 where a question of HallusionBench is asked without an image
KIND = "data_type"  # image or video, of SEED-Bench
NO_TEXT = ("image_file", "boxes", "objects")  # fields that are not text
_IMAGES = "images"  # a list of them
_NUMBERED = re.compile(r"image[ _]?(\d)")  # a column for each, as MMMU has them
GT_ANSWERS = {"0": "No", "1": "Yes"}  # as HallusionBench writes them
HINTS = ("hint", "context")
NAN = ("nan", "NaN")  # as a missing value is written where all of a column is made text
_NO_HINT = ("", "nan", "none", "null")
_LISTS = ("options", "choices")
_LETTERED = re.compile(r"[a-z]")
_NAMED = re.compile(r"(?:choice|option)[ _]?([a-z\d])")
REQUIRED = ("image_file", "question")
NEEDED = " and ".join(f"`{field}` (or {', '.join(FIELD_NAMES[field][1:])})" for field in REQUIRED)


def to_mme_fields(row: Any, where: str) -> Any:
    """A row with the fields of MME_test.json that it has, under any of `FIELD_NAMES`; what is no object stays as it is.

    It also has the `options` and the `hint` of the question, if there are any. `image_file` is a list where there are
    several images.

    Names are read in any case. A value that is missing becomes None. A question that is not called `question` comes
    without `MME_SUFFIX`, with which LLaVA's files end it. If two other names have different texts, such as `prompt` and
    `text` in LLaVA's answers, `question` is the error to raise; `where` names the row.
    """
    if not isinstance(row, dict):
        return row
    if isinstance(row.get("conversations"), list):
        row = _with_first_messages(row)
    given = with_small_names(row)
    found: dict[str, Any] = {}
    for field, names in FIELD_NAMES.items():
        there = [name for name in names if name in given]
        if there:
            known = [name for name in there if not is_missing(given[name])]
            found[field] = given[known[0]] if known else None
            if field == "question" and known and known[0] != field:
                if any(given[name] != given[known[0]] for name in known):
                    found[field] = HeadflowError(
                        f"{where} has `{'` and `'.join(known)}`; call the one to ask `{field}`"
                    )
                if isinstance(found[field], str):
                    found[field] = found[field].removesuffix(MME_SUFFIX)
            if field == "answer" and known[:1] == ["gt_answer"]:
                found[field] = GT_ANSWERS.get(str(found[field]), found[field])
    if (images := images_of(given)) is not None:
        found["image_file"] = images if len(images) > 1 else images[0]
    if (options := options_of(given, found.get("answer"))) is not None:
        found["options"] = options
    if found.get("answer") in NAN and found["answer"] not in (options or ()):
        found["answer"] = None
    if without_figure(given) or is_video(given):
        found["image_file"] = None
    hint = hint_of(given)
    return found if hint is None else found | {"hint": hint}


def with_small_names(row: dict[Any, Any]) -> dict[str, Any]:
    """A row whose values also have their names in small letters."""
    return {str(name).strip().lower(): value for name, value in row.items()} | row


def image_columns(columns: Iterable[str]) -> list[str]:
    """The columns of a file that hold images, or their names, beside those with the names of `image_file`."""
    return [column for column in columns if (name := column.strip().lower()) == _IMAGES or _NUMBERED.fullmatch(name)]


def images_of(row: Mapping[str, Any]) -> list[Any] | None:
    """The images of a row, whose names are in small letters, one or more; None if it has no value that says them.

    They are a list in `images` or under a name of `image_file`, also as the text of one, or stand in `image_1`,
    `image_2` ... each; `image` may be the first of these. An image that is missing before another one is None.
    """
    numbered = {int(match[1]): row[name] for name in row if (match := _NUMBERED.fullmatch(name))}
    numbered = {number: value for number, value in numbered.items() if not is_missing(value) and value != ""}
    there = [name for name in (*FIELD_NAMES["image_file"], _IMAGES) if name in row]
    lists = [each for name in there if (each := _listed(row[name])) is not None]
    if several := next((each for each in lists if len(each) > 1), None):
        return several
    first = {1: lists[0][0]} if lists else {}
    numbered = first | numbered
    return [numbered.get(number) for number in range(1, max(numbered) + 1)] if numbered else None


def _listed(value: Any) -> list[Any] | None:
    """What may be a list, or the text of one, as a list; None where nothing is in it."""
    if isinstance(value, str) and value.startswith("[") and value.endswith("]"):
        try:
            value = ast.literal_eval(value)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return [value]
    several = list(value) if isinstance(value, list | tuple) else [value]
    return several if any(not is_missing(each) and each != "" for each in several) else None


def is_missing(value: Any) -> bool:
    """Whether a value stands for none: None, or NaN or infinity, as pandas writes them into JSON and Parquet."""
    return value is None or (isinstance(value, float) and not math.isfinite(value))


def is_video(row: Mapping[str, Any]) -> bool:
    """Whether a row is a question of SEED-Bench about a video."""
    return str(row.get(KIND, "")).strip().lower() == "video"


def without_figure(row: Mapping[str, Any]) -> bool:
    """Whether a row is a question of HallusionBench that is asked without an image."""
    return str(row.get(NO_FIGURE, "")).strip() == "0"


def _with_first_messages(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with the first question and answer of its `conversations`; some of ScienceQA's have no image."""

    def first(sender: str) -> Any:
        messages = (message for message in row["conversations"] if isinstance(message, dict))
        return next((message.get("value") for message in messages if message.get("from") == sender), None)

    return {"question_id": row.get("id"), "image": None, "question": first("human"), "answer": first("gpt"), **row}


def option_columns(columns: Iterable[str]) -> list[str]:
    """The columns of a file that hold options or a hint, in its order."""
    by_name = {column: column.strip().lower() for column in columns}
    found = {*HINTS, *_LISTS, *_single(by_name.values())}
    return [column for column, name in by_name.items() if name in found]


def options_of(row: Mapping[str, Any], answer: Any = None) -> list[str] | None:
    """The options of a row, whose names are in small letters; None if it has none.

    A list that is no list, or has other than texts and numbers in it, comes as its only option. What is missing after
    the last option is none; so is `nan`, as lmms-lab's tables write it, unless it is the right answer.
    """
    for name in _LISTS:
        if not is_missing(value := row.get(name)):
            return _together(value)
    options = ["" if is_missing(row[name]) else _text(row[name]) for name in _single(row)]
    while options and (not options[-1] or (options[-1] in NAN and not _names_last(answer, options))):
        options.pop()
    return options or None


def _names_last(answer: Any, options: Sequence[str]) -> bool:
    """Whether a right answer may name the last option: by its letter, its place or its words."""
    place = len(options) - 1
    return not is_missing(answer) and _text(answer) in (OPTION_LETTERS[place : place + 1], str(place), options[-1])


def hint_of(row: Mapping[str, Any]) -> str | None:
    """The hint of a row, whose names are in small letters; None if it has none."""
    texts = [_text(row[name]) for name in HINTS if not is_missing(row.get(name))]
    return next((text for text in texts if text.casefold() not in _NO_HINT), None)


def is_first_option(column: str) -> bool:
    """Whether a column holds the first option of columns that are numbered from 1, such as `option_1`."""
    named = _NAMED.fullmatch(column.strip().lower())
    return named is not None and named[1] == "1"


def wrong_options(options: Sequence[str]) -> str:
    """Why a question cannot be asked with some options; empty if it can."""
    if len(options) < 2:
        return f"it has {counted(len(options), 'option')}{f', {short(options[0])}' if options else ''}"
    if len(options) > len(OPTION_LETTERS):
        return f"it has {len(options)} options, and there are {len(OPTION_LETTERS)} letters"
    plain = [option.strip() for option in options]
    if "" in plain:
        return f"its option {OPTION_LETTERS[plain.index('')]} is empty"
    if twice := next((option for option in plain if plain.count(option) > 1), None):
        same = " and ".join(OPTION_LETTERS[place] for place, option in enumerate(plain) if option == twice)
        return f"its options {same} are the same, {short(twice)}"
    return ""


def _single(names: Iterable[str]) -> list[str]:
    """The names of columns of one option each, in the order of their letters; single letters where `a` and `b` are."""
    there = list(names)
    lettered = [name for name in there if _LETTERED.fullmatch(name)] if {"a", "b"} <= {*there} else []
    return sorted(lettered) or sorted(name for name in there if _NAMED.fullmatch(name))


def _together(value: Any) -> list[str] | None:
    if isinstance(value, str):
        try:
            value = ast.literal_eval(value)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return [value]
    if isinstance(value, dict):
        by_letter = all(_LETTERED.fullmatch(str(name).strip().lower()) for name in value)
        value = [value[name] for name in (sorted(value) if by_letter else value)]
    if not isinstance(value, list | tuple) or any(isinstance(each, list | tuple | dict | bool) for each in value):
        return [_text(value)]
    return ["" if is_missing(each) else _text(each) for each in value] or None


def _text(value: Any) -> str:
    """A value as text; a whole number that a table holds as 3.0 is 3."""
    whole = isinstance(value, float) and value == int(value)
    return str(int(value) if whole else value).strip()
