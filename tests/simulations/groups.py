"""How often the intervals of accuracies of groups hold the truth, where groups span several images.

python -m tests.simulations.groups --runs 300

Each set has two figures, and asks three questions on both, as HallusionBench does; how often they are right varies with
the set, the figure and the question. The truth is that of very many sets.
"""

from collections import Counter
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd

from analyze.scores.accuracy import category_scores
from analyze.scores.intervals import score_intervals
from schemas.tasks import HALLUSION
from tests.simulations.rates import print_rates

FIGURES, QUESTIONS = 2, 3  # of a set
SPREAD = (1.5, 0.7, 0.5)  # of logits, with sets, figures and questions
MANY = 20_000  # sets, for the truth


@dataclass(frozen=True)
class World:
    """How many sets there are, and how likely answers are right, in logits."""

    sets: int
    right: float = 1.2


WORLDS = (World(20), World(60), World(150), World(60, 0.0), World(60, 2.5))


def made_up(random: np.random.Generator, world: World, sets: int) -> pd.DataFrame:
    """Rows of `samples`: all questions have the answer yes."""
    of_set, of_figure, of_question = SPREAD
    logits = (
        world.right
        + random.normal(0, of_set, (sets, 1, 1))
        + random.normal(0, of_figure, (sets, FIGURES, 1))
        + random.normal(0, of_question, (sets, 1, QUESTIONS))
    )
    right = random.random(logits.shape) < 1 / (1 + np.exp(-logits))
    place = np.indices(logits.shape).reshape(3, -1)
    figures, questions = ([f"{each}_{own}" for each, own in zip(place[0], place[at], strict=True)] for at in (1, 2))
    table = pd.DataFrame(
        {"image": figures, "image_sha256": figures, "prediction": np.where(right, "Yes", "No").ravel()}
    )
    table["groups"] = [list(each) for each in zip(figures, questions, strict=True)]
    return table.assign(sample_id=table.index.astype(str), category="VD", question_id=None, answer="Yes", status="ok")


@cache
def truth(world: World) -> pd.DataFrame:
    """The scores of very many sets."""
    return category_scores(made_up(np.random.default_rng(0), world, MANY), HALLUSION)


def simulate(world: World, runs: int, *, resamples: int = 1_000, seed: int = 1) -> dict[str, float]:
    """The share of the intervals that hold the truth, by measure."""
    random, held = np.random.default_rng(seed), Counter()
    bounds = {"score": ("low", "high"), **{name: (f"{name}_low", f"{name}_high") for name in HALLUSION.further}}
    for _ in range(runs):
        samples = made_up(random, world, world.sets)
        scores = category_scores(samples, HALLUSION)
        found = score_intervals(scores, samples, HALLUSION, seed=int(random.integers(2**31)), resamples=resamples)
        for name, (low, high) in bounds.items():
            held[name] += found[low].iloc[0] <= truth(world)[name].iloc[0] <= found[high].iloc[0]
    return {name: held[name] / runs for name in bounds}


if __name__ == "__main__":
    print_rates(__doc__, WORLDS, lambda world, runs: Counter({k: v * runs for k, v in simulate(world, runs).items()}))
