"""The MME score by category: accuracy plus accuracy over pairs, in percent points.

Source: MME (Fu et al., 2023, arXiv:2306.13394) and its `eval_tool/calculation.py`: an answer counts by `yes` or `no`
in its first four letters, and an image counts in the accuracy over pairs when all of its questions are right.
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


def spoken(answer: object) -> str | None:
    """`yes`, `no`, or None for any other answer."""
    start = str(answer).strip().lower()[:4] if isinstance(answer, str) else ""
    return next((word for word in ("yes", "no") if word in start), None)


def mme_scores(samples: pd.DataFrame) -> pd.DataFrame:
    """Scores from the table `samples`; empty where no sample has a yes/no answer.

    Only observed samples whose right answer is yes or no are scored. Questions are paired by `question_id`; where no
    id is shared, by the image.

    Returns:
        One row per category: `questions`, `images`, `accuracy`, `accuracy_pairs`, `score` (0 to 200); then the rows
        `perception` and `cognition`, the sums over MME's categories that are there.
    """
    scored = samples[(samples["status"] == OK) & samples["answer"].map(spoken).notna()]
    if scored.empty:
        return pd.DataFrame()
    shared = scored["question_id"].notna() & scored.duplicated(["category", "question_id"], keep=False)
    image = scored["question_id"] if shared.any() else scored["image_sha256"]
    table = pd.DataFrame(
        {
            "category": scored["category"].astype(str),
            "image": image.fillna(scored["sample_id"].astype(str)),
            "right": scored["answer"].map(spoken) == scored["prediction"].map(spoken),
        }
    )
    groups = table.groupby("category", sort=False)
    pairs = table.groupby(["category", "image"], sort=False)["right"].all().groupby("category", sort=False)
    scores = pd.DataFrame(
        {
            "questions": groups.size(),
            "images": pairs.size(),
            "accuracy": groups["right"].mean() * 100,
            "accuracy_pairs": pairs.mean() * 100,
        }
    )
    scores["score"] = scores["accuracy"] + scores["accuracy_pairs"]
    order = [name for names in TOTALS.values() for name in names if name in scores.index]
    scores = scores.loc[[*order, *(name for name in scores.index if name not in order)]]
    for total, names in TOTALS.items():
        part = scores.loc[[name for name in names if name in scores.index]]
        if len(part):
            scores.loc[total] = part[["questions", "images", "score"]].sum()
    return scores.astype({"questions": "int64", "images": "int64"}).rename_axis("category").reset_index()
