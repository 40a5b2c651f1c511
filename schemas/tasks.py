"""What an answer is: the options of a question, how a text is read as one of them, which one is right, what is scored.

`run.json` names the task of a run, one of `TASKS`, and other modules ask the task. An option is given by its place
among the options of the question, from 0.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from string import ascii_uppercase
from typing import Any

from schemas.columns import UNKNOWN

OPTION_LETTERS = ascii_uppercase  # of options, by place
P_OPTIONS = "p_options"  # column of `samples`: the probability of a first token that is the letter of an option
SUM, MEAN, POOLED = ("sum", "mean", "pooled")  # how scores of categories make up one


Row = Mapping[str, Any]  # a row of a question file, by names in small letters


@dataclass(frozen=True, kw_only=True)
class Group:
    """Questions that count together: all of them are right, or the group is not.

    Attributes:
        name: of such groups; `accuracy_` and the name is the share of them that is right.
        meaning: of that share, in words.
        of: a row -> what tells its group from others; None: it is in none. Without `of`, the questions on one image.
        columns: the columns that `of` reads beside `category` and `question_id`.
        least: the fewest questions of a whole group; None: as many as its questions have options.
    """

    name: str
    meaning: str
    of: Callable[[Row], str | None] | None = None
    columns: Collection[str] = ()
    least: int | None = 1

    @property
    def measure(self) -> str:
        """The name of its accuracy in the table of scores."""
        return f"accuracy_{self.name}"


@dataclass(frozen=True, kw_only=True)
class Task:
    """A kind of questions.

    Attributes:
        name: as `task` in `run.json` has it.
        meaning: in words, for the documentation.
        options: the answers on offer where the user names no other words; empty: each question has its own, and is
            answered by the letter of one.
        right: the right answer of a question file, and the options of the question -> the right option; None: it is
            none of them, and not scored.
        read: what a model says, and the options of the question -> the option that it gives; None: it is none of them,
            which counts as wrong.
        title: of the table of scores.
        groups: the questions that are also scored together. A question counts where all of its groups are whole.
        parts: the accuracies that the score of a category is the sum of, by their names in the table of scores.
        totals: scores of several categories together, by name; without names of categories: of all that there are.
        together: how: `SUM`, `MEAN`, or `POOLED`, the score of all their questions.
        positive: the option that is to be found: the score has also its precision and recall, F1, and how often it is
            given; None: it has not.
        marks: the names of categories by which question files of the task are known.
        marked: whether a row with another one of its group shows that a question file is of the task; None: no row
            does.
        spelled: columns of `samples` with the probability of a first token that spells a word, in any case: the column
            -> the option that the word is.
    """

    name: str
    meaning: str
    options: tuple[str, ...]
    right: Callable[[object, Sequence[str]], int | None]
    read: Callable[[object, Sequence[str]], int | None]
    title: str
    groups: Sequence[Group] = ()
    parts: Sequence[str] = ("accuracy",)
    totals: Mapping[str, Sequence[str]] = field(default_factory=dict)
    together: str = SUM
    positive: int | None = None
    marks: Collection[str] = ()
    marked: Callable[[Row], bool] | None = None
    spelled: Mapping[str, int] = field(default_factory=dict)

    def right_of(self, options: Sequence[str], answer: object) -> int | None:
        """The place of the right answer among the options as they were offered; None: it is none of them.

        Options in other words than those of the task stand in its order.
        """
        right = self.right(answer, options)
        if not self.options:
            return right
        places = [self.right(option, ()) for option in options]
        return places.index(right) if right in places and right is not None else right

    @property
    def probabilities(self) -> tuple[str, ...]:
        """The columns of `samples` whose sum is the probability that the first token is an answer."""
        return tuple(self.spelled) or (P_OPTIONS,)

    @property
    def words(self) -> tuple[str, ...]:
        """The options in small letters."""
        return tuple(option.lower() for option in self.options)

    @property
    def either(self) -> str:
        """The options in a sentence: `yes or no`."""
        return " or ".join(self.words) or "one of the options"

    @property
    def neither(self) -> str:
        """What an answer is that is no option: `neither yes nor no`."""
        return f"neither {' nor '.join(self.words)}" if self.options else "none of the options"

    @property
    def first(self) -> str:
        """The first of the options, as it is written in pictures; empty where each question has its own."""
        return self.options[0] if self.options else ""

    @property
    def opposite(self) -> bool:
        """Whether a question has the first of two options as its right answer, or the second.

        Pairs of such questions on an image have states, and answers may lean to the first option. Other answers are
        letters, which may lean to any.
        """
        return len(self.options) == 2

    @property
    def most(self) -> float:
        """The highest score of a category, in points."""
        return 100.0 * len(self.parts)

    @property
    def by_accuracy(self) -> bool:
        """Whether the score is the accuracy."""
        return tuple(self.parts) == ("accuracy",)

    @property
    def by_image(self) -> Group | None:
        """The group of the questions on one image."""
        return next((group for group in self.groups if group.of is None), None)

    @property
    def named(self) -> list[Group]:
        """The groups that question files name, in the order in which the column `groups` of `samples` has them."""
        return [group for group in self.groups if group.of is not None]

    @property
    def apart(self) -> list[Group]:
        """The groups whose accuracy is no part of the score."""
        return [group for group in self.groups if group.measure not in self.parts]

    @property
    def further(self) -> dict[str, str]:
        """The measures beside the score that have an interval of their own, in words: of `apart`, and F1."""
        found = {group.measure: group.meaning for group in self.apart}
        return found if self.positive is None else found | {"f1": f"F1 of {self.words[self.positive]}"}

    @property
    def score(self) -> str:
        """What the score is called."""
        return "accuracy" if self.by_accuracy else self.title

    @property
    def measured(self) -> str:
        """What is told of how often answers are right, and of the score where that is another number, in words."""
        return "accuracy" if self.by_accuracy else f"accuracy and {self.title}"

    def weights(self, questions: Sequence[float]) -> list[float]:
        """What the score of each category counts in one of several, from how many questions each has."""
        if self.together == SUM:
            return [1.0] * len(questions)
        if self.together == MEAN:
            return [1 / len(questions)] * len(questions)
        return [number / sum(questions) for number in questions]


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


def right_word(answer: object, options: Sequence[str] = ()) -> int | None:
    """The right option, yes or no, if a text is that word, in any case and punctuation; None for any other text.

    The options of the question are not asked for.
    """
    word = re.fullmatch(r"\W*(yes|no)\W*", answer, re.IGNORECASE) if isinstance(answer, str) else None
    return YES_NO.index(word[1].lower()) if word else None


def read_start(prediction: object, options: Sequence[str] = ()) -> int | None:
    """The option, yes or no, that the first four letters of a prediction have, or else None.

    This is the rule of MME's script, after spaces at either end. lmms-eval also counts a single letter, `y` or `N.`,
    which is `None` here. The options of the question are not asked for.
    """
    start = prediction.strip().lower()[:4] if isinstance(prediction, str) else ""
    return next((place for place, word in enumerate(YES_NO) if word in start), None)


def right_choice(answer: object, options: Sequence[str]) -> int | None:
    """The right option if a text is the letter of one, or says the same as exactly one of them.

    A letter is written `B`; or, where that is not what an option says, `b`, `B.`, `(B)`, `The answer is B.`, or
    `B. blue` if blue is what option B says.
    """
    text = answer.strip() if isinstance(answer, str) else ""
    letters = OPTION_LETTERS[: len(options)]
    if len(text) == 1 and text in letters:
        return letters.index(text)
    if (same := _same(text, options)) is not None or not letters:
        return same
    written = rf"(?:(?:the )?answer is:?\s*)?\(?([{letters}])\)?(?:[.):,]+\s*(.*)|\s*)"
    found = re.fullmatch(written, text, re.IGNORECASE | re.DOTALL)
    if not found:
        return None
    letter = letters.index(found[1].upper())
    return letter if not found[2] or _same(found[2], options) == letter else None


def read_choice(prediction: object, options: Sequence[str]) -> int | None:
    """The option that a prediction gives, by its letter or in its own words; None where it gives none, or two.

    As a letter counts: the whole prediction, `B` or `(B)`; its beginning with a mark after it, `B. blue` or `(B) blue`;
    `answer is B` anywhere, if it is said of one letter. These are the rules of `llava/eval/eval_science_qa.py` of
    LLaVA, with brackets as in VLMEvalKit's `can_infer_option`. A prediction without such a letter counts if it says the
    same as exactly one option, in any case and punctuation at its ends.
    """
    text = prediction.strip() if isinstance(prediction, str) else ""
    letters = OPTION_LETTERS[: len(options)]
    if not letters or not text:
        return None
    start = re.match(rf"\(?([{letters}])(?:\W*$|[.):,])", text)
    if start:
        return letters.index(start[1])
    named = {found[1] for found in re.finditer(rf"answer is:?\s*\(?([{letters}])\b", text)}
    return letters.index(named.pop()) if len(named) == 1 else _same(text, options)


def _same(text: str, options: Sequence[str]) -> int | None:
    """The only option that is a text, in any case and with any punctuation at its ends; None if there is none."""

    def plain(each: str) -> str:
        return re.sub(r"^\W+|\W+$", "", each).casefold()

    same = [place for place, option in enumerate(options) if plain(text) and plain(option) == plain(text)]
    return same[0] if len(same) == 1 else None


_ROTATIONS = 1_000_000  # between the indices of a question and of itself with its options rotated


def rotated_question(row: Row) -> str | None:
    """The index of a question with its options in their own order: what VLMEvalKit's tables say of rotations."""
    given = _plain(row.get("g_index")) or _plain(row.get("index"))
    return str(int(given) % _ROTATIONS) if given.isdecimal() else None


