"""What each head adds to the right answer, and what is lost without it, some samples at once."""

from collections.abc import Iterable, Iterator, Sequence
from math import prod

import numpy as np
import pandas as pd

from analyze.knockouts.jobs import HEADS, effect_jobs, head_cells, knocked_parts
from analyze.statistics.clusters import Array, Clusters, Codes
from analyze.statistics.heads.means import Groups, GroupSums, HeadMeans
from analyze.tables.frames import Heads
from analyze.tables.rows import BATCH, part_cells
from analyze.tables.values import observed_rows, observed_samples
from schemas.columns import CONTRIBUTIONS
from schemas.errors import HeadflowError
from schemas.store.jobs import Job

Blocks = Iterable[tuple[Codes, dict[str, Array]]]  # samples, and values [samples, cells] by column


def contribution_blocks(heads: Heads, columns: Sequence[str]) -> Iterator[tuple[Codes, dict[str, Array]]]:
    """Columns of `contributions` towards the right answer, in logits; a sample is in one block.

    Those to the margin are times 1 where the first option is right, else -1; those to the lead are as they are.

    Yields:
        Places in `observed_samples`, int64 [samples], and the values by column, float64 [samples, cells], with
        a cell for each head, layer by layer; NaN where the right answer is no option.

    Raises:
        HeadflowError: see `part_cells`.
    """
    expected = observed_samples(heads)["expected"].to_numpy(np.float64)
    y = 1 - 2 * expected if heads.task.opposite else np.where(np.isnan(expected), np.nan, 1.0)
    row, number = observed_rows(heads), prod(heads.shape)
    each = max(1, BATCH // number)
    for part, own, ids in heads.each_part():
        found = {name: np.full((len(own), number), np.nan) for name in columns}
        for _, cell, batch in part_cells(heads.run, heads.run.path / CONTRIBUTIONS / part.name, ids, columns):
            kept = cell < len(own) * number  # the rest are in other wordings
            for name, values in found.items():
                values.reshape(-1)[cell[kept]] = batch[name].to_numpy(zero_copy_only=False)[kept]
        for first in range(0, len(own), each):
            samples = row[own[first : first + each]]
            yield samples, {name: y[samples, None] * values[first : first + each] for name, values in found.items()}


def effect_blocks(heads: Heads, job: Job, cells: Sequence[int]) -> Iterator[tuple[Codes, dict[str, Array]]]:
    """The effect of each head, the loss of lead where it is knocked out, in logits, under the job's name.

    Args:
        cells: of each knock-out, see `head_cells`.

    Yields:
        As `contribution_blocks`; NaN also for heads that the job does not have.

    Raises:
        HeadflowError: see `knocked_parts`.
    """
    number = prod(heads.shape)
    for chosen, part in knocked_parts(job, observed_samples(heads)):
        values = np.full((len(chosen), number), np.nan)
        values[:, cells] = part.effects
        yield chosen, {job.name: values}


def means_of(blocks: Blocks, samples: pd.DataFrame) -> dict[str, HeadMeans]:
    """The mean of each head over the samples that have it, and how sure it is, by column.

    Args:
        samples: `observed_samples`, which the blocks are of.
    """
    groups = Groups.of(Clusters.of(samples))
    found: dict[str, GroupSums] = {}
    for rows, values in blocks:
        for name, each in values.items():
            found.setdefault(name, GroupSums(groups, each.shape[1])).add(rows, each)
    return {name: each.means() for name, each in found.items()}


def effect_table(heads: Heads, job: str | None) -> pd.DataFrame:
    """The effect of each head, with its intervals: see `analyze.notebook.OpenedRun.effects`.

    Args:
        job: a job that knocked out each single head; None: see `effect_jobs`.

    Raises:
        HeadflowError: there is no such job, or see `knocked_parts`.
    """
    found = effect_jobs(heads.run, None if job is None else [job]).get(HEADS)
    if found is None:
        raise HeadflowError(
            f"{heads.run.path} has no job that knocked out each single head: knock out all heads", setting="job"
        )
    cells = head_cells(found) or []
    means = means_of(effect_blocks(heads, found, cells), observed_samples(heads))[found.name]
    layers, own = heads.shape
    named = {"layer": np.repeat(heads.attending, own), "head": np.tile(np.arange(own), layers), "effect": means.mean}
    (low, high), (low_all, high_all) = means.interval(), means.corrected
    return pd.DataFrame(named | {"low": low, "high": high, "low_all": low_all, "high_all": high_all})
