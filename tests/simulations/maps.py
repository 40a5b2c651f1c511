"""How often each sentence of `maps` is false in runs where nothing is there.

python -m tests.simulations.maps --runs 500

Maps are smooth noise that heads share in part, the same for every head, layer and patch; so is the attention on sinks,
and the effects, which go with the hits from image to image and with the layer. No head localises, no layer has more
sinks, no head points better than a random patch, the centre or another head, and pointing does not go with effects.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter

from analyze.maps.grids import PatchGrid
from analyze.maps.measures import MeanMaps, Measures, pointing_hits, spatial_entropy
from analyze.maps.pointing import ALPHA, correlate_heads, find_pointing
from analyze.maps.ranking import rank_looks
from analyze.maps.verdict import in_words
from analyze.statistics.bootstrap import Bootstrap
from analyze.statistics.clusters import Clusters
from tests.simulations.rates import count, print_rates

EDGE, BOX = 8, 3  # patches along an edge, of the grid and of a box
GRID = PatchGrid(EDGE, EDGE, (0, 0, EDGE, EDGE), EDGE, EDGE)
CENTRE = EDGE // 2 * EDGE + EDGE // 2


@dataclass(frozen=True)
class World:
    """The size of a run."""

    images: int
    layers: int
    heads: int
    categories: int = 4


WORLDS = (World(20, 2, 8), World(40, 4, 12), World(160, 6, 8), World(60, 16, 16, 14))


def made_up(random: np.random.Generator, world: World):
    """Rows of `samples`, values and measures of a run in which nothing is there."""
    samples, heads = 2 * world.images, world.layers * world.heads
    image = np.repeat(np.arange(world.images), 2)
    rows = pd.DataFrame(
        {
            "sample_id": np.arange(samples).astype(str), "category": (image % world.categories).astype(str),
            "image_sha256": image.astype(str), "image": "", "question_id": "", "image_width": EDGE,
            "image_height": EDGE, "boxes": [[[0, 0, EDGE, EDGE]]] * samples,
        }
    )  # fmt: skip
    noise = random.normal(size=(world.images, 1, heads, EDGE, EDGE)) + random.normal(
        size=(world.images, 2, 1, EDGE, EDGE)
    )
    noise = gaussian_filter(
        noise + random.normal(size=(world.images, 2, heads, EDGE, EDGE)), (0, 0, 0, 1, 1), mode="wrap"
    )
    maps = np.exp(4 * noise).reshape(samples, heads, EDGE * EDGE)
    maps = (maps / maps.sum(axis=-1, keepdims=True)).astype(np.float32)
    spatial = spatial_entropy(maps.reshape(-1, EDGE * EDGE), GRID).reshape(samples, heads)
    boxed = boxes(random, world.images)[image]
    hits = np.stack([pointing_hits(own, box) for own, box in zip(maps, boxed, strict=True)])
    chance = boxed.mean(axis=1)
    mass = random.beta(2, 5, (samples, heads)).reshape(samples, world.layers, world.heads).astype(np.float32)
    share = random.beta(1, 8, (world.images, world.layers, 1))[image]  # of an image and a layer
    values = {"mass": mass, "entropy": np.full_like(mass, 0.8), "sink": (mass * share).astype(np.float32)}
    kept = np.ones((world.layers, world.heads), bool)
    nothing = MeanMaps(*(np.zeros((1, 1, 1)) for _ in range(2)), np.zeros(1))
    inside, centre = np.full((samples, heads), 0.1, np.float32), boxed[:, CENTRE].astype(float)
    return (
        rows,
        values,
        Measures(
            np.arange(samples), kept, np.arange(world.layers), spatial, hits, inside, chance, centre, chance, nothing
        ),
    )


def boxes(random: np.random.Generator, images: int):
    """Which patches have their centre in the box of each image, bool [images, patches]: each as likely as another."""
    mask = np.zeros((images, EDGE, EDGE), bool)
    mask[:, :BOX, :BOX] = True
    moves = random.integers(EDGE, size=(images, 2))
    return np.stack([np.roll(one, move, (0, 1)) for one, move in zip(mask, moves, strict=True)]).reshape(images, -1)


def false_sentences(random: np.random.Generator, world: World, resamples: int) -> dict[str, bool]:
    """Which sentences of one made-up run are false."""
    samples, values, measures = made_up(random, world)
    bootstrap = Bootstrap(Clusters.of(samples), resamples, int(random.integers(2**31)))
    looks = rank_looks(samples, values, measures, bootstrap)
    pointing = find_pointing(samples, measures, resamples, bootstrap.seed)
    lines = in_words(looks, pointing, None, int(measures.kept.sum()))
    truth = BOX**2 / EDGE**2
    tested = pointing.tested.set_index("point")
    told = (tested["lead_low"] > 0) | (tested["lead_high"] < 0)
    return {
        "localise best": lines[0].startswith("localise best"),
        "most sinks in layer": "most in layer" in lines[1],
        "accuracy of the best head": not tested["low"].iloc[0] <= truth <= tested["high"].iloc[0],
        **{f"leads the {name}": bool(each) for name, each in told.iloc[1:].items()},
        "heads point": bool(pointing.table["points"].any()),
        "pointing goes with effects": goes_with_effects(random, world, bootstrap, measures),
    }


def goes_with_effects(random: np.random.Generator, world: World, bootstrap: Bootstrap, measures: Measures) -> bool:
    """Whether pointing is said to go with effects that share its noise by image, and differ by layer."""
    layer = np.nonzero(measures.kept)[0]
    effects = measures.hits + random.normal(size=measures.hits.shape) + random.normal(size=world.layers)[layer]
    hits = measures.hits + random.normal(size=world.layers)[layer]
    sums = [bootstrap.clusters.known_sums(each) for each in (hits, effects)]
    found = correlate_heads(bootstrap.clusters, sums, layer, bootstrap.resamples, bootstrap.seed)
    return found is not None and found.p <= ALPHA


def simulate(world: World, runs: int, *, resamples: int = 300, seed: int = 0) -> Counter[str]:
    """In how many runs each sentence is false."""
    return count(lambda random: false_sentences(random, world, resamples), runs, seed)


if __name__ == "__main__":
    print_rates(__doc__, WORLDS, simulate)
