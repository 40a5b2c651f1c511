"""What heads and layers are ranked by: what they look at, what they add, and what knocking them out costs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analyze.knockouts.jobs import HEADS, OF_LAYERS, cells, effect_jobs, knocked
from analyze.prune.halves import Flags
from analyze.tables.frames import Heads
from analyze.tables.values import Values, sample_values, table_values
from schemas.columns import CONTRIBUTIONS, MAPS, OF_LAST
from schemas.columns import LAYERS as LAYERS_TABLE
from schemas.errors import HeadflowError
from schemas.store.jobs import Job
from schemas.text import listed

DIRECT, EFFECT, UNSUNK = "direct", "effect", "a2v_nosink"
MASSES = {
    "a2v": "attention of the last token on the image",
    "q2v": "attention of question tokens on the image",
}
_QUERIES = {"a2v": "last", "q2v": "question"}
DIRECT_WORDS = "size of the direct contribution of the image to the lead, |d2v|"
UNSUNK_WORDS = "attention of the last token on image tokens that are no visual sinks, a2v - a2sink"
BI_IMAGE = "bi_image"
INFLUENCES = {
    "bi_last": "block influence on the last token",
    BI_IMAGE: "block influence on image tokens",
    "bi_question": "block influence on question tokens",
}


@dataclass(frozen=True)
class Criterion:
    """What heads or layers are ranked by; the least important have the least of it.

    Attributes:
        unit: of `UNITS`.
        words: what it is, a mean over samples.
        values: float32 [samples, cells], a cell for each layer, or each head, layer by layer; NaN in samples that a
            job has not measured.
        job: the job that measured it, or None; `kind`: of its knock-outs.
        query: the role of the tokens that it is about; None: it is about no role's, or the job names none.
    """

    unit: str
    name: str
    words: str
    values: Values
    job: str | None = None
    kind: str | None = None
    query: str | None = None

    @property
    def measured(self) -> bool:
        """Whether it is the measured effect."""
        return self.name == EFFECT


def read_criteria(
    heads: Heads, samples: pd.DataFrame, ranks: Flags, asked: Sequence[str] | None, effects: Sequence[str] | None
) -> list[Criterion]:
    """The criteria of a run on the samples that rank.

    Args:
        samples: of `answered`.
        ranks: bool [samples], those that rank.
        asked: names of criteria, in the order in which they are shown; None: all that the run has. The measured effect
            is among them where jobs are named.
        effects: see `effect_jobs`.

    Raises:
        HeadflowError: the run lacks one that is asked for, or has none at all; or it cannot be read.
    """
    jobs, tables = effect_jobs(heads.run, effects), heads.run.manifest.tables
    rows = samples.index.to_numpy()[ranks]
    unsunk = _unsunk(heads, rows)
    # Where the image is read by cross-attention, masses say what kind a layer is, and image tokens are in no stream
    across = bool(heads.run.manifest.crossing)
    there = [name for name in MASSES if name in heads.run.manifest.flows and not across]
    there += [UNSUNK] if unsunk and not across else []
    there += [DIRECT] if CONTRIBUTIONS in tables else []
    there += [name for name in INFLUENCES if LAYERS_TABLE in tables and (name != BI_IMAGE or not across)]
    there += [EFFECT] if jobs else []
    wanted = there if asked is None else list(dict.fromkeys([*asked, *([EFFECT] if effects else [])]))
    if missing := [name for name in wanted if name not in there]:
        raise HeadflowError(
            f"{heads.run.path} has no criterion {listed(missing)}; it has {', '.join(there) or 'none'}",
            setting="criteria",
        )
    if not wanted:
        raise HeadflowError(f"{heads.run.path} has nothing to rank heads or layers by", setting="criteria")
    found = [*_tables(heads, rows, wanted), *(each for each in unsunk if each.name in wanted)]
    if EFFECT in wanted:
        found += [_effect(jobs[unit], samples[ranks]) for unit in (HEADS, OF_LAYERS) if unit in jobs]
    return sorted(found, key=lambda each: (each.unit != HEADS, each.measured, wanted.index(each.name)))


def _tables(heads: Heads, rows: np.ndarray, wanted: Sequence[str]) -> list[Criterion]:
    """Those that are columns of tables."""
    found = []
    if masses := [name for name in wanted if name in MASSES]:
        values = sample_values(heads, masses, heads.scope(None))
        found += [
            Criterion(HEADS, name, MASSES[name], _flat(values[name][rows]), query=_QUERIES[name]) for name in masses
        ]
    if DIRECT in wanted:
        values = table_values(heads, CONTRIBUTIONS, ["d2v"])
        found.append(Criterion(HEADS, DIRECT, DIRECT_WORDS, _flat(np.abs(values["d2v"][rows]))))
    if influences := [name for name in wanted if name in INFLUENCES]:
        values = table_values(heads, LAYERS_TABLE, influences)
        found += [Criterion(OF_LAYERS, name, INFLUENCES[name], values[name][rows]) for name in influences]
    return found


def _unsunk(heads: Heads, rows: np.ndarray) -> list[Criterion]:
    """The attention of the last token on the image without visual sinks, if the run's maps have any; else it is `a2v`.

    NaN in samples whose prompt begins with the image: they are not known there.
    """
    manifest = heads.run.manifest
    if MAPS not in manifest.tables or manifest.maps_of != OF_LAST:
        return []
    values = table_values(heads, MAPS, ["mass", "sink"])
    sink = _flat(values["sink"][rows])
    if np.isnan(sink).any(axis=1).all() or not np.nan_to_num(sink).any():
        return []
    return [Criterion(HEADS, UNSUNK, UNSUNK_WORDS, _flat(values["mass"][rows]) - sink, query=_QUERIES["a2v"])]


def _flat(values: Values) -> Values:
    return values.reshape(len(values), -1)


def _effect(job: Job, samples: pd.DataFrame) -> Criterion:
    """The effect of each head or layer: the mean loss of lead, of the right answer over the wrong one, without it.

    Raises:
        HeadflowError: the job has none of the samples.
    """
    measured = cells(job)
    assert measured is not None
    unit, order = measured
    found = knocked(job, samples)
    values = np.empty_like(found.lead)
    values[:, order] = found.untouched - found.lead
    values[~np.isfinite(values).all(axis=1)] = np.nan
    if np.isnan(values).all():
        raise HeadflowError(
            f"job {job.name} of {job.run.path} has no margins of the samples that rank", setting="effects"
        )
    asked = {name: getattr(job.settings, name) for name in ("kind", "query", "key")}
    said = ", ".join(f"{name} {value}" for name, value in asked.items() if value is not None)
    words = f"loss of lead where it is knocked out, {said}"
    return Criterion(unit, EFFECT, words, values, job.name, asked["kind"], asked["query"])
