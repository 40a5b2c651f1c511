"""How scorers of other tools read an answer: a text, and the options of its question -> the place of the option.

Each is written after what the tool's public code does, which the function names. None: it reads none of the options.
"""

import re
from collections.abc import Callable, Sequence

from schemas.tasks import OPTION_LETTERS, YES_NO

Reading = Callable[[str, Sequence[str]], int | None]
YES, NO = range(len(YES_NO))
_LONGEST = 10  # characters of a prediction in which VLMEvalKit looks for an option without another model
_MARKS = ';/[]"{}()=+\\_->@<`,?!'
_OPTION_MARKS = ".()[],:;!*#{}"
_LAST = 4  # words of a prediction, among which the letter is


def by_mme(text: str, options: Sequence[str] = ()) -> int | None:
    """`eval_tool/calculation.py` of MME: a word in the first four letters, yes before no."""
    start = text.lower()[:4]
    return next((place for place, word in enumerate(YES_NO) if word in start), None)


def by_pope(text: str, options: Sequence[str] = ()) -> int | None:
    """`evaluate.py` of POPE and `eval_pope.py` of LLaVA: no if the first sentence has such a word, or else yes."""
    words = text.partition(".")[0].replace(",", "").split(" ")
    return NO if {"No", "not", "no"} & {*words} else YES


def by_vlmevalkit_word(text: str, options: Sequence[str] = ()) -> int | None:
    """`YOrN_Extraction` of VLMEvalKit: one of the words anywhere, and not the other one."""
    text = text.lower()
    digits = re.search(r"\d,\d", text)
    plain = text
    for mark in _MARKS:
        beside = digits or f"{mark} " in text or f" {mark}" in text
        plain = plain.replace(mark, "" if beside else " ")
    words = {*re.sub(r"\.(?!\d)", "", plain).split()}
    found = [place for place, word in enumerate(YES_NO) if word in words]
    return found[0] if len(found) == 1 else None


def by_vlmevalkit_option(text: str, options: Sequence[str]) -> int | None:
    """`can_infer` of VLMEvalKit, by exact matching, without another model that reads longer answers."""
    text = text.strip()
    if len(text) >= _LONGEST:
        return None
    words = text.translate(str.maketrans(_OPTION_MARKS, " " * len(_OPTION_MARKS))).split()
    named = [place for place in range(len(options)) if OPTION_LETTERS[place] in words]
    if len(named) == 1 and words.index(OPTION_LETTERS[named[0]]) >= len(words) - _LAST:
        return named[0]
    inside = [place for place, option in enumerate(options) if option.lower() in text.lower()]
    return inside[0] if len(inside) == 1 and len(text) <= 2 * sum(map(len, options)) else None


def by_lmms_mme(text: str, options: Sequence[str] = ()) -> int | None:
    """`tasks/mme/utils.py` of lmms-eval: as MME without points, or a single letter."""
    plain = text.lower().strip().replace(".", "")
    return "yn".find(plain) if plain in ("y", "n") else by_mme(plain)


def by_lmms_pope(text: str, options: Sequence[str] = ()) -> int | None:
    """`tasks/pope/utils.py` of lmms-eval: nothing but the word."""
    plain = text.lower().strip()
    return YES_NO.index(plain) if plain in YES_NO else None
