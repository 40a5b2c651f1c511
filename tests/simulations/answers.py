"""How often verdicts on answers are false where nothing is there, and how often printed intervals hold the truth.

python -m tests.simulations.answers --runs 200

Two questions an image share how hard it is. Models A and B, and three wordings, are right equally often and answer some
questions in the same way; C loses a tenth of A's right answers. No answer is biased, no difficulty is hard, no head
differs or tells failures. Truths are those of images of the same kind, in categories of the same sizes.
"""

import argparse
from collections import Counter
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pandas as pd

from analyze import diagnose
from analyze.compare.answers import compare_answers
from analyze.compare.pairing import Pairs
from analyze.compare.verdict import answers_in_words
from analyze.scores.accuracy import ALL_TOGETHER, category_scores, total_scores
from analyze.scores.intervals import score_intervals
from analyze.statistics.bootstrap import Bootstrap
from analyze.statistics.clusters import Clusters, ImageSums
from analyze.statistics.contrasts import polarity_free_contrast
from analyze.statistics.intervals import mean_interval
from analyze.statistics.multiplicity import false_discovery_rate, sign_flip_maximum
from analyze.wordings import compare_prompts
from schemas.tasks import COGNITION, MME, PERCEPTION

ALIKE, SAME = 4, 0.7  # how alike two questions on an image are; share of answers that all models have in common
LOST = 0.1  # of A's right answers, by C
NAMES = (*PERCEPTION, *COGNITION)
DIFFICULTIES = ("none", "none", "faint", "small", "turned", "crowded")
FLOWS, HEADS = 3, 64
Row = pd.Series


@dataclass(frozen=True)
class World:
    """The size of a run, and how often its models are right, from the first to the last category."""

    categories: int
    images: int
    accuracy: tuple[float, float] = (0.6, 0.9)

    @property
    def truths(self) -> pd.DataFrame:
        """By category and of MME's totals, in points: `accuracy`, `pairs`, `score`."""
        right = np.linspace(*self.accuracy, self.categories)
        table = pd.DataFrame({"accuracy": right}, index=NAMES[: self.categories])
        table["pairs"] = right**2 + right * (1 - right) / (ALIKE + 1)
        table["score"] = table["accuracy"] + table["pairs"]
        for total, names in MME.totals.items():
            table.loc[total] = table.loc[table.index.isin(names)].sum()
        table.loc[ALL_TOGETHER] = table[: self.categories].mean()
        return 100 * table


WORLDS = (World(14, 20), World(14, 40), World(3, 100), World(4, 30, (0.9, 0.97)))


class Tally:
    """Sentences that are false, and intervals that hold the truth, counted over runs."""

    def __init__(self):
        self.false, self.made, self.held, self.given = (Counter() for _ in range(4))

    def sentence(self, name: str, wrong: bool) -> None:
        self.false[name] += bool(wrong)
        self.made[name] += 1

    def interval(self, name: str, low: float, high: float, truth: float) -> None:
        """Count an interval; NaN is none."""
        if low == low:
            self.held[name] += low - 1e-9 <= truth <= high + 1e-9
            self.given[name] += 1


def made_up(random: np.random.Generator, world: World, models: int):
    """Rows of `samples` in order of images, and whether each of some models is right, bool [models, samples]."""
    number = world.categories * world.images
    accuracy = np.repeat(np.linspace(*world.accuracy, world.categories), world.images)
    chance = np.repeat(random.beta(ALIKE * accuracy, ALIKE * (1 - accuracy)), 2)
    common, own = random.random(2 * number) < chance, random.random((models, 2 * number)) < chance
    right = np.where(random.random(2 * number) < SAME, common, own)
    image = np.repeat(np.arange(number), 2).astype(str)
    yes = np.arange(2 * number) % 2 == 0
    samples = pd.DataFrame(
        {
            "sample_id": np.arange(2 * number).astype(str), "question_id": image, "image": image, "image_sha256": image,
            "category": np.repeat(NAMES[: world.categories], 2 * world.images), "status": "ok",
            "answer": np.where(yes, "Yes", "No"), "p_yes": 0.5, "p_no": 0.5, "prompt": None,
            "difficulty": np.repeat(random.choice(DIFFICULTIES, number), 2),
            "lead": 1 + np.repeat(random.gumbel(0, 1, number), 2) - np.euler_gamma,
        }
    )  # fmt: skip
    return samples, right


