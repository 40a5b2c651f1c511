"""What heads look at, what they add to the answer, and what knocking them out costs: the measures of the head map.

looking        the mass columns of `heads`
contributing   the columns of `contributions`, towards the right answer
mattering      the effect of knocking out the single head: the loss of lead of the right answer, by job
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import BinaryIO

import numpy as np
import pandas as pd

from analyze.knockouts.effects import Blocks, contribution_blocks, effect_blocks
from analyze.knockouts.jobs import head_cells
from analyze.report.tallying import Dealt, Sizes, Tallied, agreement
from analyze.statistics.clusters import Array
from analyze.tables.bins import EDGES
from analyze.tables.frames import Heads
from analyze.tables.kept import ExactValues, KeptValues
from analyze.tables.parts.sums import Adding
from analyze.tables.tallies import Tally, Total
from analyze.tables.text_scope import TextScope
from analyze.tables.values import observed_rows, observed_samples
from schemas.columns import CONTRIBUTION_COLUMNS, CONTRIBUTIONS
from schemas.jobs.settings import JobSettings
from schemas.store.jobs import Job, job_names, open_job

LOOKING, CONTRIBUTING, MATTERING = MEASURE_KINDS = ("looking", "contributing", "mattering")
COMPARED = ("a2v", "q2v", "d2v")  # with the effects of knock-outs
_BINS = 15  # of either side of 0, and one around it
_TENS = range(-12, 13)  # powers of ten that may stand at an axis
_APART = 0.55  # of two of them on it, at least
_FIRST = ("a2v", "q2v", "t2v")  # masses that may be shown first
_QUERIES = {"question": "q", "last": "a", "image": "v"}  # the roles of what knock-outs change, as columns begin


@dataclass(frozen=True)
class Measure:
    """One measure of all heads.

    Attributes:
        name: of the column, or of the job.
        kind: of `MEASURE_KINDS`.
        job: for a job, what it was asked.
        kept: the value of each sample; None: it was not asked for.
    """

    name: str
    kind: str
    found: Tallied
    job: JobSettings | None = None
    kept: KeptValues | None = None

    @property
    def key(self) -> str:
        """What the page calls it."""
        return f"{self.kind}/{self.name}"

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
        exact: the values of the mass columns that two runs are compared by.
    """

    samples: pd.DataFrame
    measures: list[Measure]
    tally: Tally
    exact: dict[str, ExactValues] = field(default_factory=dict)

    def first_looking(self) -> Measure | None:
        """The mass of the image that is shown first: of the tokens that knock-outs are about, where there is one.

        None where the image is read by cross-attention.
        """
        looking = {each.name: each for each in self.measures if each.kind == LOOKING and not self._fixed(each.name)}
        effect = self.first_mattering()
        first = [f"{effect.queries}2v"] if effect is not None else []
        return next((looking[name] for name in (*first, *_FIRST) if name in looking), None)

    def first_mattering(self) -> Measure | None:
        """The effects that are shown first."""
        return next((each for each in self.measures if each.kind == MATTERING), None)

    def agreements(self) -> tuple[str, dict[str, float]]:
        """The first job, and the rank correlation of its effects with what heads look at and add, by column."""
        first = self.first_mattering()
        if first is None:
            return "", {}
        others = {
            each.name: each.found for each in self.measures if each.name in COMPARED and not self._fixed(each.name)
        }
        effect = first.found.means()[0]
        found = {name: agreement(each.means()[0], effect) for name, each in others.items()}
        return first.name, {name: value for name, value in found.items() if value is not None}

    def _fixed(self, name: str) -> bool:
        """Whether a measure is a mass that is fixed in some layers: it tells kinds of layers, not heads."""
        return any(self.tally.grid.fixed.get(name, ()))


def measure(heads: Heads, scope: TextScope, file: BinaryIO | None = None, exact: Sequence[str] = ()) -> Measured:
    """Read all measures that a run has.

    Args:
        file: where the value of each sample is kept; None: it is not.
        exact: mass columns whose values are kept as they are, too.

    Raises:
        HeadflowError: a table or a job is damaged.
    """
    measured = measure_looking(heads, scope, heads.run.manifest.flows, file, exact=exact)
    dealt, found = Dealt.of(measured.samples, heads.categories), measured.measures
    if CONTRIBUTIONS in heads.run.manifest.tables:
        names = [column.name for column in CONTRIBUTION_COLUMNS]
        tallied = _signed(lambda: contribution_blocks(heads, names), dealt, prod(heads.shape), file)
        found += [Measure(name, CONTRIBUTING, each, kept=kept) for name, (each, kept) in tallied.items()]
    for name in job_names(heads.run):
        job = open_job(heads.run, name)
        if (cells := head_cells(job)) is not None:
            found += _effects(heads, job, cells, dealt, file)
    return measured


