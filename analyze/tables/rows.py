"""The rows of one part of a table, checked to be all rows of its samples and no others."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from analyze.statistics.clusters import Codes
from schemas.columns import TABLES, Column
from schemas.errors import HeadflowError
from schemas.files.locations import Location
from schemas.store.grids import Cells, Grid, read_blocks
from schemas.store.ledger import Part
from schemas.store.run import Run
from schemas.text import listed

BATCH = 2**15  # rows read at once: their columns fit into a core's cache
REMEDY = "a run keeps all rows of a sample or none: select samples with `subset`, or extract again"


def part_rows(
    run: Run, path: Location, samples: Sequence[str], columns: Sequence[str]
) -> Iterator[tuple[npt.NDArray[np.int32], pa.RecordBatch]]:
    """As `part_cells`, with the position of each row's sample in `samples`, int32 [rows]."""
    yield from ((sample, batch) for sample, _, batch in part_cells(run, path, samples, columns))


def part_cells(
    run: Run, path: Location, samples: Sequence[str], columns: Sequence[str]
) -> Iterator[tuple[npt.NDArray[np.int32], npt.NDArray[np.int64], pa.RecordBatch]]:
    """The rows of one part, at most `BATCH` at once; all of them are to be read, as the check is done at the end.

    Args:
        path: the part, of `heads` or another table with a grid.
        samples: ids of the part's samples that were observed.
        columns: what is read beside `sample_id` and the axes of the grid, such as `layer` and `head`.

    Yields:
        The position of each row's sample in `samples`, int32 [rows]; that of the row if all stood in order, such as in
        an array [samples, *axes] made flat, int64 [rows]; and the rows.

    Raises:
        HeadflowError: the part is missing or unreadable, or does not have one row for each cell of the grid of
            each sample, and no others.
    """
    place = {name: number for number, name in enumerate(samples)}
    cells = Cells.of(run, path, samples)
    axes = cells.grid.limits
    for batch in run.batches(path, ["sample_id", *axes, *columns], BATCH):
        sample = _places(batch["sample_id"], place, path)
        for axis, limit in axes.items():
            _check_below(batch[axis], limit, f"{path}: {axis}")
        yield sample, cells.add(sample, *(batch[axis].to_numpy() for axis in axes)), batch
    if wrong := cells.wrong():
        raise HeadflowError(f"{path} {wrong}; {REMEDY}")


def part_in_order(
    run: Run, path: Location, samples: Sequence[str], columns: Sequence[str]
) -> tuple[Codes, dict[str, npt.NDArray[np.float32]]] | None:
    """The rows of one part of a table without steps, where they stand in order, as writers leave them.

    All keys are compared, as arrays: nothing is done for each row.

    Args:
        path, samples: as for `part_cells`.
        columns: of float32.

    Returns:
        The positions in `samples` of those whose rows follow each other, each sample once, and by column the values
        [samples, cells]; None if rows stand in any other order, lack or repeat a cell, or are of other samples.

    Raises:
        HeadflowError: the part is missing or unreadable, or has values out of range.
    """
    grid = Grid.of(run, path.parent.name)
    if grid.every or grid.pictured:
        return None
    cells = grid.named(np.argwhere(grid.kept))
    read = run.read_part(path, ["sample_id", *cells, *columns])
    if read.num_rows != len(samples) * grid.cells:
        return None
    blocks = {name: _whole(read[name]).reshape(-1, grid.cells) for name in (*cells, *columns)}
    if not all((blocks[axis] == own).all() for axis, own in cells.items()):
        return None
    ids = read["sample_id"].combine_chunks()
    codes = _whole(ids.indices).reshape(-1, grid.cells)
    place = {name: number for number, name in enumerate(samples)}
    names = ids.dictionary.to_pylist()
    found = np.array([place.get(names[code], -1) for code in codes[:, 0].tolist()], np.int64)
    if not (codes == codes[:, :1]).all() or not np.array_equal(np.sort(found), np.arange(len(samples))):
        return None
    return found, {name: blocks[name] for name in columns}


def _whole(column: pa.Array | pa.ChunkedArray) -> npt.NDArray[Any]:
    """A column without nulls as one array, without a copy where it is one already."""
    values = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    found: npt.NDArray[Any] = values.to_numpy()
    return found


