"""How often the intervals of F1 and accuracy hold the truth, where the same images are in three categories.

python -m tests.simulations.pope --runs 1000

Each image has six questions in each category, and half of them are the same in all; how often they are right varies
with the image. The truth is that of very many images.
"""

from collections import Counter
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd

from analyze.scores.accuracy import category_scores, total_scores
from analyze.scores.intervals import score_intervals
from schemas.tasks import POPE
from tests.simulations.rates import print_rates

ALIKE = 4  # how alike the questions on an image are
MANY = 20_000  # images, for the truth


@dataclass(frozen=True)
class World:
    """How many images there are, and how often they are found that are there, and left out that are not."""

    images: int
    found: float = 0.8
    left_out: tuple[float, ...] = (0.95, 0.85, 0.7)  # by category


WORLDS = (World(40), World(100), World(500), World(60, 0.4, (0.98, 0.95, 0.9)), World(60, 0.95, (0.99, 0.97, 0.93)))


def made_up(random: np.random.Generator, world: World, images: int) -> pd.DataFrame:
    """Rows of `samples`: of each image and category three questions with the answer yes, and three with no."""

    def right(share: float) -> np.ndarray:
        chance = random.beta(ALIKE * share, ALIKE * (1 - share), (images, 1))
        return random.random((images, 3)) < chance

    def said(yes: np.ndarray) -> np.ndarray:
        return np.where(yes, "Yes", "No")

    name = np.repeat(np.arange(images), 6).astype(str)
    yes, there = np.tile(np.repeat([True, False], 3), images), right(world.found)
    tables = []
    for category, share in zip(POPE.totals["mean"], world.left_out, strict=True):
        correct = np.concatenate([there, right(share)], axis=1).ravel()
        answers = {"answer": said(yes), "prediction": said(yes == correct)}
        tables.append(pd.DataFrame({"category": category, **answers, "image": name}))
    table = pd.concat(tables, ignore_index=True)
    return table.assign(sample_id=table.index.astype(str), image_sha256=table["image"], question_id=None, status="ok")


@cache
def truth(world: World) -> pd.DataFrame:
    """The scores of very many images."""
    return scored(made_up(np.random.default_rng(0), world, MANY))


def scored(samples: pd.DataFrame) -> pd.DataFrame:
    """The scores by category and their mean."""
    scores = category_scores(samples, POPE)
    return pd.concat([scores, total_scores(scores, samples, POPE)], ignore_index=True)


def simulate(world: World, runs: int, *, resamples: int = 1_000, seed: int = 1) -> dict[str, float]:
    """The share of the intervals that hold the truth, by measure and whether it is of a category or of the mean."""
    random, held, given = np.random.default_rng(seed), Counter(), Counter()
    for _ in range(runs):
        samples = made_up(random, world, world.images)
        found = score_intervals(scored(samples), samples, POPE, seed=int(random.integers(2**31)), resamples=resamples)
        for row, true in zip(found.to_dict("records"), truth(world).to_dict("records"), strict=True):
            for value, low, high in (("score", "low", "high"), ("f1", "f1_low", "f1_high")):
                name = f"{value} of {'the mean' if row['category'] == 'mean' else 'a category'}"
                held[name] += row[low] <= true[value] <= row[high]
                given[name] += 1
    return {name: held[name] / given[name] for name in given}


if __name__ == "__main__":
    print_rates(__doc__, WORLDS, lambda world, runs: Counter({k: v * runs for k, v in simulate(world, runs).items()}))