def is_rotated(row: Row) -> bool:
    """Whether a question has its options rotated."""
    index = _plain(row.get("index"))
    return index.isdecimal() and int(index) >= _ROTATIONS


_HALLUSION = ("category", "subcategory", "visual_input", "set_id", "figure_id", "question_id")
_OF_SETS = ("subcategory", "visual_input", "set_id", "figure_id", "index")
_INDEX = re.compile(r"(V[DS])_(.+)_(\d+)_(\d+)_(\d+)_(\d+)")  # of HallusionBench in VLMEvalKit's table


def figure_question(row: Row, by: str) -> str | None:
    """The figure of a question of HallusionBench, or what it has in common on all figures of a set.

    Args:
        by: `figure_id` or `question_id`.

    Returns:
        None where the question has no figure, or is not of HallusionBench.
    """
    if index := _INDEX.fullmatch(_plain(row.get("index"))):
        row = dict(zip(_HALLUSION, index.groups(), strict=True))
    parts = [_plain(row.get(name)) for name in ("category", "subcategory", "set_id", by)]
    return "_".join(parts) if all(parts) and _plain(row.get("visual_input")) != "0" else None


def _plain(value: object) -> str:
    """The value of a field as text; empty where there is none; a whole number that a table holds as 3.0 is 3."""
    if value is None or value != value:  # NaN
        return ""
    return str(int(value) if isinstance(value, float) and value.is_integer() else value).strip()


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
    title="MME score",
    groups=[Group(name="pairs", meaning="images with all questions right", least=2)],
    parts=("accuracy", "accuracy_pairs"),
    totals={"perception": PERCEPTION, "cognition": COGNITION},
    spelled={"p_yes": 0, "p_no": 1},
)
PLAIN = replace(
    MME,
    name="yes-no",
    meaning="such questions, each scored by itself",
    title="accuracy",
    groups=(),
    parts=("accuracy",),
    totals={"all": ()},
    together=POOLED,
)
ASKED_BY = ("random", "popular", "adversarial")
# Source: `llava/eval/eval_pope.py` of LLaVA, and POPE (Li et al., 2023, arXiv:2305.10355), whose three ways to choose
# what is asked for are the categories
POPE = replace(
    PLAIN,
    name="pope",
    meaning="the same, with precision, recall and F1 of yes, and how often it is said",
    title="POPE score",
    totals={"mean": ASKED_BY},
    together=MEAN,
    positive=0,
    marks=ASKED_BY,
)
CHOICES = Task(
    name="choices",
    meaning="questions with options of their own, which are answered by a letter",
    options=(),
    right=right_choice,
    read=read_choice,
    title="accuracy",
    totals={"all": ()},
    together=POOLED,
)
# Source: `vlmeval/dataset/utils/multiple_choice.py` of VLMEvalKit, and MMBench (Liu et al., 2023, arXiv:2307.06281)
CIRCULAR = replace(
    CHOICES,
    name="circular",
    meaning="such questions, asked with each rotation of their options, which count if all answers are right",
    title="circular accuracy",
    groups=[
        Group(
            name="circular",
            meaning="questions that are right in every rotation of their options",
            of=rotated_question,
            columns=("index", "g_index"),
            least=None,
        )
    ],
    parts=("accuracy_circular",),
    marked=is_rotated,
)
# Source: `utils.py` of HallusionBench, and its paper (Guan et al., 2023, arXiv:2310.14566)
HALLUSION = replace(
    PLAIN,
    name="hallusion",
    meaning="yes or no, scored also by figure, and by question over the figures of a set",
    title="HallusionBench score",
    groups=[
        Group(
            name="figures",
            meaning="figures with all questions right",
            of=lambda row: figure_question(row, "figure_id"),
            columns=_OF_SETS,
        ),
        Group(
            name="question_pairs",
            meaning="questions that are right on all figures of a set",
            of=lambda row: figure_question(row, "question_id"),
            columns=_OF_SETS,
        ),
    ],
    marked=lambda row: figure_question(row, "figure_id") is not None,
)
_ATTRIBUTES = tuple(f"discriminative-attribute-{each}" for each in ("state", "number", "action"))
_RELATIONS = ("discriminative-relation", "relation")
# Source: `inference.py` of AMBER, and its paper (Wang et al., 2023, arXiv:2311.07397)
AMBER = replace(
    PLAIN,
    name="amber",
    meaning="yes or no, with precision, recall and F1 of no, which is right where what is asked for is not there",
    title="AMBER score",
    totals={
        "existence": ("discriminative-hallucination",),
        "attribute": _ATTRIBUTES,
        "relation": _RELATIONS,
        "all": (),
    },
    positive=1,
    marks=("discriminative-hallucination", *_ATTRIBUTES, *_RELATIONS, "generative"),
)
TASKS = {task.name: task for task in (MME, PLAIN, POPE, AMBER, HALLUSION, CHOICES, CIRCULAR)}
GROUPED = tuple(dict.fromkeys(name for task in TASKS.values() for group in task.groups for name in group.columns))
SPELLED = tuple(dict.fromkeys(column for task in TASKS.values() for column in task.spelled))  # of all tasks


