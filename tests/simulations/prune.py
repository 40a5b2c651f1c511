"""How often each sentence of `prune` is false in runs where nothing is there.

python -m tests.simulations.prune --runs 200

No criterion goes with the effects of heads or layers: either no head differs from another in anything, or heads differ
in effects and in each criterion, independently. In both, attention and effects vary together from image to image, and
with the layer. What a set costs is the sum of its heads' effects, and no set loses as little as is allowed.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analyze.knockouts.jobs import HEADS, OF_LAYERS
from analyze.prune.criteria import EFFECT, Criterion
from analyze.prune.curves import Answers, costs
from analyze.prune.design import Design, design_sets
from analyze.prune.plan import add_savings, make_plan
from analyze.prune.ranking import rank, relations
from analyze.prune.verdict import costs_in_words, ranking_in_words
from analyze.statistics.clusters import Clusters
from schemas.jobs.head_sets import HeadSet
from schemas.tasks import MME
from tests.simulations.rates import count, print_rates
from tests.support.runs import manifest, sample

CRITERIA = {HEADS: ("a2v", "q2v", "direct", EFFECT), OF_LAYERS: ("bi_last", EFFECT)}
ALLOWED, RANDOM = 30.0, 200


@dataclass(frozen=True)
class World:
    """The size of a run, and by how much heads differ beside the noise of one image."""

    images: int
    layers: int
    heads: int
    categories: int = 2
    differ: float = 0.0


WORLDS = (World(24, 3, 8), World(40, 4, 12, differ=0.5), World(60, 16, 16, 14), World(120, 12, 12, 6, differ=0.5))


def questions(world: World, half: str) -> pd.DataFrame:
    """Rows of `answered` about the images of one half, two on each."""
    rows = [
        sample(number, f"{half} {number // 2 % world.categories}") | {"image_sha256": f"{half} {number // 2}"}
        for number in range(2 * world.images)
    ]
    table = pd.DataFrame(rows)
    return table.assign(yes=table["answer"] == "Yes", right=True, status="ok")


def made_up(random: np.random.Generator, world: World) -> list[Criterion]:
    """Criteria on the ranking half; the noise of an image is in all of them."""
    found = []
    for unit, cells in ((HEADS, world.layers * world.heads), (OF_LAYERS, world.layers)):
        layer = np.arange(cells) // (cells // world.layers)
        shared = random.normal(size=(world.images, cells))
        for name in CRITERIA[unit]:
            means = world.differ * random.normal(size=cells)
            if unit == HEADS:
                means = means + random.normal(size=world.layers)[layer]
            values = np.repeat(means + shared + 0.5 * random.normal(size=shared.shape), 2, axis=0)
            found.append(Criterion(unit, name, "", values.astype(np.float32)))
    return found


def answers(random: np.random.Generator, world: World, sets: dict[str, HeadSet], lost: float) -> Answers:
    """What sets cost on the testing half: answers are lost with a chance, and the margin by each head's own effect."""
    rows = questions(world, "tests")
    weights = random.gamma(1.0, 1.0, (world.layers, 1)) * random.gamma(1.0, 1.0, (world.layers, world.heads))
    price = [
        sum(weights[head] for head in each.heads) + sum(weights[layer].sum() for layer in each.layers)
        for each in sets.values()
    ]
    effects = np.array(price) + random.normal(size=(len(rows), len(sets)))
    right = np.repeat(random.random((len(rows), 1)) >= lost, len(sets), axis=1)
    place = {name: number for number, name in enumerate(sets)}
    return Answers(rows, effects, right, np.ones((len(rows), 1), bool), 1.0, place, MME)


def false_sentences(random: np.random.Generator, world: World, draws: int) -> dict[str, bool]:
    """Which sentences of one made-up run are false."""
    model = manifest(layers=world.layers, heads=world.heads)
    seed, clusters = int(random.integers(2**31)), Clusters.of(questions(world, "ranks"))
    ranked = [rank(criterion, clusters, model, seed) for criterion in made_up(random, world)]
    lines = ranking_in_words(ranked, relations(ranked, draws, seed), "")
    members, sets = design_sets(ranked, model, (0.125, 0.25, 0.5), RANDOM, seed)
    # Each category loses flip + 1 - (1 - flip)^2 of its 100 points: a little more than is allowed
    flip = 1 - np.sqrt(1 - 1.05 * ALLOWED / 200 / world.categories)
    found = costs(answers(random, world, sets, flip), Design(seed=seed, random=RANDOM, members=members), 20, seed)
    found = found.with_sets(add_savings(found.sets, sets, model, {}))
    plan = make_plan(found, ALLOWED)
    told = [line for line in costs_in_words(found, plan, len(sets)) if "than random" in line]
    return {
        **{f"{unit} with more of it matter": any(f"{unit} with more of it matter" in line and "cannot be told" not in
           line for line in lines) for unit in (HEADS, OF_LAYERS)},
        **{f"{unit}, least first: more or less than random": any(line.startswith(unit) for line in told)
           for unit in (HEADS, OF_LAYERS)},
        "plan: cut": plan.chosen is not None,
    }  # fmt: skip


def simulate(world: World, runs: int, *, draws: int = 300, seed: int = 0) -> Counter[str]:
    """In how many runs each sentence is false."""
    return count(lambda random: false_sentences(random, world, draws), runs, seed)


if __name__ == "__main__":
    print_rates(__doc__, WORLDS, simulate)
