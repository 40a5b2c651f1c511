"""The score by category, as the task says: accuracy of questions, and of groups of them, in percent points.

Source of MME's: Fu et al., 2023, arXiv:2306.13394, and their `eval_tool/calculation.py`: a prediction counts by `yes`
or `no` in its first four letters, and an image counts in the second accuracy if both of its questions are right. MME
asks two questions about each image; an image with a skipped question, or with one question, is left out and counted.

Precision, recall and F1 are those of one option, by `llava/eval/eval_pope.py` of LLaVA. That script takes for yes
whatever has no `no` in it; here an answer that is no option is wrong and is not given: it lowers recall where that
option is right. AMBER's script adds 0.0001 to the sum of precision and recall, both rounded; here F1 is exact.

Of a group of questions, such as those on a figure of HallusionBench or a question of MMBench with its options rotated,
all answers are right, or it is not. A question counts where its groups are whole: all of their questions were observed.
"""

from collections.abc import Callable, Container, Iterable, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from analyze.statistics.clusters import Array, Codes, Shown, image_lists, joined_rows
from schemas.columns import GROUPS, OK, PICTURES
from schemas.tasks import HALLUSION, MME, POOLED, SUM, Group, Task

ALL_TOGETHER = "all"  # all categories together
SCORED = ("sample_id", "category", "question_id", "image", "image_sha256", "answer", "status")
COUNTS = ["questions", "images", "left_out", "unscored", "unread"]


def right_options(samples: pd.DataFrame, task: Task) -> pd.Series:
    """The place of the right answer of each sample among the options of its task, float64; NaN: it is none of them."""
    return _places(samples["answer"], samples, task.right, task)


def given_options(texts: pd.Series, samples: pd.DataFrame, task: Task) -> pd.Series:
    """The place of the answer that each text gives, float64; NaN: it gives none. Texts are of these samples."""
    return _places(texts, samples, task.read, task)


def _places(texts: pd.Series, samples: pd.DataFrame, read: Callable[..., int | None], task: Task) -> pd.Series:
    """`Task.right` or `Task.read` of each text; each different text, with its options, is read once."""
    if task.options:
        codes, different = pd.factorize(texts)
        places = [read(text, ()) for text in different]
        return pd.Series([*places, None], dtype=float).take(codes).set_axis(texts.index)
    known = cache(read)
    options = [() if each is None else tuple(each) for each in samples["options"]]
    return pd.Series([known(*each) for each in zip(texts, options, strict=True)], texts.index, dtype=float)


def said(samples: pd.DataFrame) -> pd.Series:
    """What is read as the answer: that in the text, where the model wrote one, else the first token."""
    return samples["said"] if "said" in samples else samples["prediction"]


def without_figure(samples: pd.DataFrame, task: Task) -> pd.Series:
    """Whether each sample is a question of HallusionBench without a figure, which is neither asked nor scored: bool."""
    if task is not HALLUSION or GROUPS not in samples:
        return pd.Series(False, samples.index)
    return (samples["status"] != OK) & samples["image"].isna() & samples[GROUPS].isna()


def about_lead(*runs: pd.DataFrame) -> list[str]:
    """What is said beside `lead` where it is not of what is read as the answer, in the samples of one of some runs."""
    by_text = any("said" in samples for samples in runs)
    return ["accuracy is that of the answers in the texts, lead that of the first token"] if by_text else []


def category_scores(samples: pd.DataFrame, task: Task = MME) -> pd.DataFrame:
    """Scores from the table `samples`; empty if no observed sample has an option of the task as its right answer.

    Only samples with such an answer are scored. Questions of a category are on one image if several have each
    `question_id` of that image, as in MME, and those with one id belong together; or else all on the image do.

    Returns:
        One row per category: `questions` that count and the different `images` that they are about; in per cent the
        measures of `shares`; `score`, the sum of the parts that the task says; and `left_out`, the questions that do
        not count: skipped, or of a group that is not whole, `unscored`, observed questions whose right answer is no
        option, and `unread`, how many of the questions that count have a prediction that is none. MME's categories come
        first. In a category without a single whole group, in a task with groups, `accuracy` is that of all observed
        questions, and all else is NaN.
    """
    table = scored_questions(samples, task)
    if not table["observed"].any():
        return pd.DataFrame()
    others = samples.loc[samples.index.difference(table.index)]
    was_asked = others["status"] == OK
    unscored, skipped = (
        each["category"].astype(str).value_counts() for each in (others[was_asked], others[~was_asked])
    )
    codes, different = pd.factorize(table["category"])
    names = category_order(map(str, different))
    place = {name: number for number, name in enumerate(names)}
    found = _scores(names, np.array([place[str(name)] for name in different])[codes], table, samples, task)
    found["left_out"] += [int(skipped.get(name, 0)) for name in names]
    found["unscored"] = [int(unscored.get(name, 0)) for name in names]
    return found


def category_order(names: Iterable[str]) -> list[str]:
    """MME's categories in its order, then the others as they come."""
    there = list(names)
    known = [name for names in MME.totals.values() for name in names if name in there]
    return list(dict.fromkeys([*known, *there]))


