"""The MME score by category: accuracy plus accuracy over images, in percent points.

Source: MME (Fu et al., 2023, arXiv:2306.13394) and its `eval_tool/calculation.py`: a prediction counts by `yes` or `no`
in its first four letters, and an image counts in the second accuracy if both of its questions are right. MME asks two
questions about each image; an image with a skipped question, or with one question, is left out and counted.
"""

from collections.abc import Callable, Container, Iterable
from functools import cache

import pandas as pd

from schemas.columns import OK
from schemas.tasks import MME, Task

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


def mme_scores(samples: pd.DataFrame, task: Task = MME) -> pd.DataFrame:
    """Scores from the table `samples`; empty if no observed sample has an option of the task as its right answer.

    Only samples with such an answer are scored. Questions of a category belong together if they are about one image. If
    several have each `question_id` of that image, as in MME, those with one id belong together. In a task that does not
    pair questions, none do.

    Returns:
        One row per category: `questions` and `images` scored, `accuracy`, `accuracy_pairs`, `score` (0 to 200), and
        `left_out`, the questions that were skipped or lack their pair, `unscored`, the questions whose right answer is
        no option, and `unread`, how many of the questions scored have a prediction that is none. MME's categories come
        first. In a category without a single complete pair, `accuracy` is that of all observed
        questions, and `accuracy_pairs` and `score` are NaN.
    """
    table = scored_questions(samples, task)
    if not table["observed"].any():
        return pd.DataFrame()
    others = samples.loc[samples.index.difference(table.index), "category"].astype(str).value_counts()
    groups = {str(name): rows for name, rows in table.groupby("category", sort=False)}
    return pd.DataFrame([_score(name, groups[name], int(others.get(name, 0))) for name in category_order(groups)])


def category_order(names: Iterable[str]) -> list[str]:
    """MME's categories in its order, then the others as they come."""
    there = list(names)
    known = [name for names in MME.totals.values() for name in names if name in there]
    return list(dict.fromkeys([*known, *there]))


def scored_questions(samples: pd.DataFrame, task: Task = MME) -> pd.DataFrame:
    """The samples whose right answer is an option, as they are scored.

    Returns:
        With the index of `samples`: `category`, `image` (what tells images apart), `pair` (the same for questions
        that belong together), `observed`, `right`, `unread` (the prediction is no option), and `paired`
        (whether all questions of a pair of several were observed; never in a task that does not pair them).
    """
    right = right_options(samples, task)
    known = right.notna()
    scored = samples[list(SCORED)] if known.all() else samples.loc[known, list(SCORED)]  # the first is no copy
    image, pair = _images_and_pairs(scored)
    prediction = given_options(said(samples), samples, task)[scored.index]
    table = pd.DataFrame(
        {
            "category": scored["category"].astype(str),
            "image": image,
            "pair": pair,
            "observed": scored["status"] == OK,
            "right": right[scored.index] == prediction,
            "unread": prediction.isna(),
        }
    )
    pairs = table.groupby(["category", "pair"])
    complete = pairs["observed"].transform("all") & (pairs["pair"].transform("size") > 1)
    return table.assign(paired=complete.astype(bool) & task.paired)


def total_name(name: str, categories: Container[str]) -> str:
    """Name a total so that no category has its name: `perception (MME)`, `all (together)` where one would have it."""
    return f"{name} ({'together' if name == ALL_TOGETHER else 'MME'})" if name in categories else name


def total_scores(scores: pd.DataFrame, task: Task = MME) -> pd.DataFrame:
    """The sums over those categories that are there, as rows for the end of `scores`, such as `perception` of MME.

    They are told from categories of the run as in `total_name`.
    """
    rows = []
    for total, names in task.totals.items():
        part = scores[scores["category"].isin(names)]
        if len(part):
            name = total_name(total, set(scores["category"]))
            sums = part[[*COUNTS, "score"]].sum(min_count=1).to_dict()
            rows.append({"category": name} | sums)
    return pd.DataFrame(rows, columns=scores.columns).astype(dict.fromkeys(COUNTS, "int64"))


def _images_and_pairs(scored: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """A number of each question's image, and one that questions which belong together share, in their category."""
    category, known = scored["category"].astype(str), scored["image_sha256"]
    if known.isna().any():  # skipped: maybe without a hash
        name = scored["image"].fillna(scored["question_id"]).fillna(scored["sample_id"].astype(str))
        same_name = scored.groupby([category, name], sort=False)["image_sha256"]
        known = known.fillna(same_name.transform("first")).fillna(name)
    numbers, different = pd.factorize(scored["question_id"].where(scored["question_id"] != ""))  # -1: there is none
    table = pd.DataFrame({"category": category, "image": pd.factorize(known)[0], "id": numbers}, scored.index)
    times = table.groupby(["category", "image", "id"], sort=False)["id"].transform("size")
    times = times.where(table["id"] >= 0, 1)
    by_id = times.groupby([category, table["image"]], sort=False).transform("min") > 1
    return table["image"], table["image"] * (len(different) + 1) + (numbers + 1) * by_id


def _score(category: object, rows: pd.DataFrame, unscored: int) -> dict[str, object]:
    """One row of the scores, from the questions of a category, and how many more have another right answer."""
    scored = rows[rows["paired"]] if rows["paired"].any() else rows[rows["observed"]]
    images = scored[scored["paired"]].groupby("pair")["right"].all()
    accuracy, both = scored["right"].mean() * 100, images.mean() * 100
    return {
        "category": category,
        "questions": len(scored),
        "images": len(images),
        "accuracy": accuracy,
        "accuracy_pairs": both,
        "score": accuracy + both,
        "left_out": int((~rows["paired"]).sum()),
        "unscored": unscored,
        "unread": int(scored["unread"].sum()),
    }