def grouping_tasks(columns: Collection[str]) -> list[Task]:
    """The tasks whose groups a question file may name, by its columns, in small letters."""
    there = {*columns}
    return [task for task in TASKS.values() if any(there & {*group.columns} for group in task.named)]


def group_ids(row: Row, tasks: Iterable[Task]) -> dict[str, list[str | None]]:
    """What tells the groups of a row from others: by the name of a task, for each of its `named` groups.

    Only tasks with a group that the row is in.
    """
    found = {task.name: [group.of(row) for group in task.named if group.of is not None] for task in tasks}
    return {name: ids for name, ids in found.items() if any(each is not None for each in ids)}


def marked_task(rows: Sequence[Row], ids: Sequence[Mapping[str, Sequence[str | None]]]) -> Task | None:
    """The task that a row and another one of its group show a question file to be of.

    Args:
        ids: of each row, as `group_ids` has them.
    """
    for name in dict.fromkeys(name for each in ids for name in each):
        task, firsts = TASKS[name], [each.get(name, [None])[0] for each in ids]
        times = Counter(firsts)
        of_groups = (row for row, first in zip(rows, firsts, strict=True) if first is not None and times[first] > 1)
        if task.marked is not None and any(map(task.marked, of_groups)):
            return task
    return None


def task_of(categories: Collection[str], *, options: bool, marked: Task | None = None) -> Task:
    """The task of a question file, by its form.

    Args:
        categories: of its questions.
        options: whether its questions have options of their own.
        marked: the task that its rows show.
    """
    if marked is not None and options != bool(marked.options):
        return marked
    if options:
        return CHOICES
    if set(categories) == {UNKNOWN}:  # such as a table of one's own: nobody meant its questions as pairs
        return PLAIN
    by_name = (task for task in TASKS.values() if task.marks and set(categories) <= set(task.marks))
    return next(by_name, MME)
