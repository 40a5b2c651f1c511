"""Columns of `steps` as columns of heads: those of one step of each text, or their mean over its steps.

Such a column is named with its step, `g2v@answer`, beside the columns of `heads`. The step is a number from 0, or one
of `STEP_WORDS`: that of the answer's first token, the first, the last one, or the mean over all that have rows.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from analyze.statistics.clusters import Array
from analyze.tables.rows import part_cells
from schemas.columns import ANSWER, ANSWER_STEP, FINAL, FIRST, MEAN_STEP, N_GENERATED, STEP, STEPS
from schemas.store.run import Run

AT = "@"
NO_STEP = -1
_Steps = npt.NDArray[np.int64]


def column_and_step(flow: str) -> tuple[str, str]:
    """`g2v@answer` -> `g2v`, `answer`; of a column of `heads`, the step is empty."""
    name, _, step = flow.partition(AT)
    return name, step


def find_steps(step: str, taken: npt.ArrayLike, answer: npt.ArrayLike, every: int) -> _Steps:
    """The step that a word or a number means in each text, int64 [samples]; `NO_STEP` where it has no rows.

    Args:
        step: one of `STEP_WORDS` (for the mean: the first), or a number.
        taken: tokens of each text, float [samples]; `answer`: the step of the answer, NaN: there is none.
        every: how far apart the steps are that have rows.
    """
    number, of_answer = (np.asarray(each, np.float64) for each in (taken, answer))
    number = np.nan_to_num(number)
    if step == ANSWER:
        found = of_answer
    elif step == FINAL:
        found = (number - 1) // every * every
    else:
        found = np.full_like(number, 0 if step in (FIRST, MEAN_STEP) else int(step))
    there = (found >= 0) & (found < number) & (found % every == 0)
    return np.where(there, np.nan_to_num(found), NO_STEP).astype(np.int64)


def read_step_columns(run: Run, part: str, samples: Sequence[str], flows: Sequence[str]) -> dict[str, Array]:
    """Columns of `steps` of the samples of one part, by flow: float64 [samples, layers, heads], NaN without the step.

    Args:
        part: its file name.
        samples: ids of all observed samples of the part.
        flows: names with their steps.

    Raises:
        HeadflowError: see `analyze.tables.rows.part_rows`.
    """
    (layers, heads), every = run.manifest.shape, run.manifest.every
    cells, names = layers * heads, list(dict.fromkeys(column_and_step(flow)[0] for flow in flows))
    rows = run.read_part(run.path / "samples" / part, ["sample_id", N_GENERATED, ANSWER_STEP]).to_pylist()
    of_sample: dict[str, dict[str, Any]] = {row["sample_id"]: row for row in rows}
    taken, answer = (
        np.array([of_sample[name][column] for name in samples], np.float64) for column in (N_GENERATED, ANSWER_STEP)
    )
    chosen = {flow: find_steps(column_and_step(flow)[1], taken, answer, every) for flow in flows}
    found = {flow: np.zeros(len(samples) * cells) for flow in flows}
    for sample, cell, batch in part_cells(run, run.path / STEPS / part, samples, [*names]):
        place, step = sample.astype(np.int64) * cells + cell % cells, batch[STEP].to_numpy()
        for flow, values in found.items():
            name, of = column_and_step(flow)
            numbers = batch[name].to_numpy().astype(np.float64)
            if of == MEAN_STEP:
                values += np.bincount(place, numbers, minlength=len(values))
            else:
                own = step == chosen[flow][sample]
                values[place[own]] = numbers[own]
    counts = -(-np.nan_to_num(taken) // every)
    for flow, values in found.items():
        grid = values.reshape(len(samples), cells)
        if column_and_step(flow)[1] == MEAN_STEP:
            grid /= np.maximum(1, counts)[:, None]
        grid[chosen[flow] == NO_STEP] = np.nan
    return {flow: values.reshape(len(samples), layers, heads) for flow, values in found.items()}
