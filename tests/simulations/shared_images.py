"""How often intervals and tests over all categories are right, where the same images are in several, as in POPE.

python -m tests.simulations.shared_images --runs 2000

Each image has six questions in each of three categories, and half of them are the same in all. A gain, or an effect, is
a mean of values that have an image's own part in common; a loss is that of POPE's score where some answers change; and
two wordings are right equally often. `apart` counts an image in three categories as three images.
"""

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from analyze.scores.images import ImagePoints
from analyze.statistics.bootstrap import LEVEL
from analyze.statistics.clusters import Array
from analyze.statistics.intervals import mean_of_images, ratio_intervals
from analyze.statistics.losses import change_bounds, loss_intervals
from analyze.statistics.multiplicity import sign_flip_maximum
from schemas.tasks import POPE
from tests.simulations.rates import print_rates

CATEGORIES, QUESTIONS = POPE.totals["mean"], 6
SHIFTS = (-0.5, 0.0, 0.5)  # of the values of each category


@dataclass(frozen=True)
class World:
    """How many images there are, with which chance an answer changes, and how many images are in one category only."""

    images: int
    flip: float = 0.05
    single: int = 0


WORLDS = (World(25), World(60), World(60, 0.005), World(60, 0.3), World(200, 0.02), World(100, 0.05, single=50))


def questions(world: World) -> pd.DataFrame:
    """Rows of `samples`, by category: of each image three questions that are the same in all, and three of its own."""
    rows = []
    for place, category in enumerate(CATEGORIES):
        for image in range(world.images):
            if image >= world.images - world.single and image % len(CATEGORIES) != place:
                continue
            for number in range(QUESTIONS):
                answer = "Yes" if number < QUESTIONS // 2 else "No"
                asked = f"{image} {number}" + ("" if answer == "Yes" else f" {category}")
                rows.append({"category": category, "image_sha256": str(image), "asked": asked, "answer": answer})
    table = pd.DataFrame(rows).assign(question_id=None, status="ok", prediction="Yes")
    return table.assign(image=table["image_sha256"], sample_id=table.index.astype(str))


def answers(random: np.random.Generator, samples: pd.DataFrame, flip: float, runs: int) -> list[Array]:
    """Whether answers are right before and after some of them change, bool [samples, runs]; images vary in both."""
    asked, different = pd.factorize(samples["asked"])
    image, images = pd.factorize(samples["image_sha256"])
    of_question = pd.Series(image).groupby(asked).first().to_numpy()
    chance = random.beta(4 * 0.85, 4 * 0.15, (len(images), runs))[of_question]
    often = flip * random.gamma(1.0, 1.0, (len(images), runs))[of_question]
    before = random.random((len(different), runs)) < chance
    after = before ^ (random.random(before.shape) < often)
    return [before[asked], after[asked]]


def wordings(random: np.random.Generator, samples: pd.DataFrame, runs: int) -> list[Array]:
    """Whether the answers to two wordings that are equally good are right, 0 or 1, [samples, runs]."""
    asked, different = pd.factorize(samples["asked"])
    return [(random.random((len(different), runs)) < 0.8)[asked].astype(np.float64) for _ in range(2)]


def leads(random: np.random.Generator, samples: pd.DataFrame, runs: int) -> Array:
    """Values of each question, skewed, with a part that an image has in all its categories, [samples, runs]."""
    image, images = pd.factorize(samples["image_sha256"])
    shift = samples["category"].map(dict(zip(CATEGORIES, SHIFTS, strict=True))).to_numpy()
    shared = random.exponential(size=(len(images), runs))[image]
    return shared + shift[:, None] + random.normal(size=(len(samples), runs))


def right_claims(world: World, runs: int, *, seed: int = 1, joined: bool = True) -> Counter[str]:
    """In how many runs each interval holds the truth, and a wording is said to be better that is not.

    Args:
        joined: whether an image that is in several categories is one unit.
    """
    random, samples = np.random.default_rng(seed), questions(world)
    of = ImagePoints.of(samples, POPE)
    assert of is not None
    clusters = of.clusters if joined else replace(of.clusters, picture=None)
    values = clusters.sums(leads(random, samples, runs))
    truth = 1 + samples["category"].map(dict(zip(CATEGORIES, SHIFTS, strict=True))).mean()
    counts = np.broadcast_to(clusters.counts[:, None], values.shape)
    low, high = ratio_intervals(clusters, values, counts)
    found = Counter({"effect of a head: holds": int(((low <= truth) & (truth <= high)).sum())})
    gains = [mean_of_images(clusters, each) for each in values.T[:300]]
    held = sum(each.low is not None and each.low <= truth <= each.high for each in gains)
    found["gain of the image: holds"] = round(held * runs / len(gains))
    many = answers(random, samples, world.flip, 4_000)  # the mean of so many runs is the truth
    expected = float(of.total(of.points(many[0]) - of.points(many[1])).mean())
    losses = np.subtract(*(of.points(each) for each in answers(random, samples, world.flip, runs)))
    low, high = loss_intervals(losses, of.most[:, None], clusters, LEVEL)
    found["loss of score: holds"] = int(((low <= expected) & (expected <= high)).sum())
    bound = change_bounds(losses, of.most[:, None], clusters, 0.95)[1]
    found["bound of the plan: holds"] = int((bound >= expected).sum())
    fair, flips = min(runs, 500), {"flips": 400, "seed": seed}
    differences = clusters.joined(clusters.sums(np.subtract(*wordings(random, samples, fair))))
    better = sum(sign_flip_maximum(each[:, None], **flips).p[0] <= 0.05 for each in differences.T)
    found["prompts: a wording is better, and is not"] = round(better * runs / fair)
    return found


def simulate(world: World, runs: int) -> Counter[str]:
    """The same with images joined, and apart."""
    ways = {"": True, ", apart": False}
    found = Counter[str]()
    for way, joined in ways.items():
        found |= {f"{name}{way}": number for name, number in right_claims(world, runs, joined=joined).items()}
    return found


if __name__ == "__main__":
    print_rates(__doc__, WORLDS, simulate)