def measure_looking(
    heads: Heads,
    scope: TextScope,
    flows: Sequence[str],
    file: BinaryIO | None = None,
    *,
    exact: Sequence[str] = (),
    measures: Sequence[str] | None = None,
) -> Measured:
    """Read some mass columns of a run; see `measure`.

    Args:
        measures: those that are measures, and not only in the tally; None: all.
    """
    samples, row = observed_samples(heads), observed_rows(heads)
    dealt, cells = Dealt.of(samples, heads.categories), prod(heads.shape)
    tallied = {flow: Tallied(dealt, cells, EDGES) for flow in (flows if measures is None else measures)}
    kept = {} if file is None else {flow: KeptValues(file, (len(samples), cells), 0, 1) for flow in tallied}
    whole = {} if file is None else {flow: ExactValues(file, (len(samples), *heads.shape)) for flow in exact}
    total = Total(heads, flows, scope, spread=False)
    for task in total.tasks():
        adding = Adding(task)
        for own, values in task.read.values():
            adding.add(own, values)
            rows = row[task.read.samples[own]]
            for flow, each in tallied.items():
                each.add(rows, values[flow].reshape(len(rows), -1))
            for flow, one in kept.items():
                one.add(rows, values[flow].reshape(len(rows), -1))
            for flow, as_it_is in whole.items():
                as_it_is.add(rows, values[flow])
        total.add(adding.result())
    found = [Measure(flow, LOOKING, each, kept=kept.get(flow)) for flow, each in tallied.items()]
    return Measured(samples, found, total.tally(), whole)


def _signed(
    blocks: Callable[[], Blocks], dealt: Dealt, cells: int, file: BinaryIO | None
) -> dict[str, tuple[Tallied, KeptValues | None]]:
    """Measures that may be negative, by name; they are read twice, for the range of their values first."""
    sizes: dict[str, Sizes] = {}
    ends: dict[str, tuple[float, float]] = {}
    for _, values in blocks():
        for name, block in values.items():
            known, (low, high) = block[np.isfinite(block)], ends.get(name, (0.0, 0.0))
            ends[name] = (float(known.min(initial=low)), float(known.max(initial=high)))
            sizes.setdefault(name, Sizes()).add(block)
    found = {name: Tallied(dealt, cells, signed_edges(each), middle=each.middle) for name, each in sizes.items()}
    kept = {} if file is None else {name: KeptValues(file, (len(dealt.category), cells), *ends[name]) for name in found}
    for samples, values in blocks():
        for name, each in found.items():
            each.add(samples, values[name])
        for name, one in kept.items():
            one.add(samples, values[name])
    return {name: (each, kept.get(name)) for name, each in found.items()}


def signed_edges(sizes: Sizes) -> Array:
    """Edges of bins from the largest value on one side of 0 to that on the other, as wide as `position` shows them."""
    end = position(sizes.largest or 1.0, sizes.middle)
    places = np.linspace(-end, end, 2 * _BINS + 2)
    return np.sign(places) * sizes.middle * np.expm1(np.abs(places))


def position(value: float, middle: float) -> float:
    """Where a signed value stands on an axis on which most values are told apart: even near 0, logarithmic far away.

    Args:
        middle: the size of a value that is neither.
    """
    return float(np.sign(value) * np.log1p(abs(value) / middle))


def ticks(edges: Array, middle: float) -> list[float]:
    """Values at such an axis, from the first edge to the last: 0, and powers of ten far enough apart."""
    sizes: list[float] = []
    for size in (10.0**power for power in _TENS):
        last = position(sizes[-1], middle) if sizes else 0.0
        if position(size, middle) - last >= _APART and size <= edges[-1]:
            sizes.append(size)
    return [-size for size in reversed(sizes)] + [0.0, *sizes]


def _effects(heads: Heads, job: Job, cells: list[int], dealt: Dealt, file: BinaryIO | None) -> list[Measure]:
    """The effect of each head; none if the job has no rows yet."""
    tallied = _signed(lambda: effect_blocks(heads, job, cells), dealt, prod(heads.shape), file)
    return [Measure(name, MATTERING, each, job.settings, kept) for name, (each, kept) in tallied.items()]