def part_values(run: Run, table: str, part: Part, samples: Sequence[str]) -> list[npt.NDArray[np.float32]]:
    """The values of the samples of one part of a table, each float32 [*`Grid.shape`, columns].

    Args:
        samples: ids of the part's samples that were observed.

    Raises:
        HeadflowError: as `part_rows`.
    """
    path, columns, grid = run.path / table / part.name, run.values(table), Grid.of(run, table)
    blocks = read_blocks(run, path, samples)
    rows = blocks.prod(axis=1) * grid.cells
    values = np.empty((int(rows.sum()), len(columns)), np.float32)
    for _, cell, batch in part_cells(run, path, samples, [column.name for column in columns]):
        numbers = [batch[column.name].to_numpy(zero_copy_only=False) for column in columns]
        values[cell] = np.stack(numbers, axis=-1)
    own = np.split(values, np.cumsum(rows)[:-1]) if len(rows) else []
    return [each.reshape(*grid.shape(*number), -1) for each, number in zip(own, blocks.tolist(), strict=True)]


def part_apart(run: Run, table: str, part: Part, samples: Sequence[str], column: Column) -> list[list[Any]]:
    """The values of one column of `Table.apart` of the samples of one part, in the order of the rows.

    Args:
        samples, column: ids of the part's samples that were observed; one that is not of lists.

    Raises:
        HeadflowError: as `part_rows`.
    """
    path = run.path / table / part.name
    ends = np.cumsum(read_blocks(run, path, samples).prod(axis=1) * Grid.of(run, table).cells).tolist()
    found: list[Any] = [None] * (ends[-1] if ends else 0)
    for _, cell, batch in part_cells(run, path, samples, [column.name]):
        for at, value in zip(cell.tolist(), batch[column.name].to_pylist(), strict=True):
            found[at] = value
    return [found[first:last] for first, last in pairwise([0, *ends])]


def part_lists(run: Run, table: str, part: Part, samples: Sequence[str]) -> list[list[npt.NDArray[np.float32]]]:
    """The lists of the samples of one part, such as maps: of each sample and each of its images.

    Each is float32 [rows that have one, values]; rows in order, those of steps one after the other.

    Args:
        table: one with a column of lists.
        samples: ids of the part's samples that were observed.

    Raises:
        HeadflowError: as `part_rows`; or a cell has a list that should have none, or none, or one of another size, or
            with a null in it.
    """
    column, path, grid = TABLES[table].list_column, run.path / table / part.name, Grid.of(run, table)
    assert column is not None
    has_one = grid.listed[grid.kept]
    number, each = np.cumsum(has_one) - 1, int(has_one.sum())
    blocks = read_blocks(run, path, samples)
    ends = np.cumsum(blocks.prod(axis=1) * each).tolist()
    found = [np.empty(0, np.float32)] * (ends[-1] if ends else 0)
    for _, cell, batch in part_cells(run, path, samples, [column.name]):
        lists, (block, cell) = batch[column.name], np.divmod(cell, grid.cells)
        if (pc.is_valid(lists).to_numpy(zero_copy_only=False) != has_one[cell]).any():
            raise HeadflowError(f"{path}: other heads have a `{column.name}` than its run.json says; run validate")
        if lists.values.null_count:
            raise HeadflowError(f"{path}: `{column.name}` has null in its lists; run validate")
        offsets, values, places = lists.offsets.to_numpy(), lists.values.to_numpy(), block * each + number[cell]
        for row in np.flatnonzero(has_one[cell]):
            found[places[row]] = values[offsets[row] : offsets[row + 1]]

    def places_of(first: int, block: int) -> range:
        return range(first + block * each, first + (block + 1) * each)

    # Rows of a sample are those of its steps, and in each of its images
    own = [
        [
            [found[place] for block in range(picture, steps * pictures, pictures) for place in places_of(first, block)]
            for picture in range(pictures)
        ]
        for first, (steps, pictures) in zip([0, *ends[:-1]], blocks.tolist(), strict=True)
    ]
    if any(len({len(each) for each in lists}) > 1 for of_sample in own for lists in of_sample):
        raise HeadflowError(f"{path}: `{column.name}` of one image has several sizes; run validate")
    return [[np.stack(lists) for lists in of_sample] for of_sample in own]


def _places(column: pa.DictionaryArray, place: dict[str, int], path: Location) -> npt.NDArray[np.int32]:
    """The position of each row's sample in `place`."""
    names, codes = column.dictionary.to_pylist(), column.indices.to_numpy()
    found = np.array([place.get(name, -1) for name in names], np.int32)[codes]
    if (found < 0).any():
        unknown = listed([names[code] for code in np.unique(codes[found < 0])])
        raise HeadflowError(
            f"{path} has rows of {unknown}, not among the observed samples of `samples/{path.name}`; {REMEDY}"
        )
    return found


def _check_below(column: pa.Array, limit: int, where: str) -> None:
    extremes = pc.min_max(column)
    if len(column) and not (extremes["min"].as_py() >= 0 and extremes["max"].as_py() < limit):
        raise HeadflowError(f"{where} is beyond the manifest's {limit}; run validate")
