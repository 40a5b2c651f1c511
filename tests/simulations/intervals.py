"""How often printed intervals hold the truth: of shares and their differences, of skewed means, and of a loss of score.

python -m tests.simulations.intervals --runs 4000

A mean is what `image` (gain), `prune` (effects, criteria), `maps` and `prompts` (lead) print; `knock-out` and `summary`
print Student's interval, as sums over images give no other. Shares are accuracies and MME scores of a category, and
differences those of two models, which `compare` prints. Runs are the columns of one array.
"""

import argparse
from collections.abc import Callable

import numpy as np

from analyze.statistics.bootstrap import LEVEL, Bootstrap
from analyze.statistics.clusters import Array, Clusters, ImageSums
from analyze.statistics.intervals import FEWEST_IMAGES, mean_interval, share_intervals, skewed_mean_intervals
from analyze.statistics.losses import loss_intervals
from schemas.tasks import MME
from tests.simulations.answers import ALIKE, LOST, SAME

Draw = Callable[[np.random.Generator, tuple[int, int]], Array]
MEANS: dict[str, tuple[Draw, float]] = {
    "normal": (lambda random, size: random.normal(size=size), 0.0),
    "exponential": (lambda random, size: random.exponential(size=size), 1.0),
    "a mass near 0": (lambda random, size: random.beta(0.3, 3.0, size), 0.3 / 3.3),
    "lognormal": (lambda random, size: random.lognormal(size=size), float(np.exp(0.5))),
    "heavy tails": (lambda random, size: random.standard_t(3, size), 0.0),
    "one in ten is far off": (lambda random, size: random.normal(size=size) + 10 * (random.random(size) < 0.1), 1.0),
}
IMAGES = (20, 25, 60, 200)
ACCURACIES = (0.6, 0.75, 0.9, 0.95, 0.98)
# Images of each category, and the chance with which one of their answers changes
LOSSES = {
    "one category churns, a small one hardly changes": ((150, 10), (0.2, 0.04)),
    "the same, and the small one churns too": ((150, 10), (0.2, 0.2)),
    "fourteen categories, few changes": ((60,) * 14, (0.01,) * 14),
    "fourteen categories, many changes": ((60,) * 14, (0.3,) * 14),
    "few images": ((15, 15), (0.05, 0.05)),
}


def mean_coverage(name: str, images: int, runs: int, seed: int = 0) -> tuple[float, float]:
    """The share of runs whose interval of a mean holds the truth, and the same of Student's.

    Images are of three categories with other means, and have one to three questions each.
    """
    draw, truth = MEANS[name]
    random = np.random.default_rng(seed)
    category = np.arange(images) % 3
    counts = np.repeat(random.integers(1, 4, (images, 1)), runs, axis=1).astype(np.float64)
    values = draw(random, (images, runs))
    low, high = skewed_mean_intervals(counts * values, counts, category)
    student = mean_interval(ImageSums.of(counts * values, counts))
    return held(low, high, truth), held(*student, truth)


def share_coverage(accuracy: float, images: int, runs: int, resamples: int = 1_000) -> dict[str, float]:
    """The shares of runs whose intervals of accuracy and score of one category hold the truth.

    And whose intervals of their differences from another model do, where `compare` gives one: from one that is right as
    often (`alike`), and from one that loses some right answers (`C`).
    """
    random = np.random.default_rng(images)
    chance = random.beta(ALIKE * accuracy, ALIKE * (1 - accuracy), (images, 1, runs))
    common, own, other, same = (random.random((images, 2, runs)) < each for each in (chance, chance, chance, SAME))
    right, alike = np.where(same, common, own), np.where(random.random(same.shape) < SAME, common, other)
    left = right & (random.random(right.shape) >= LOST)
    bootstrap = Bootstrap(Clusters(np.arange(images), np.zeros(images, np.int64), ["one"]), resamples)
    pairs = accuracy**2 + accuracy * (1 - accuracy) / (ALIKE + 1)
    less = {"alike": (alike, 0.0, 0.0), "C": (left, -LOST * accuracy, ((1 - LOST) ** 2 - 1) * pairs)}
    found = {}
    for name, of, truth in (("accuracy", of_questions, accuracy), ("score", of_score, (accuracy + pairs) / 2)):
        found[name] = held(*share_intervals(bootstrap, of(right), np.full((images, runs), 2.0)), truth)
        for which, (answers, by, of_pairs) in less.items():
            told = (answers.sum(axis=1) != right.sum(axis=1)).sum(axis=0) >= FEWEST_IMAGES
            differences = (of(answers) - of(right))[:, told] / 2
            draws = bootstrap.ratios(differences, np.ones(images))
            bounds = bootstrap.bounds(differences.mean(axis=0), draws, np.ones(images, bool))
            found[f"{name} less, {which}"] = held(*bounds, by if of is of_questions else (by + of_pairs) / 2)
    return found


def of_questions(right: Array) -> Array:
    """How many answers on each image are right, [images, runs], from bool [images, 2, runs]."""
    return right.sum(axis=1).astype(np.float64)


def of_score(right: Array) -> Array:
    """The points of each image as a share of all that it can have, times its two questions; as `of_questions`."""
    return right.mean(axis=1) + right.all(axis=1)


def loss_coverage(name: str, runs: int, seed: int = 0) -> float:
    """The share of runs whose interval of the loss of score holds the truth."""
    sizes, flips = LOSSES[name]
    random = np.random.default_rng(seed)
    category = np.repeat(np.arange(len(sizes)), sizes)
    flip = np.array(flips)[category]
    truth = sum(flips.count(flip) * lost(random, np.full(100_000, flip), 1).mean() for flip in set(flips))
    images = Clusters(np.arange(len(category)), category, list(map(str, range(len(sizes)))))
    low, high = loss_intervals(lost(random, flip, runs), np.full((len(category), 1), MME.most), images, LEVEL)
    return held(low, high, truth)


def lost(random: np.random.Generator, flip: Array, runs: int) -> Array:
    """Points that each image loses where 9 in 10 answers were right and some change, [images, runs]."""
    before = random.random((len(flip), 2, runs)) < 0.9
    after = before ^ (random.random(before.shape) < flip[:, None, None])
    one, other = (100 * (each.mean(axis=1) + each.all(axis=1)) for each in (before, after))
    points: Array = one - other
    return points


def held(low: Array, high: Array, truth: float) -> float:
    """The share of intervals that hold the truth."""
    return float(((low <= truth) & (truth <= high)).mean())


def main() -> None:
    """Print the rates."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=2000)
    runs = parser.parse_args().runs
    print("means: of images, printed, Student's")
    for name in MEANS:
        for images in IMAGES:
            own, student = mean_coverage(name, images, runs)
            print(f"  {own:6.1%} {student:6.1%}  {name}, {images} images", flush=True)
    print("shares, and differences of two models: accuracy, images")
    for accuracy in ACCURACIES:
        for images in IMAGES:
            for name, share in share_coverage(accuracy, images, runs).items():
                print(f"  {share:6.1%}  {name}: {accuracy}, {images}", flush=True)
    print("losses of score")
    for name in LOSSES:
        print(f"  {loss_coverage(name, runs):6.1%}  {name}", flush=True)


if __name__ == "__main__":
    main()
