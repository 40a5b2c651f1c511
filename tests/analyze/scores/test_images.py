"""Oracle: the MME score of `category_scores`, of each model by itself."""

import numpy as np
import pandas as pd
import pytest

from analyze.scores.accuracy import category_scores
from analyze.scores.images import ImagePoints
from tests.support.runs import sample


def table(images: dict[str, int], *, alone: int = 0, several: bool = False) -> pd.DataFrame:
    """Samples with two questions on each image; `alone`: more images with one; `several`: two pairs on some images."""
    rows = [sample(number, name) for name, count in images.items() for number in range(2 * count)]
    rows += [sample(2 * (900 + number), "OCR") for number in range(alone)]
    for row in rows:
        row |= {"status": "ok", "image_sha256": f"{row['category']} {row['image_sha256']}"}
        if several and row["image"].endswith(("/1.png", "/2.png")):
            row["image_sha256"] = row["image"] = f"{row['category']}, shared"
    return pd.DataFrame(rows)


@pytest.mark.parametrize("options", [{}, {"alone": 3}, {"several": True}])
def test_the_total_is_the_sum_of_scores(options):
    samples = table({"OCR": 7, "color": 5, "made up": 4}, **options)
    right = np.random.default_rng(0).random((len(samples), 6)) < 0.7
    of = ImagePoints.of(samples)
    found = of.total(of.points(right))
    for model in range(6):
        wrong = samples["answer"].map({"Yes": "No", "No": "Yes"})
        scores = category_scores(samples.assign(prediction=samples["answer"].where(right[:, model], wrong)))
        assert found[model] == pytest.approx(scores["score"].sum())


def test_without_pairs_there_is_no_score():
    assert ImagePoints.of(table({}, alone=3)) is None
