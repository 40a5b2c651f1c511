"""How often the intervals of accuracies hold the truth, where questions have two images and share them with others.

python -m tests.simulations.several_images --runs 300

Each set has three images, and asks two questions on each two of them, one in either order; how often they are right
varies with the set, its images and the questions. The truth is that of very many sets. `apart` counts each list of
images as one of its own, as if nothing joined them.
"""

from collections import Counter
from functools import cache
from itertools import permutations

import numpy as np
import pandas as pd

from analyze.scores.accuracy import category_scores
from analyze.scores.intervals import score_intervals
from schemas.tasks import MME, PLAIN
from tests.simulations.groups import MANY, WORLDS, World
from tests.simulations.rates import print_rates

IMAGES = 3  # of a set
ASKED = np.array(list(permutations(range(IMAGES), 2)))  # the images of each question
SPREAD = (0.7, 1.0, 0.5)  # of logits, with sets, images and questions


def made_up(random: np.random.Generator, world: World, sets: int) -> pd.DataFrame:
    """Rows of `samples`: all questions have the answer yes but the second on two images, whose answer is no."""
    of_set, of_image, of_question = SPREAD
    images = random.normal(0, of_image, (sets, IMAGES))
    logits = world.right + random.normal(0, of_set, (sets, 1)) + images[:, ASKED].sum(axis=2)
    logits += random.normal(0, of_question, logits.shape)
    right = (random.random(logits.shape) < 1 / (1 + np.exp(-logits))).ravel()
    first = np.tile(ASKED[:, 0] < ASKED[:, 1], sets)
    names = [[f"{number}_{image}" for image in own] for number in range(sets) for own in ASKED]
    table = pd.DataFrame(
        {
            "image_sha256": [" ".join(own) for own in names],
            "pictures": [[{"image_sha256": each} for each in own] for own in names],
            "answer": np.where(first, "Yes", "No"),
            "prediction": np.where(first == right, "Yes", "No"),
        }
    )
    ids = table.index.astype(str)
    return table.assign(image=table["image_sha256"], sample_id=ids, category="all of it", question_id=None, status="ok")


@cache
def truth(world: World) -> pd.DataFrame:
    """The scores of very many sets."""
    return category_scores(made_up(np.random.default_rng(0), world, MANY), MME)


def simulate(world: World, runs: int, *, resamples: int = 1_000, seed: int = 1) -> dict[str, float]:
    """The share of the intervals that hold the truth, by measure: of plain questions, and of MME's with pairs."""
    random, held = np.random.default_rng(seed), Counter()
    for _ in range(runs):
        samples = made_up(random, world, world.sets)
        options = {"seed": int(random.integers(2**31)), "resamples": resamples}
        for name, measure, task, asked in (
            ("accuracy", "accuracy", PLAIN, samples),
            ("score of MME", "score", MME, samples),
            ("accuracy, apart", "accuracy", PLAIN, samples.drop(columns="pictures")),
        ):
            found = score_intervals(category_scores(asked, task), asked, task, **options)
            held[name] += found["low"].iloc[0] <= truth(world)[measure].iloc[0] <= found["high"].iloc[0]
    return {name: number / runs for name, number in held.items()}


if __name__ == "__main__":
    print_rates(__doc__, WORLDS, lambda world, runs: Counter({k: v * runs for k, v in simulate(world, runs).items()}))
