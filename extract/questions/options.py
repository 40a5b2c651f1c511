"""The options and the hint of a question, under the names that question files give them.

Options stand in a column each (`A`, `B` ... of MMBench and VLMEvalKit, `choice_a` ... of SEED-Bench), or together in a
list (`choices` of ScienceQA, `options` of MMMU, which writes the list as text).
"""

import ast
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from extract.questions.fields import is_missing
from schemas.tasks import LETTERS
from schemas.text import counted, short

HINTS = ("hint", "context")
_LISTS = ("options", "choices")
_LETTERED = re.compile(r"[a-z]")
_NAMED = re.compile(r"(?:choice|option)[ _]?([a-z\d])")


def option_columns(columns: Iterable[str]) -> list[str]:
    """The columns of a file that hold options or a hint, in its order."""
    by_name = {column: column.strip().lower() for column in columns}
    found = {*HINTS, *_LISTS, *_single(by_name.values())}
    return [column for column, name in by_name.items() if name in found]


def options_of(row: Mapping[str, Any]) -> list[str] | None:
    """The options of a row, whose names are in small letters; None if it has none.

    A list that is no list comes as its only option. What is missing after the last option is none.
    """
    for name in _LISTS:
        if not is_missing(value := row.get(name)):
            return _together(value)
    options = ["" if is_missing(row[name]) else _text(row[name]) for name in _single(row)]
    while options and not options[-1]:
        options.pop()
    return options or None


def hint_of(row: Mapping[str, Any]) -> str | None:
    """The hint of a row, whose names are in small letters; None if it has none."""
    return next((_text(row[name]) for name in HINTS if not is_missing(row.get(name)) and _text(row[name])), None)


def as_letter(answer: Any, options: Sequence[str] | None) -> Any:
    """A right answer that is the place of an option, from 0, as its letter; any other answer as it is."""
    place = isinstance(answer, int | float) and not isinstance(answer, bool) and answer == int(answer)
    return LETTERS[int(answer)] if place and options and 0 <= answer < min(len(options), len(LETTERS)) else answer


def wrong_options(options: Sequence[str]) -> str:
    """Why a question cannot be asked with some options; empty if it can."""
    if len(options) < 2:
        return f"it has {counted(len(options), 'option')}{f', {short(options[0])}' if options else ''}"
    if len(options) > len(LETTERS):
        return f"it has {len(options)} options, and there are {len(LETTERS)} letters"
    plain = [option.strip() for option in options]
    if "" in plain:
        return f"its option {LETTERS[plain.index('')]} is empty"
    if twice := next((option for option in plain if plain.count(option) > 1), None):
        same = " and ".join(LETTERS[place] for place, option in enumerate(plain) if option == twice)
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
        value = list(value.values())
    if not isinstance(value, list | tuple):
        return [_text(value)]
    return ["" if is_missing(each) else _text(each) for each in value] or None


def _text(value: Any) -> str:
    """A value as text; a whole number that a table holds as 3.0 is 3."""
    whole = isinstance(value, float) and value == int(value)
    return str(int(value) if whole else value).strip()