def scored_questions(samples: pd.DataFrame, task: Task = MME) -> pd.DataFrame:
    """The samples whose right answer is an option, as they are scored.

    Returns:
        With the index of `samples`: `category`, `image` (what tells images apart; of several, all together), `unit`
        (what is resampled together, see `joined_rows`; -1 where it was not observed), `expected` and `given` (places of
        options; NaN: the prediction is none), `observed`, `right`,
        `unread` (the prediction is no option), `counts` (in the score: observed, with its groups whole), and by the
        name of each group of the task, a number that is the same for questions that belong together.
    """
    right = right_options(samples, task)
    known = right.notna()
    columns = [*SCORED, *(name for name in (PICTURES, GROUPS) if name in samples)]
    scored = samples[columns] if known.all() else samples.loc[known, columns]  # the first is no copy
    image, pair = _images_and_pairs(scored)
    prediction = given_options(said(samples), samples, task)[scored.index]
    table = pd.DataFrame(
        {
            "category": scored["category"].astype(str),
            "image": image,
            "expected": right[scored.index],
            "given": prediction,
            "observed": scored["status"] == OK,
            "right": right[scored.index] == prediction,
            "unread": prediction.isna(),
        }
    )
    table["counts"] = table["observed"]
    for group in task.groups:
        table[group.name] = pair if group.of is None else _named(samples, task.named.index(group))[scored.index]
        table["counts"] &= _is_whole(table, group, samples)
    observed = scored if table["observed"].all() else scored[table["observed"].to_numpy()]
    unit = pd.Series(joined_rows(observed, Shown.of(observed)), observed.index)
    table["unit"] = unit.reindex(table.index, fill_value=-1)
    return table


def _shown(samples: pd.DataFrame, rows: pd.Index) -> Shown:
    """The images that some of the samples are about; no text of these is copied."""
    whole = Shown.of(samples)
    chosen = samples.index.isin(rows)
    kept = chosen[whole.row]
    return Shown((np.cumsum(chosen) - 1)[whole.row[kept]], whole.image[kept])


def group_codes(table: pd.DataFrame, group: Group) -> Codes:
    """The group of each row of `scored_questions`, within its category, from 0."""
    return table.groupby(["category", group.name], sort=False).ngroup().to_numpy().astype(np.int64)


def _named(samples: pd.DataFrame, place: int) -> pd.Series:
    """A number for each group that the question file names; a question that is in none is a group of its own.

    Args:
        place: of the group in the column `groups`.
    """
    ids = [None] * len(samples)
    if GROUPS in samples:
        ids = [None if each is None else each[place] for each in samples[GROUPS]]
    codes, different = pd.factorize(pd.Series(ids, dtype=object))
    return pd.Series(np.where(codes < 0, len(different) + np.arange(len(codes)), codes), samples.index)


def _is_whole(table: pd.DataFrame, group: Group, samples: pd.DataFrame) -> pd.Series:
    """Whether all questions of the group of each row are there, and were observed."""
    codes = _joint(table["category"], table[group.name])
    least = group.least
    if least is None:
        least = samples.loc[table.index, "options"].map(lambda options: 0 if options is None else len(options))
    return pd.Series(_in_all(codes, table["observed"]) & (np.bincount(codes)[codes] >= least), table.index, dtype=bool)


def _joint(*columns: pd.Series | Codes) -> Codes:
    """The same number, from 0, for rows that have the same values in all of some columns, int64 [rows]."""
    found = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        codes, different = pd.factorize(column, use_na_sentinel=False)
        found = pd.factorize(found * max(1, len(different)) + codes)[0].astype(np.int64)
    return found


