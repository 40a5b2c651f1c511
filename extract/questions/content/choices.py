"""What a whole question file says of its options and right answers, beside what each row says of its own.

Options may stand in the text of the questions. A right answer that is a number is read by one rule for the whole file.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from extract.questions.fields import wrong_options
from extract.questions.samples import Sample
from schemas.tasks import OPTION_LETTERS, Task, right_choice
from schemas.text import counted

_HEADING = re.compile(r"\b(?:options|choices):", re.IGNORECASE)
# How the letters of options are written within a question: `(A) x (B) y` and `A. x` of ScienceQA in LLaVA's form,
# `Options: A: x, B: y` of MMStar, `A) x`
_MARKS = (r"\(([A-Z])\)", r"(?<![\w.])([A-Z])\.(?=\s)", r"(?<!\w)([A-Z]):(?=\s)", r"(?<![\w(])([A-Z])\)(?=\s)")
_OWN_LETTER = re.compile(r"(?:\(([A-Z])\)|([A-Z])[.):])\s*(?=\S)")
_NUMBER = re.compile(r"(\d+)(?:\.0*)?")
WORDS, FROM_0, FROM_1 = "the words of an option", "places from 0, which is A", "places from 1, which is A"


def listed_options(question: str) -> list[str]:
    """The options that a question lists in its own text, each after its letter; empty if it lists none."""
    *_, start = [0, *(match.end() for match in _HEADING.finditer(question))]
    return max((_after_marks(question[start:], mark) for mark in _MARKS), key=len)


def written_options(question: str, options: Sequence[str]) -> Sequence[str]:
    """The options that a prompt has beside its question: none if the question lists the same ones."""
    return () if listed_options(question) == list(options) else options


def _after_marks(text: str, mark: str) -> list[str]:
    """What stands after each of the letters A, B ... in a text; empty if there are not two."""
    found: list[re.Match[str]] = []
    for match in re.finditer(mark, text):
        if match[1] == "A":
            found = found if len(found) > 1 else [match]
        elif found and match[1] == OPTION_LETTERS[len(found)]:
            found.append(match)
    if len(found) < 2:
        return []
    ends = [match.start() for match in found[1:]]
    inside = [text[match.end() : end] for match, end in zip(found, ends, strict=False)]
    last = text[found[-1].end() :].strip().split("\n")[0].replace("<image>", "")
    options = [re.sub(r"[,;]\s*$", "", option.rstrip()).strip() for option in inside] + [last.strip()]
    return options if all(options) else []


def with_options(samples: Sequence[Sample]) -> list[Sample]:
    """Samples with the options that stand in their questions, if no sample has others, and most are so.

    Letters that options bring themselves, `A. red`, are taken off where all options of a question do so.
    """
    if any(sample.options for sample in samples):
        return [replace(each, options=_without_letters(each.options)) if each.options else each for each in samples]
    found = [listed_options(sample.question) for sample in samples]
    fit = [
        len(options) > 1 and (sample.answer is None or right_choice(sample.answer, options) is not None)
        for sample, options in zip(samples, found, strict=True)
    ]
    if 2 * sum(fit) <= len(samples):
        return list(samples)
    return [
        replace(each, options=tuple(options)) if options else each for each, options in zip(samples, found, strict=True)
    ]


def _without_letters(options: tuple[str, ...]) -> tuple[str, ...]:
    begins = [_OWN_LETTER.match(option) for option in options]
    own = [match and (match[1] or match[2]) for match in begins]
    if own != list(OPTION_LETTERS[: len(options)]):
        return options
    return tuple(option[match.end() :] for option, match in zip(options, begins, strict=True) if match)


def read_numbers(samples: Sequence[Sample], *, columns_from_1: bool) -> tuple[list[Sample], str | None]:
    """Samples with letters in place of right answers that are numbers, and a line on how these are read, or None.

    One rule holds for the file: the one that gives the most of them an option. Of several, the words of an option come
    before its place.

    Args:
        columns_from_1: whether the options stand in columns numbered from 1, such as `option_1`.
    """
    numbers = {
        place: int(match[1])
        for place, sample in enumerate(samples)
        if sample.options and not wrong_options(sample.options) and (match := _NUMBER.fullmatch(sample.answer or ""))
    }
    if not numbers:
        return list(samples), None
    rules: dict[str, Callable[[int], int | None]] = {
        WORDS: lambda place: _of_words(samples[place]),
        FROM_0: lambda place: _within(numbers[place], samples[place]),
        FROM_1: lambda place: _within(numbers[place] - 1, samples[place]),
    }
    usual = FROM_1 if columns_from_1 else FROM_0
    order = (WORDS, FROM_1, FROM_0) if columns_from_1 else (WORDS, FROM_0, FROM_1)
    found = {name: {place: rules[name](place) for place in numbers} for name in order}
    fits = {name: sum(option is not None for option in found[name].values()) for name in order}
    taken = max(order, key=lambda name: fits[name])
    others = [name for name in order if fits[name] == fits[taken] and found[name] != found[taken]]
    words = sum(sample.answer is not None and bool(sample.options) for sample in samples) > len(numbers)
    said = None
    if (others and not (words and taken == WORDS)) or taken not in (WORDS, usual):
        also = f", as would {' and '.join(others)}" if others else ""
        said = (
            f"right answers that are numbers are read as {taken}, which fits {fits[taken]:,} of "
            f"{counted(len(numbers), 'row')}{also}; letters say it plainly"
        )
    letters = {place: OPTION_LETTERS[option] for place, option in found[taken].items() if option is not None}
    return [replace(each, answer=letters.get(place, each.answer)) for place, each in enumerate(samples)], said


def _within(place: int, sample: Sample) -> int | None:
    return place if 0 <= place < len(sample.options or ()) else None


def _of_words(sample: Sample) -> int | None:
    """The option that says the number of a sample's right answer, as it is written or as a whole number."""
    options, answer = sample.options or (), sample.answer or ""
    found = right_choice(answer, options)
    return right_choice(answer.split(".")[0], options) if found is None else found