def answered(samples: pd.DataFrame, right: np.ndarray) -> pd.DataFrame:
    """With the columns of `observed_samples`."""
    expected = (samples["answer"] == "No").to_numpy().astype(int)
    says = np.where(right, expected, 1 - expected)
    return samples.assign(prediction=np.array(MME.words)[says], says=says, expected=expected, right=right)


def run_of(samples: pd.DataFrame) -> SimpleNamespace:
    """A run as far as its answers are read."""
    stored = SimpleNamespace(path="made up", ledgers={}, manifest=SimpleNamespace(dtype=None))
    observed = pd.Series(np.ones(len(samples), bool))
    return SimpleNamespace(samples=samples, observed=observed, shape=(1, 1), run=stored, task=MME, scope=lambda _: None)


def tally(random: np.random.Generator, world: World, resamples: int, found: Tally) -> None:
    """Count what is said of one made-up run by each command."""
    samples, right = made_up(random, world, 3)
    options = {"resamples": resamples, "seed": int(random.integers(2**31))}
    of_diagnose(random, world, answered(samples, right[0]), Bootstrap(Clusters.of(samples), *options.values()), found)
    of_summary(random, world, answered(samples, right[0]), options, found)
    of_compare(world, samples, [*right[:2], right[0] & (random.random(len(samples)) >= LOST)], options, found)
    of_prompts(world, samples, right, options, found)


def of_diagnose(
    random: np.random.Generator, world: World, samples: pd.DataFrame, bootstrap: Bootstrap, found: Tally
) -> None:
    pairs, truths = diagnose.pairs_of_questions(samples, bootstrap.clusters), world.truths
    images = bootstrap.clusters.images
    told = []
    for _ in range(FLOWS):
        differences = random.normal(size=(images, 1)) + random.normal(size=(images, HEADS))
        told.append(polarity_free_contrast(differences, pairs["state"].to_numpy(), bootstrap.clusters.category).p)
    heads = pd.DataFrame({"p": np.concatenate(told)})
    found.sentence("diagnose: a head tells", (false_discovery_rate(heads["p"].to_numpy()) <= 0.05).any())
    states, difficulty = diagnose._states(samples, pairs, bootstrap), diagnose._difficulty(samples, bootstrap)
    lines = diagnose.Diagnosis(states, difficulty, None, diagnose.NO_CONTRASTS.assign(adjusted_p=0.0), {}, {}, samples)
    verdict = lines.verdict()
    found.sentence("diagnose: says yes too often", any("says yes too" in line for line in verdict))
    found.sentence(
        "diagnose: a difficulty is harder", any(line.startswith("difficulty: harder than") for line in verdict)
    )
    for row in states.to_dict("records"):
        where = "over all" if row["category"] == ALL_TOGETHER else "by category"
        truth = truths.loc[row["category"], "accuracy"]
        found.interval(f"diagnose: accuracy {where}", row["low"], row["high"], truth)
        found.interval(f"diagnose: bias {where}", row["bias_low"], row["bias_high"], 0)
    by_sample = samples["category"].map(truths["accuracy"])
    for row in difficulty.to_dict("records"):
        truth = by_sample[samples["difficulty"] == row["difficulty"]].mean()
        found.interval("diagnose: accuracy by difficulty", row["low"], row["high"], truth)
        found.interval("diagnose: difference of difficulties (99%)", row["difference_low"], row["difference_high"], 0)


def of_summary(random: np.random.Generator, world: World, samples: pd.DataFrame, options: dict, found: Tally) -> None:
    scores = category_scores(samples)
    table = score_intervals(pd.concat([scores, total_scores(scores, samples)]), samples, **options)
    for row in table.to_dict("records"):
        where = "of a total" if row["category"] in MME.totals else "of a category"
        found.interval(f"summary: score {where}", row["low"], row["high"], world.truths.loc[row["category"], "score"])
    for name, values, truth in (
        ("masses", random.beta(2, 5, world.images), 2 / 7), ("skewed masses", random.beta(0.5, 8, world.images), 1 / 17)
    ):  # fmt: skip
        low, high = mean_interval(ImageSums.of(2 * values[:, None], np.full((world.images, 1), 2.0)))
        found.interval(f"summary: mean of {name}", low[0], high[0], truth)