def _in_all(codes: Codes, true: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Whether something is true in all rows with the number of each row, bool [rows]."""
    return (np.bincount(codes, ~np.asarray(true, bool)) == 0)[codes]


def shares(table: pd.DataFrame, task: Task) -> dict[str, tuple[Array, Array]]:
    """The measures of some questions, each a share: what their answers add above, and below, float64 [questions] both.

    They are `accuracy`; that of each group of the task, such as `accuracy_pairs`; and where it has a positive option
    `precision`, `recall`, `f1` and, with its word, `yes_ratio`.

    Args:
        table: rows of `scored_questions` that count.
    """
    every = pd.Series(1.0, table.index)
    found: dict[str, tuple[pd.Series, pd.Series]] = {"accuracy": (table["right"], every)}
    for group in task.groups:
        codes = _joint(table["category"], table[group.name])
        first = ~pd.Series(codes, table.index).duplicated()
        found[group.measure] = (first & _in_all(codes, table["right"]), first)
    if task.positive is not None:
        given, wanted = (table[name] == task.positive for name in ("given", "expected"))
        found |= {"precision": (given & wanted, given), "recall": (given & wanted, wanted)}
        found["f1"] = 2.0 * (given & wanted), given.astype(float) + wanted
        found[f"{task.words[task.positive]}_ratio"] = given, every
    return {
        name: (np.asarray(above, np.float64), np.asarray(below, np.float64)) for name, (above, below) in found.items()
    }


def total_name(name: str, categories: Container[str]) -> str:
    """Name a total so that no category has its name: `perception (MME)`, `all (together)` where one would have it."""
    return f"{name} ({'MME' if name in MME.totals else 'together'})" if name in categories else name


class CategoryTotal(NamedTuple):
    """Several categories together.

    Attributes:
        kind: the name that the task has for it.
        name: the same, or another one where a category has it.
        categories: those of them that there are.
    """

    kind: str
    name: str
    categories: list[str]


def totals(categories: Sequence[str], task: Task) -> list[CategoryTotal]:
    """The totals of a task over some categories, those that have one."""
    found = [
        CategoryTotal(kind, total_name(kind, categories), [name for name in categories if not wanted or name in wanted])
        for kind, wanted in task.totals.items()
    ]
    return [total for total in found if total.categories]


def total_scores(scores: pd.DataFrame, samples: pd.DataFrame, task: Task = MME) -> pd.DataFrame:
    """The scores of several categories together, as rows for the end of `scores`, such as `perception` of MME.

    A sum has no other measure than `score`. Each image is counted once.
    """
    rows, table = [], scored_questions(samples, task)
    measures = [name for name in scores if name not in ("category", *COUNTS)]
    for _, total, names in totals(list(scores["category"]), task):
        part = scores[scores["category"].isin(names)]
        if task.together == POOLED:
            own = table[table["category"].isin(names)]
            (row,) = _scores([total], np.zeros(len(own), np.int64), own, samples, task).to_dict("records")
            rows.append(row | {name: int(part[name].sum()) for name in ("left_out", "unscored")})
            continue
        counts, weights = part[COUNTS].sum().to_dict(), task.weights(part["questions"].tolist())
        kept = ["score"] if task.together == SUM else measures
        sums = part[kept].mul(weights, axis=0).sum(min_count=1 if task.together == SUM else len(part)).to_dict()
        counted = table.index[table["counts"] & table["category"].isin(names)]
        rows.append({"category": total} | counts | {"images": _shown(samples, counted).different} | sums)
    return pd.DataFrame(rows, columns=scores.columns).astype(dict.fromkeys(COUNTS, "int64"))


def _images_and_pairs(scored: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """A number of each question's image, and one that questions which belong together share, in their category.

    Questions on the same several images belong together in whichever order these stand.
    """
    category, known = scored["category"].astype(str), scored["image_sha256"]
    if PICTURES in scored and (several := scored[PICTURES].notna() & known.notna()).any():
        known = known.mask(several, image_lists(scored))
    if known.isna().any():  # skipped: maybe without a hash
        name = scored["image"].fillna(scored["question_id"]).fillna(scored["sample_id"].astype(str))
        same_name = scored.groupby([category, name], sort=False)["image_sha256"]
        known = known.fillna(same_name.transform("first")).fillna(name)
    numbers, different = pd.factorize(scored["question_id"].where(scored["question_id"] != ""))  # -1: there is none
    image = pd.factorize(known)[0]
    place = _joint(category, image)
    same = _joint(place, numbers)
    by_id = _in_all(place, (numbers >= 0) & (np.bincount(same)[same] > 1))
    return pd.Series(image, scored.index), pd.Series(image * (len(different) + 1) + (numbers + 1) * by_id, scored.index)


def _scores(names: Sequence[str], code: Codes, table: pd.DataFrame, samples: pd.DataFrame, task: Task) -> pd.DataFrame:
    """The rows of the scores of some groups of questions, such as categories, all at once.

    Args:
        names: of the groups.
        code: int64 [rows], which of them each row is of.
        table: rows of `scored_questions`.

    Returns:
        As `category_scores`; `left_out` are rows of the table, and none is `unscored`.
    """

    def numbers(chosen: npt.NDArray[np.bool_]) -> Codes:
        return np.bincount(code[chosen], minlength=len(names))

    counts, observed, right, unread = (table[name].to_numpy(bool) for name in ("counts", "observed", "right", "unread"))
    counted = table[counts]
    found = {
        name: _per_cent(*(np.bincount(code[counts], each, len(names)) for each in both))
        for name, both in shares(counted, task).items()
    }
    shown = _shown(samples, counted.index)
    images = np.unique(np.stack([code[counts][shown.row], shown.image], axis=1), axis=0)
    of_accuracy = counts | (observed & (numbers(counts) == 0)[code])
    of_groups = ["accuracy", *(group.measure for group in task.groups)]
    return pd.DataFrame(
        {
            "category": names,
            "questions": numbers(of_accuracy),
            "images": np.bincount(images[:, 0], minlength=len(names)),
            **{name: found[name] for name in of_groups},
            "accuracy": _per_cent(numbers(of_accuracy & right), numbers(of_accuracy)),
            "score": sum(found[name] for name in task.parts),
            **{name: value for name, value in found.items() if name not in of_groups},
            "left_out": numbers(~counts),
            "unscored": 0,
            "unread": numbers(of_accuracy & unread),
        }
    )


def _per_cent(above: Array | Codes, below: Array | Codes) -> Array:
    """Shares of sums in per cent; NaN where there is nothing below."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(below > 0, 100 * (above / below), np.nan)