def answer_notes(samples: Sequence[Sample], task: Task) -> list[str]:
    """Lines on questions without options among others with them, and on right answers that are no option, or two."""
    return [
        note
        for note in (_without_options(samples, task), _without_right(samples, task), _letter_and_words(samples, task))
        if note is not None
    ]


def _without_options(samples: Sequence[Sample], task: Task) -> str | None:
    missing = [sample.row for sample in samples if sample.question and not sample.options]
    if task.options or not missing:
        return None
    return (
        f"{len(missing):,} of {counted(len(samples), 'question')} {'has' if len(missing) == 1 else 'have'} no options, "
        f"row {missing[0]} first: they are skipped; ask them from a file of their own"
    )


def _without_right(samples: Sequence[Sample], task: Task) -> str | None:
    answered = [sample for sample in samples if sample.answer is not None]
    if not task.options:
        answered = [sample for sample in answered if sample.options and not wrong_options(sample.options)]
    wrong = [each.row for each in answered if task.right(each.answer, each.options or ()) is None]
    if not wrong:
        return None
    if task.options and len(wrong) == len(answered):
        return (
            f"no right answer is {task.either}, as the task {task.name} has them: all are asked and none is scored; "
            "options belong into columns A, B ..., or into a list `options`"
        )
    rows = counted(len(wrong), "row has", "rows have")
    return f"{rows} a right answer that is {task.neither}, row {wrong[0]} first; they are asked and not scored"


def _letter_and_words(samples: Sequence[Sample], task: Task) -> str | None:
    """A line on right answers that are the letter of one option and all that another one says."""
    if task.options:
        return None
    rows = [
        sample.row
        for sample in samples
        if (right := right_choice(sample.answer, sample.options or ())) is not None
        and sample.options is not None
        and (sample.answer or "").strip() == OPTION_LETTERS[right]
        and any(
            option.strip() == OPTION_LETTERS[right] for place, option in enumerate(sample.options) if place != right
        )
    ]
    if not rows:
        return None
    return (
        f"{counted(len(rows), 'right answer is', 'right answers are')} a letter that another option has as its text, "
        f"row {rows[0]} first; the letter counts"
    )
