"""Both steps and their results: sets to measure, and what they cost once they were measured."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from analyze.knockouts.jobs import UNITS, knocked
from analyze.prune.criteria import read_criteria
from analyze.prune.curves import Answers, Costs, costs
from analyze.prune.design import SETS, Design, design_sets, read_design
from analyze.prune.halves import Flags, answered_samples, divide, divided_as
from analyze.prune.plan import Plan, add_savings, make_plan
from analyze.prune.ranking import Ranked, rank, relations
from analyze.prune.verdict import costs_in_words, ranking_in_words
from analyze.statistics.bootstrap import RESAMPLES, SEED
from analyze.statistics.clusters import Clusters
from analyze.tables.frames import Heads
from schemas.columns import REMOVE
from schemas.errors import HeadflowError
from schemas.jobs.head_sets import HeadSet
from schemas.store.jobs import Job, open_job
from schemas.text import counted, listed

SHARES, RANDOM_SETS, ALLOWED = (0.125, 0.25, 0.5), 200, 20.0


@dataclass(frozen=True)
class Ranking:
    """Heads and layers as some of the images rank them.

    Attributes:
        ranked: by each criterion.
        relations: how criteria agree; see `relations`.
        samples: of `answered`; `tests`: bool [samples], those that test; `ranks`: those that rank.
    """

    ranked: list[Ranked]
    relations: pd.DataFrame
    samples: pd.DataFrame
    ranks: Flags
    tests: Flags

    @property
    def criteria(self) -> pd.DataFrame:
        """Of each criterion: `unit`, `criterion`, `job`, `kind`, `samples`, `images`, `reliability`, `meaning`."""
        rows = [
            {
                "unit": each.criterion.unit, "criterion": each.criterion.name, "job": each.criterion.job,
                "kind": each.criterion.kind, "samples": each.samples, "images": len(each.by_image),
                "reliability": np.nan if each.reliability is None else each.reliability,
                "meaning": each.criterion.words,
            }
            for each in self.ranked
        ]  # fmt: skip
        return pd.DataFrame(rows)

    def tables(self) -> dict[str, pd.DataFrame]:
        """The results, by the names of their files."""
        of = {unit: [each.table for each in self.ranked if each.criterion.unit == unit] for unit in UNITS}
        tables = {f"{unit}.csv": pd.concat(some, ignore_index=True) for unit, some in of.items() if some}
        return tables | {"criteria.csv": self.criteria, "relations.csv": self.relations}

    def verdict(self) -> list[str]:
        """The result in words, a line each."""
        images = [Clusters.of(self.samples[own]).different() for own in (self.ranks, self.tests)]
        return ranking_in_words(
            self.ranked,
            self.relations,
            f"halves: {counted(int(self.ranks.sum()), 'question')} on {counted(images[0], 'image')} to rank, "
            f"{int(self.tests.sum())} on {counted(images[1], 'other')} to test; no image does both",
        )


@dataclass(frozen=True)
class TestedCut:
    """What sets cost on the images that did not rank them.

    Attributes:
        named: the sets by name.
    """

    ranking: Ranking
    design: Design
    named: dict[str, HeadSet]
    costs: Costs
    plan: Plan

    def tables(self) -> dict[str, pd.DataFrame]:
        """The results, by the names of their files."""
        bound = self.plan.candidates[["unit", "criterion", "order", "number", "bound", "passes"]]
        sets = self.costs.sets.merge(bound, "left", ["unit", "criterion", "order", "number"]).drop(columns="group")
        return self.ranking.tables() | {
            "sets.csv": sets,
            "random.csv": self.costs.random,
            "areas.csv": self.costs.areas,
        }

    def verdict(self) -> list[str]:
        """The result in words, a line each."""
        return [*self.ranking.verdict(), *costs_in_words(self.costs, self.plan, len(self.named))]


def rank_run(
    heads: Heads,
    *,
    criteria: Sequence[str] | None = None,
    effects: Sequence[str] | None = None,
    tests: Sequence[str] | None = None,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Ranking:
    """Rank the heads and layers of a run on half of its images.

    Args:
        criteria, effects: see `read_criteria`.
        tests: ids of the samples that test; None: half of the images of each category, by the seed.

    Raises:
        HeadflowError: no right answer is an option, no category has two images, or a criterion is not there.
    """
    samples = answered_samples(heads)
    try:
        if tests is None:
            testing = divide(samples, seed)
            ranks = ~testing
        else:
            ranks, testing = divided_as(samples, tests)
    except HeadflowError as error:
        raise HeadflowError(f"{heads.run.path}: {error}") from None
    found = read_criteria(heads, samples, ranks, criteria, effects)
    clusters = Clusters.of(samples[ranks]).once()
    ranked = [rank(criterion, clusters, heads.run.manifest, seed) for criterion in found]
    return Ranking(ranked, relations(ranked, resamples, seed), samples, ranks, testing)


def make_design(
    ranking: Ranking, heads: Heads, *, shares: Sequence[float] = SHARES, random: int = RANDOM_SETS, seed: int = SEED
) -> tuple[Design, dict[str, HeadSet]]:
    """The sets to knock out; see `design_sets`."""
    members, sets = design_sets(ranking.ranked, heads.run.manifest, shares, random, seed)
    criteria = dict.fromkeys(each.criterion.name for each in ranking.ranked)
    effects = [each.criterion.job for each in ranking.ranked if each.criterion.job]
    return Design(
        seed=seed, random=random, prompt=heads.prompt, criteria=list(criteria), effects=effects, members=members
    ), sets


def cost_of_sets(
    heads: Heads, name: str, folder: Path, *, allowed: float = ALLOWED, resamples: int = RESAMPLES, seed: int = SEED
) -> TestedCut:
    """What the sets in a folder cost, from the job that knocked them out.

    Raises:
        HeadflowError: the job knocked out other sets, in another way, or lacks samples; or it cannot be read.
    """
    job = open_job(heads.run, name)
    if not (folder / SETS).exists():
        raise HeadflowError(
            f"{heads.run.path} has a job {name}, but {folder} has no {SETS} that it could be of; name the "
            "folder that has, or another job",
            setting="job",
        )
    design, sets, tests = read_design(folder)
    _check(job, sets, folder)
    ranking = rank_run(
        heads, criteria=design.criteria, effects=design.effects, tests=tests, resamples=resamples, seed=design.seed
    )
    tested = ranking.samples[ranking.tests]
    ids = tested["sample_id"].astype(str).tolist()
    found = knocked(job, tested)
    if missing := [name for name, there in zip(ids, found.there, strict=True) if not there]:
        raise HeadflowError(
            f"job {job.name} of {heads.run.path} lacks {len(missing)} of the {len(ids)} samples that test, such as "
            f"{listed(missing, 2)}: resume it",
            setting="job",
        )
    cost = costs(Answers.of(tested, found, list(job.settings.knock_outs), heads.task), design, resamples, seed)
    sizes = heads.run.manifest.sizes
    cost = cost.with_sets(add_savings(cost.sets, sets, heads.run.manifest, sizes))
    return TestedCut(ranking, design, sets, cost, make_plan(cost, allowed))


def _check(job: Job, sets: dict[str, HeadSet], folder: Path) -> None:
    """Raise `HeadflowError` if a job knocked out other sets than those of the folder, or in another way."""
    if job.settings.kind != REMOVE:
        raise HeadflowError(
            f"job {job.name} of {job.run.path} is of the kind {job.settings.kind}; only `{REMOVE}` predicts a model "
            "without the heads",
            setting="job",
        )
    if job.settings.sets != sets:
        raise HeadflowError(
            f"job {job.name} of {job.run.path} knocked out other sets than {folder / SETS} has; measure these "
            "under another name",
            setting="job",
        )
