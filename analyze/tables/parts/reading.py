"""The samples of some parts, and their values as arrays."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from analyze.statistics.clusters import Array
from analyze.tables.parts.steps import AT, read_step_columns
from analyze.tables.rows import part_cells, part_in_order
from analyze.tables.text_scope import TextScope
from schemas.errors import HeadflowError
from schemas.files.locations import Location
from schemas.store.run import Run


@dataclass(frozen=True)
class SamplesTask:
    """Some consecutive parts of `samples`.

    Attributes:
        run: without its ledgers, which may be large.
        columns: those that are read; None: all.
    """

    run: Run
    paths: Sequence[Location]
    columns: Sequence[str] | None


def read_samples(task: SamplesTask) -> tuple[pa.Table, list[int]]:
    """Read some parts as one table: what a worker does.

    Returns:
        The table, with `sample_id` as text, as a dictionary of unique names takes more memory; and how many rows each
        part has. Raises as `Run.read_part`.
    """
    tables = [task.run.read_part(path, task.columns) for path in task.paths]
    found = pa.concat_tables(tables).unify_dictionaries().combine_chunks()
    place = found.column_names.index("sample_id")
    found = found.set_column(place, "sample_id", found["sample_id"].cast(pa.string()))
    return found, [table.num_rows for table in tables]


@dataclass(frozen=True)
class PartSamples:
    """The observed samples of one part.

    Attributes:
        name: the part's file name.
        ids: of the samples whose values are read.
        others: ids of the others, in other wordings or categories.
    """

    name: str
    ids: list[str]
    others: list[str]


@dataclass(frozen=True)
class ValuesTask:
    """Some consecutive parts of `heads`, with what is read of them; small, as it goes to another process.

    Attributes:
        run: without its ledgers, which may be large.
        samples: positions in the table `samples` of the samples that are read, of all parts, int32.
        flows: columns of `heads`.
        scope: the text scope of these samples.
    """

    run: Run
    parts: Sequence[PartSamples]
    samples: npt.NDArray[np.int32]
    flows: tuple[str, ...]
    scope: TextScope

    def values(self) -> Iterator[tuple[slice, dict[str, Array]]]:
        """The values, part by part, so that memory does not grow with the number of parts.

        Yields:
            Which of `samples` they are of, and by flow float64 [samples, layers, heads] in the text scope.

        Raises:
            HeadflowError: a part is missing, unreadable, or does not fit the manifest; or it does not have one row for
                each (layer, head) of each observed sample, and no others; or values are not finite.
        """
        for own, values in self.values_as_read():
            yield own, {flow: array.astype(np.float64, copy=False) for flow, array in values.items()}

    def values_as_read(self) -> Iterator[tuple[slice, dict[str, npt.NDArray[np.floating]]]]:
        """As `values`, float32 where nothing was computed of what the part has."""
        first = 0
        for part in self.parts:
            own = slice(first, first := first + len(part.ids))
            scope = self.scope.of_samples(own)
            columns = _columns(self.run, part, scope.columns(self.flows))
            values = {flow: scope.values(flow, columns) for flow in self.flows}
            for flow, array in values.items():
                if not np.isfinite(array.sum()):
                    path = self.run.path / "heads" / part.name
                    raise HeadflowError(f"{path}: `{flow}` is not finite in some rows; run validate")
            yield own, values


def read_values(
    task: tuple[ValuesTask, Sequence[int]],
) -> tuple[npt.NDArray[np.int32], dict[str, npt.NDArray[np.float32]]]:
    """Read the values of some layers, by their places among those that attend: what a worker does.

    Returns:
        `samples` of the task, and by flow float32 [samples, layers, heads]. Raises as `ValuesTask.values`.
    """
    chosen, layers = task
    shape = len(chosen.samples), len(layers), chosen.run.manifest.heads
    found = {flow: np.empty(shape, np.float32) for flow in chosen.flows}
    kept = slice(None) if list(layers) == list(range(chosen.run.manifest.shape[0])) else layers
    for own, values in chosen.values_as_read():
        for flow, array in values.items():
            found[flow][own] = array[:, kept]
    return chosen.samples, found


def _columns(run: Run, part: PartSamples, columns: Sequence[str]) -> dict[str, npt.NDArray[np.floating]]:
    """Columns of one part, by name: [samples read, layers, heads], float32; of `steps`, as `g2v@mean`, float64."""
    everyone, of_steps = [*part.ids, *part.others], [name for name in columns if AT in name]
    found: dict[str, npt.NDArray[np.floating]] = {}
    if plain := [name for name in columns if name not in of_steps]:
        found |= _columns_of_heads(run, part, everyone, plain)
    if of_steps:
        read = read_step_columns(run, part.name, everyone, of_steps)
        found |= {name: values[: len(part.ids)] for name, values in read.items()}
    return found


def _columns_of_heads(
    run: Run, part: PartSamples, everyone: Sequence[str], columns: Sequence[str]
) -> dict[str, npt.NDArray[np.float32]]:
    path, shape = run.path / "heads" / part.name, (len(part.ids), *run.manifest.shape)
    if (read := part_in_order(run, path, everyone, columns)) is not None:
        place, blocks = read
        if np.array_equal(place, np.arange(shape[0])):
            return {name: values.reshape(shape) for name, values in blocks.items()}
        order = np.argsort(place)[: shape[0]]
        return {name: values[order].reshape(shape) for name, values in blocks.items()}
    found = {name: np.empty(shape, np.float32) for name in columns}
    for _, cell, batch in part_cells(run, path, everyone, columns):
        own = cell < np.prod(shape) if part.others else slice(None)
        for name, values in found.items():
            values.reshape(-1)[cell[own]] = batch[name].to_numpy()[own]
    return found
