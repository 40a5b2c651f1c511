"""The values of each sample, as one array for each flow: what statistics over images need."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import prod

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from analyze.scores.accuracy import given_options, right_options, said
from analyze.statistics.clusters import Codes
from analyze.tables.frames import Heads
from analyze.tables.parts.reading import read_values
from analyze.tables.rows import part_rows
from analyze.tables.text_scope import TextScope
from schemas.columns import N_GENERATED, PICTURE, TABLES
from schemas.jobs.head_sets import ModelShape, head_name
from schemas.store.grids import Grid
from schemas.workers.work import HERE, Workers

Values = npt.NDArray[np.float32]
MOST_HELD = 2**26  # values: a quarter of a gigabyte


def sample_values(
    heads: Heads,
    flows: Sequence[str],
    scope: TextScope,
    layers: Sequence[int] | None = None,
    workers: Workers = HERE,
) -> dict[str, Values]:
    """The values of the observed samples, read once.

    Memory is 4 bytes for each value: 10 MB a flow for MME and 32 x 32 heads. Where that is too much, ask for some
    layers at a time.

    Args:
        layers: the places of those that are kept, among the layers that attend; None: all.

    Returns:
        By flow, float32 [observed samples, layers, heads]; samples in the order of `observed_samples`.

    Raises:
        HeadflowError: see `ValuesTask.values` and `Workers.map`.
    """
    chosen = list(range(heads.shape[0]) if layers is None else layers)
    row = observed_rows(heads)
    values = {flow: np.empty((int(heads.observed.sum()), len(chosen), heads.heads), np.float32) for flow in flows}
    tasks = ((task, chosen) for task in heads.tasks(flows, scope))
    for samples, found in workers.map(read_values, tasks):
        for flow, array in values.items():
            array[row[samples]] = found[flow]
    return values


def read_together(flows: Sequence[str], *runs: Heads) -> Iterator[Sequence[str]]:
    """The flows, in order, as many at once as are held for all samples of some runs in `MOST_HELD` values; or one."""
    each = sum(int(heads.observed.sum()) * prod(heads.shape) for heads in runs)
    number = max(1, MOST_HELD // max(1, each))
    yield from (flows[first : first + number] for first in range(0, len(flows), number))


def values_by_flow(
    heads: Heads, flows: Sequence[str], scope: TextScope, workers: Workers = HERE
) -> Iterator[tuple[str, Values]]:
    """Each flow and its values, as `sample_values`; those that memory has room for are read together."""
    for together in read_together(flows, heads):
        values = sample_values(heads, together, scope, workers=workers)
        yield from ((flow, values.pop(flow)) for flow in together)


def table_values(heads: Heads, table: str, columns: Sequence[str], *, picture: int | None = None) -> dict[str, Values]:
    """The values of the observed samples in another table with a grid, such as `contributions`.

    Args:
        picture: of a table with rows for each image, the image; None: values are summed over the images of a question.

    Returns:
        By column, float32 [observed samples, layers, heads] or [observed samples, layers], as the table's axes; samples
        in the order of `observed_samples`; NaN for null.

    Raises:
        HeadflowError: a part is missing, unreadable, does not have all rows of its samples, or has values out of range.
    """
    axes = [axis for axis in TABLES[table].axes if axis != PICTURE]
    grid = Grid.of(heads.run, table)
    shape = int(heads.observed.sum()), *replace(grid, pictured=False).shape()
    summed = grid.pictured and picture is None
    values = {column: np.full(shape, 0 if summed else np.nan, np.float32) for column in columns}
    for row, batch in table_rows(heads, table, columns):
        places = zip(axes, grid.numbers, strict=True)
        where = row, *(_places(batch[axis].to_numpy(), number) for axis, number in places)
        if not grid.pictured:
            for column, array in values.items():
                array[where] = batch[column].to_numpy(zero_copy_only=False)
            continue
        pictures = batch[PICTURE].to_numpy()
        for one in np.unique(pictures) if summed else [picture]:
            kept = pictures == one
            own = tuple(each[kept] for each in where)
            for column, array in values.items():
                numbers = batch[column].to_numpy(zero_copy_only=False)[kept]
                array[own] = array[own] + numbers if summed else numbers
    return values


def table_rows(heads: Heads, table: str, columns: Sequence[str]) -> Iterator[tuple[Codes, pa.RecordBatch]]:
    """The rows of the observed samples in a table with a grid, in the wording that is read, some at once.

    Yields:
        The row of each row's sample in `observed_samples`, int64 [rows], and the rows.

    Raises:
        HeadflowError: see `part_rows`.
    """
    row = observed_rows(heads)
    for part, own, ids in heads.each_part():
        for place, batch in part_rows(heads.run, heads.run.path / table / part.name, ids, columns):
            kept = place < len(own)
            yield row[own[place[kept]]], batch if kept.all() else batch.filter(pa.array(kept))


def generated_tokens(samples: pd.DataFrame) -> Codes:
    """How many tokens the model wrote for each row of `samples`, int64 [samples]; 0 where it has no text."""
    if N_GENERATED not in samples:
        return np.zeros(len(samples), np.int64)
    return samples[N_GENERATED].fillna(0).to_numpy(np.int64)


def observed_rows(heads: Heads) -> Codes:
    """The row of each sample in `observed_samples`, by its position in `samples`; -1 if it was not observed."""
    observed = heads.observed.to_numpy()
    return np.where(observed, observed.cumsum() - 1, -1)


def _places(values: npt.NDArray[np.int16], number: npt.NDArray[np.int64] | None) -> npt.NDArray[np.integer]:
    """The places of an axis' values, see `Grid.numbers`."""
    return values if number is None else number[values]


def names_of_heads(model: ModelShape) -> list[str]:
    """The names of the heads that attend, layer by layer, such as `L3H5`."""
    return [head_name(layer, head) for layer in model.attending for head in range(model.heads)]


def head_columns(model: ModelShape) -> dict[str, Codes]:
    """`layer` and `head` of all heads, layer by layer, [layers that attend * heads]: columns of a table of heads."""
    layer, head = np.meshgrid(np.array(model.attending), np.arange(model.heads), indexing="ij")
    return {"layer": layer.ravel(), "head": head.ravel()}


def head_columns_of(model: ModelShape, chosen: npt.NDArray[np.bool_]) -> dict[str, Codes]:
    """The same of some heads, bool [layers that attend, heads]."""
    return {name: column[chosen.ravel()] for name, column in head_columns(model).items()}


def observed_samples(heads: Heads, *, first_token: bool = False) -> pd.DataFrame:
    """The rows of `samples` that were observed, with what they answered.

    Args:
        first_token: read the first token even where there is a text: knock-outs have no other answer.

    Returns:
        The columns of `samples`, and `expected` (float64, the place of the right answer among the options of the task;
        NaN where it is none of them), `says` (float64, that of the answer given; NaN where it is none) and `right`
        (whether both are the same; None where the right answer is no option).
    """
    samples = heads.samples[heads.observed.to_numpy()].reset_index(drop=True)
    answers = samples["prediction"] if first_token else said(samples)
    expected, says = right_options(samples, heads.task), given_options(answers, samples, heads.task)
    right = (expected == says).astype(object)
    return samples.assign(expected=expected, right=right.where(expected.notna(), None), says=says)


def answered(samples: pd.DataFrame) -> pd.DataFrame:
    """The rows of `observed_samples` whose right answer is an option; `expected` is int64 there, `right` bool."""
    return samples[samples["expected"].notna()].astype({"expected": int, "right": bool})
