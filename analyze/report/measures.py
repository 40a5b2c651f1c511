"""What heads look at, what they add to the answer, and what knocking them out costs: the measures of the head map.

looking        the mass columns of `heads`
contributing   the columns of `contributions`, towards the right answer
mattering      the effect of knocking out the single head: the loss of lead of the right answer, by job
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import numpy as np
import pandas as pd

from analyze.knockouts.effects import Blocks, contribution_blocks, effect_blocks
from analyze.knockouts.jobs import head_cells
from analyze.report.tallying import Dealt, Tallied, agreement, spread
from analyze.tables.bins import EDGES
from analyze.tables.frames import Heads
from analyze.tables.parts.sums import Adding
from analyze.tables.tallies import Tally, Total
from analyze.tables.text_scope import TextScope
from analyze.tables.values import observed_rows, observed_samples
from schemas.columns import CONTRIBUTION_COLUMNS, CONTRIBUTIONS
from schemas.jobs.settings import JobSettings
from schemas.store.jobs import Job, job_names, open_job

LOOKING, CONTRIBUTING, MATTERING = MEASURE_KINDS = ("looking", "contributing", "mattering")
COMPARED = ("a2v", "q2v", "d2v")  # with the effects of knock-outs
WIDE = 4  # root mean squares that histograms of signed values reach
_BINS = 20
_FIRST = ("a2v", "q2v", "t2v")  # masses that may be shown first
_QUERIES = {"question": "q", "last": "a", "image": "v"}  # the roles of what knock-outs change, as columns begin


@dataclass(frozen=True)
class Measure:
    """One measure of all heads.

    Attributes:
        name: of the column, or of the job.
        kind: of `MEASURE_KINDS`.
        job: for a job, what it was asked.
    """

    name: str
    kind: str
    found: Tallied
    job: JobSettings | None = None

    @property
    def queries(self) -> str:
        """Whose attention it is about, as columns begin: `a` for the last token, ...; empty: that of all tokens."""
        if self.job is not None:
            return _QUERIES.get(self.job.query or "", "")
        return "a" if self.kind == CONTRIBUTING else self.name[0]


@dataclass(frozen=True)
class Measured:
    """The measures of a run; samples are those of `observed_samples`.

    Attributes:
        tally: of the mass columns, for distributions.
    """

    samples: pd.DataFrame
    measures: list[Measure]
    tally: Tally

    def first_looking(self) -> Measure | None:
        """The mass of the image that is shown first: of the tokens that knock-outs are about, where there is one."""
        looking = {each.name: each for each in self.measures if each.kind == LOOKING}
        effect = self.first_mattering()
        first = [f"{effect.queries}2v"] if effect is not None else []
        return next((looking[name] for name in (*first, *_FIRST) if name in looking), None)

    def first_mattering(self) -> Measure | None:
        """The effects that are shown first."""
        return next((each for each in self.measures if each.kind == MATTERING), None)

    def agreements(self) -> tuple[str, dict[str, float]]:
        """The first job, and the rank correlation of its effects with what heads look at and add, by column."""
        effects = [each for each in self.measures if each.kind == MATTERING]
        if not effects:
            return "", {}
        others = {each.name: each.found for each in self.measures if each.name in COMPARED}
        effect = effects[0].found.means()[0]
        found = {name: agreement(each.means()[0], effect) for name, each in others.items()}
        return effects[0].name, {name: value for name, value in found.items() if value is not None}


def measure(heads: Heads, scope: TextScope) -> Measured:
    """Read all measures that a run has.

    Raises:
        HeadflowError: a table or a job is damaged.
    """
    samples = observed_samples(heads)
    dealt = Dealt.of(samples, heads.categories)
    found, tally = _looking(heads, scope, dealt)
    if CONTRIBUTIONS in heads.run.manifest.tables:
        names = [column.name for column in CONTRIBUTION_COLUMNS]
        tallied = _signed(lambda: contribution_blocks(heads, names), dealt, prod(heads.shape))
        found += [Measure(name, CONTRIBUTING, each) for name, each in tallied.items()]
    for name in job_names(heads.run):
        job = open_job(heads.run, name)
        if (cells := head_cells(job)) is not None:
            found += _effects(heads, job, cells, dealt)
    return Measured(samples, found, tally)


def _looking(heads: Heads, scope: TextScope, dealt: Dealt) -> tuple[list[Measure], Tally]:
    flows, row = heads.run.manifest.flows, observed_rows(heads)
    tallied = {flow: Tallied(dealt, prod(heads.shape), EDGES) for flow in flows}
    total = Total(heads, flows, scope, spread=False)
    for task in total.tasks():
        adding = Adding(task)
        for own, values in task.read.values():
            adding.add(own, values)
            samples = row[task.read.samples[own]]
            for flow, each in tallied.items():
                each.add(samples, values[flow].reshape(len(samples), -1))
        total.add(adding.result())
    return [Measure(flow, LOOKING, each) for flow, each in tallied.items()], total.tally()


def _signed(blocks: Callable[[], Blocks], dealt: Dealt, cells: int) -> dict[str, Tallied]:
    """Measures that may be negative, by name; they are read twice, for the range of their histograms first."""
    squares: dict[str, tuple[float, int]] = {}
    for _, values in blocks():
        for name, (total, number) in spread(values).items():
            before = squares.get(name, (0.0, 0))
            squares[name] = (before[0] + total, before[1] + number)
    found = {}
    for name, (total, number) in squares.items():
        end = WIDE * np.sqrt(total / number) if total else 1.0
        found[name] = Tallied(dealt, cells, np.linspace(-end, end, _BINS + 1))
    for samples, values in blocks():
        for name, each in found.items():
            each.add(samples, values[name])
    return found


def _effects(heads: Heads, job: Job, cells: list[int], dealt: Dealt) -> list[Measure]:
    """The effect of each head; none if the job has no rows yet."""
    tallied = _signed(lambda: effect_blocks(heads, job, cells), dealt, prod(heads.shape))
    return [Measure(name, MATTERING, each, job.settings) for name, each in tallied.items()]
