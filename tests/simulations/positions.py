"""How often a position bias is claimed of a model that has none, and how often one is found that has.

python -m tests.simulations.positions --runs 500

Two questions an image, four options each, in ten categories of different accuracy. A biased model answers by one letter
at times, whatever it is asked. `given less right` is the claim that would be made if a letter were expected as often as
it is right.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analyze.positions import SIGNIFICANT, Positions
from analyze.statistics.bootstrap import Bootstrap
from analyze.statistics.clusters import Clusters
from analyze.statistics.multiplicity import sign_flip_maximum
from tests.simulations.rates import count, print_rates

OPTIONS, CATEGORIES, ALIKE = 4, 10, 4


@dataclass(frozen=True)
class World:
    """Images in a category, how often each letter is right, and how often A is given whatever is asked."""

    images: int
    right: tuple[float, ...] = (0.25, 0.25, 0.25, 0.25)
    bias: float = 0.0


SKEWED = (0.4, 0.2, 0.2, 0.2)
WORLDS = (
    *(World(images) for images in (20, 60, 200)), World(20, SKEWED), World(200, SKEWED), World(20, bias=0.1),
    World(60, bias=0.1),
)  # fmt: skip


def made_up(random: np.random.Generator, world: World) -> pd.DataFrame:
    """Rows of `answered`; how hard an image is has two questions in common."""
    number = CATEGORIES * world.images
    accuracy = np.repeat(np.linspace(0.4, 0.9, CATEGORIES), world.images)
    chance = np.repeat(random.beta(ALIKE * accuracy, ALIKE * (1 - accuracy)), 2)
    expected = random.choice(OPTIONS, 2 * number, p=world.right)
    other = (expected + random.integers(1, OPTIONS, 2 * number)) % OPTIONS
    says = np.where(random.random(2 * number) < chance, expected, other)
    says = np.where(random.random(2 * number) < world.bias, 0, says)
    image = pd.Series(np.repeat(np.arange(number), 2).astype(str))
    category = np.repeat([f"category {each}" for each in range(CATEGORIES)], 2 * world.images)
    return pd.DataFrame(
        {
            "image": image, "image_sha256": image, "category": category, "expected": expected, "says": says,
            "right": says == expected, "options": [("",) * OPTIONS] * (2 * number), "sure": np.nan,
        }
    )  # fmt: skip


def claims(random: np.random.Generator, world: World, flips: int) -> dict[str, bool]:
    """Which claims are made of one made-up run."""
    samples = made_up(random, world)
    clusters = Clusters.of(samples)
    seed = int(random.integers(2**31))
    found = Positions.of(samples, Bootstrap(clusters, 100, seed), flips)
    letters = np.arange(OPTIONS)
    excess = (letters == samples["says"].to_numpy()[:, None]) * 1.0 - (
        letters == samples["expected"].to_numpy()[:, None]
    )
    naive = sign_flip_maximum(clusters.sums(excess), flips=flips, seed=seed).p
    of_a = found.letters[(found.letters["letter"] == "A") & (found.letters["category"] == "all")].iloc[0]
    return {
        "a letter too often, or too seldom": any(" too " in line and "gives" in line for line in found.verdict()),
        "A too often over all": bool(of_a["p"] <= SIGNIFICANT and of_a["difference"] > 0),
        "given less right, over all": bool((naive <= SIGNIFICANT).any()),
        "the interval of A over all holds 0": bool(of_a["low"] <= 0 <= of_a["high"]),
    }


def simulate(world: World, runs: int, *, flips: int = 1_000, seed: int = 0) -> Counter[str]:
    """In how many runs each claim is made."""
    return count(lambda random: claims(random, world, flips), runs, seed)


if __name__ == "__main__":
    print_rates(__doc__, WORLDS, simulate)
