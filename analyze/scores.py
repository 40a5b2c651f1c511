"""The MME score by category: accuracy plus accuracy over images, in percent points.

Source: MME (Fu et al., 2023, arXiv:2306.13394) and its `eval_tool/calculation.py`: an answer counts by `yes` or `no`
in its first four letters, and an image counts in the second accuracy if both of its questions are right. MME asks two
questions about each image; an image with a skipped question, or with one question, is left out and counted.
"""

import pandas as pd

from schemas.columns import OK

PERCEPTION = (
    "existence",
    "count",
    "position",
    "color",
    "posters",
    "celebrity",
    "scene",
    "landmark",
    "artwork",
    "OCR",
)
COGNITION = ("commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning")
TOTALS = {"perception": PERCEPTION, "cognition": COGNITION}


def yes_or_no(answer: object) -> str | None:
    """`yes`, `no`, or `None` for any other answer."""
    start = str(answer).strip().lower()[:4] if isinstance(answer, str) else ""
    return next((word for word in ("yes", "no") if word in start), None)


def mme_scores(samples: pd.DataFrame) -> pd.DataFrame:
    """Scores from the table `samples`; empty if no observed sample has a yes/no answer.

    Only samples whose right answer is yes or no are scored. Two questions belong together if they share a
    `question_id` in their category, else if they are about one image.

    Returns:
        One row per category: `questions` and `images` scored, `accuracy`, `accuracy_pairs`, `score` (0 to 200), and
        `left_out`, the questions that were skipped or lack their pair; then the rows `perception` and `cognition`, the
        sums over MME's categories that are there. In a category without a single complete pair, `accuracy` is that of
        all observed questions, and `accuracy_pairs` and `score` are NaN.
    """
    scored = samples[samples["answer"].map(yes_or_no).notna()]
    if not (scored["status"] == OK).any():
        return pd.DataFrame()
    table = pd.DataFrame(
        {
            "category": scored["category"].astype(str),
            "pair": _pairs(scored),
            "observed": scored["status"] == OK,
            "right": scored["answer"].map(yes_or_no) == scored["prediction"].map(yes_or_no),
        }
    )
    pairs = table.groupby(["category", "pair"])
    complete = pairs["observed"].transform("all") & (pairs["pair"].transform("size") > 1)
    table = table.assign(paired=complete)
    scores = pd.DataFrame([_score(name, rows) for name, rows in table.groupby("category", sort=False)])
    scores = scores.set_index("category")
    order = [name for names in TOTALS.values() for name in names if name in scores.index]
    scores = scores.loc[[*order, *(name for name in scores.index if name not in order)]]
    for total, names in TOTALS.items():
        part = scores.loc[[name for name in names if name in scores.index]]
        if len(part):
            scores.loc[total] = part[["questions", "images", "score", "left_out"]].sum(min_count=1)
    return scores.astype(dict.fromkeys(("questions", "images", "left_out"), "int64")).reset_index()


def _pairs(scored: pd.DataFrame) -> pd.Series:
    """A name that the questions about one image share: their id, else the image, else the sample."""
    shared = scored["question_id"].notna() & scored.duplicated(["category", "question_id"], keep=False)
    name = scored["image"].fillna(scored["sample_id"].astype(str))
    same_name = scored.groupby([scored["category"].astype(str), name], sort=False)["image_sha256"]
    image = scored["image_sha256"].fillna(same_name.transform("first")).fillna(name)  # skipped: maybe without a hash
    return ("image " + image).mask(shared, "id " + scored["question_id"].astype(str))


def _score(category: object, rows: pd.DataFrame) -> dict[str, object]:
    """One row of the scores, from the questions of a category."""
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
    }