def of_compare(world: World, samples: pd.DataFrame, right: list[np.ndarray], options: dict, found: Tally) -> None:
    table = samples.assign(a=range(len(samples)), b=range(len(samples)), other_answer=False)
    runs, pairs, truths = (
        [run_of(answered(samples, each)) for each in right],
        Pairs(table, "image", 0, 0),
        world.truths,
    )
    for name, other, left in (("alike", runs[1], 1.0), ("C", runs[2], 1 - LOST)):
        answers = compare_answers(runs[0], other, pairs, **options)
        if left == 1:
            said = [sentence.name for sentence in answers_in_words(answers, 0)]
            found.sentence(
                "compare: B is right more often", any(each in said for each in ("answers_more", "answers_less"))
            )
            found.sentence("compare: a category differs", "categories_some" in said)
        for row in answers[answers["measure"] != "lead"].to_dict("records"):
            truth = truths.loc[row["category"]]
            lost = (left - 1) * truth["accuracy"]
            lost += (left**2 - 1) * truth["pairs"] if row["measure"] == "score" else 0
            where = "over all" if row["category"] == ALL_TOGETHER else "by category"
            found.interval(f"compare: {row['measure']} less, {name}, {where}", row["low"], row["high"], lost)


def of_prompts(world: World, samples: pd.DataFrame, right: np.ndarray, options: dict, found: Tally) -> None:
    wordings = [
        answered(samples, each).assign(prompt=name, sample_id=samples["sample_id"] + f"@{name}")
        for name, each in zip("uvw", right, strict=True)
    ]
    result = compare_prompts(run_of(pd.concat(wordings, ignore_index=True)), [], **options)
    verdict = result.verdict()
    found.sentence("prompts: a wording is best", any("significantly better than each" in line for line in verdict))
    found.sentence("prompts: says yes too often", any("says yes too" in line for line in verdict))
    for row in result.pairs.to_dict("records"):
        found.interval("prompts: difference of accuracies", row["low"], row["high"], 0)
    for row in result.whole.to_dict("records"):
        found.interval("prompts: accuracy", row["low"], row["high"], world.truths.loc[ALL_TOGETHER, "accuracy"])
        found.interval("prompts: lead", row["lead_low"], row["lead_high"], 1)
    for row in result.categories.to_dict("records"):
        found.interval("prompts: lead by category", row["lead_low"], row["lead_high"], 1)


def heads_differ(random: np.random.Generator, images: int) -> bool:
    """Whether a head is said to differ, or to shift, in one of some flows; heads of an image share their noise."""
    values = [random.normal(size=(images, 1)) + random.normal(size=(images, HEADS)) for _ in range(FLOWS)]
    return any(sign_flip_maximum(each, flips=1_000, tests=FLOWS).significant.any() for each in values)


def simulate(world: World, runs: int, *, resamples: int = 1_000, seed: int = 0) -> Tally:
    """What is said of some made-up runs."""
    random, found = np.random.default_rng(seed), Tally()
    for _ in range(runs):
        tally(random, world, resamples, found)
        found.sentence("compare, prompts: a head differs", heads_differ(random, world.images))
    return found


def main() -> None:
    """Print the rates."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--worlds", type=int, nargs="+", default=[*range(len(WORLDS))])
    arguments = parser.parse_args()
    for world in (WORLDS[place] for place in arguments.worlds):
        print(world)
        found = simulate(world, arguments.runs)
        for name, number in found.false.items():
            print(f"  false {number / found.made[name]:6.1%}  {name}")
        for name, number in found.given.items():
            print(f"  holds {found.held[name] / number:6.1%} of {number:6d}  {name}", flush=True)


if __name__ == "__main__":
    main()
