"""What an answer is: the options of a question, how a text is read as one of them, which one is right, what is scored.

`run.json` names the task of a run, one of `TASKS`, and other modules ask the task. An option is given by its place
among the options of the question, from 0.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, kw_only=True)
class Task:
    """A kind of questions.

    Attributes:
        name: as `task` in `run.json` has it.
        meaning: in words, for the documentation.
        options: the answers on offer where the user names no other words.
        right: the right answer of a question file -> the right option; None: it is none of them, and not scored.
        read: what a model says -> the option that it gives; None: it is none of them, which counts as wrong.
        paired: whether the score counts the questions about an image also together; without, there is only accuracy.
        title: of the table of scores.
        totals: sums of the scores of several categories, by name.
        spelled: columns of `samples` with the probability of a first token that spells a word, in any case: the column
            -> the option that the word is.
    """

    name: str
    meaning: str
    options: tuple[str, ...]
    right: Callable[[object], int | None]
    read: Callable[[object], int | None]
    paired: bool
    title: str
    totals: Mapping[str, Sequence[str]] = field(default_factory=dict)
    spelled: Mapping[str, int] = field(default_factory=dict)

    def right_of(self, options: Sequence[str], answer: object) -> int | None:
        """The place of the right answer among the options as they were offered; None: it is none of them.

        Options in other words than those of the task stand in its order.
        """
        right = self.right(answer)
        places = [self.right(option) for option in options]
        return places.index(right) if right in places and right is not None else right

    @property
    def words(self) -> tuple[str, ...]:
        """The options in small letters."""
        return tuple(option.lower() for option in self.options)

    @property
    def either(self) -> str:
        """The options in a sentence: `yes or no`."""
        return " or ".join(self.words)

    @property
    def neither(self) -> str:
        """What an answer is that is no option: `neither yes nor no`."""
        return f"neither {' nor '.join(self.words)}"

    @property
    def most(self) -> float:
        """The highest score of a category, in points: 100 for accuracy, and as much for that of pairs."""
        return 200.0 if self.paired else 100.0


def lead_of(logits: Sequence[float], right: int | None, margin: float | None = None) -> float | None:
    """The logit of the right option minus that of the strongest wrong one; None where `right` is.

    Args:
        logits: of each option.
        right: the place of the right option.
        margin: the first logit minus the second, where that is known more exactly.
    """
    if right is None:
        return None
    if len(logits) == 2 and margin is not None:
        return margin if right == 0 else -margin
    return logits[right] - max(logit for place, logit in enumerate(logits) if place != right)


def right_word(answer: object) -> int | None:
    """The right option, yes or no, if a text is that word, in any case and punctuation; None for any other text."""
    word = re.fullmatch(r"\W*(yes|no)\W*", answer, re.IGNORECASE) if isinstance(answer, str) else None
    return YES_NO.index(word[1].lower()) if word else None


def read_start(prediction: object) -> int | None:
    """The option, yes or no, that the first four letters of a prediction have, or else None.

    This is the rule of MME's script, after spaces at either end. lmms-eval also counts a single letter, `y` or `N.`,
    which is `None` here.
    """
    start = prediction.strip().lower()[:4] if isinstance(prediction, str) else ""
    return next((place for place, word in enumerate(YES_NO) if word in start), None)


YES_NO = ("yes", "no")
OFFERED: tuple[str, str] = ("Yes", "No")  # where the user names no other words
PERCEPTION = (
    "existence", "count", "position", "color", "posters", "celebrity", "scene", "landmark", "artwork", "OCR",
)  # fmt: skip
COGNITION = ("commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning")
MME = Task(
    name="mme",
    meaning="questions with the answer yes or no, those about one image also scored together, where there are several",
    options=OFFERED,
    right=right_word,
    read=read_start,
    paired=True,
    title="MME score",
    totals={"perception": PERCEPTION, "cognition": COGNITION},
    spelled={"p_yes": 0, "p_no": 1},
)
PLAIN = replace(
    MME, name="yes-no", meaning="such questions, each scored by itself", paired=False, title="accuracy", totals={}
)
TASKS = {task.name: task for task in (MME, PLAIN)}
SPELLED = tuple(dict.fromkeys(column for task in TASKS.values() for column in task.spelled))  # of all tasks
