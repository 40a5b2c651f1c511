"""How often heads are told from 0, or one is said to be first, in worlds where nothing is there.

    python -m tests.simulations.heads --runs 1000

Values of an image are drawn anew for each head: normal, with heavy tails, skewed, or with what heads share.
"""

from collections.abc import Callable

import numpy as np

from analyze.statistics.clusters import Array, Clusters
from analyze.statistics.heads.means import UNCLEAR, Groups, GroupSums, HeadMeans
from tests.simulations.rates import count, print_rates

Noise = Callable[[np.random.Generator, tuple[int, int]], Array]


def _shared(random: np.random.Generator, shape: tuple[int, int]) -> Array:
    return random.normal(size=shape) + 2 * random.normal(size=(shape[0], 1))


NOISES: dict[str, Noise] = {
    "normal": lambda random, shape: random.normal(size=shape),
    "heavy tails": lambda random, shape: random.standard_t(3, shape),
    "skewed": lambda random, shape: np.exp(random.normal(size=shape)) - np.exp(0.5),
    "shared": _shared,
}


def head_means(values: Array) -> HeadMeans:
    """The means of heads over images of seven categories, [images, heads]."""
    image = np.arange(len(values))
    sums = GroupSums(Groups.of(Clusters(image, image % 7, list("abcdefg"))), values.shape[1])
    sums.add(image, values)
    return sums.means()


def none_there(random: np.random.Generator, noise: str, *, images: int, heads: int) -> dict[str, bool]:
    """All means are 0, and all corrected intervals should hold it."""
    found = head_means(NOISES[noise](random, (images, heads)))
    return {
        "any head is told from 0": bool((found.told != UNCLEAR).any()),
        "one head is said to be first": bool(found.lead().told),
    }


def one_first(random: np.random.Generator, *, images: int, heads: int) -> dict[str, bool]:
    """Two heads are equally high, the others lower: neither is first. Intervals should hold all means."""
    true = np.where(np.arange(heads) < 2, 1.0, 0.0)
    found = head_means(true + random.normal(size=(images, heads)))
    low, high = found.corrected
    return {
        "one of two is first": bool(found.lead().told),
        "a mean is outside its corrected interval": bool(((true < low) | (true > high)).any()),
    }


def main() -> None:
    worlds = [(noise, images, heads) for noise in NOISES for images in (20, 60, 330, 1_187) for heads in (48, 1_024)]
    print_rates(
        __doc__,
        worlds,
        lambda world, runs: count(
            lambda random: (
                none_there(random, world[0], images=world[1], heads=world[2])
                | one_first(random, images=world[1], heads=world[2])
            ),
            runs,
            seed=0,
        ),
    )


if __name__ == "__main__":
    main()
