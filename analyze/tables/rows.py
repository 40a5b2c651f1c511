"""The rows of one part of a table, checked to be all rows of its samples and no others."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.columns import TABLES
from schemas.errors import HeadflowError
from schemas.files.locations import Location
from schemas.store.ledger import Part
from schemas.store.parts import Cells, has_list
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
        columns: what is read beside `sample_id` and the axes of the grid, `layer` and `head`.

    Yields:
        The position of each row's sample in `samples`, int32 [rows]; that of the row in an array [samples, *axes] made
        flat, int64 [rows]; and the rows.

    Raises:
        HeadflowError: the part is missing or unreadable, or does not have one row for each cell of the grid of
            each sample, and no others.
    """
    place = {name: number for number, name in enumerate(samples)}
    cells = Cells.of(run, path.parent.name, samples)
    for batch in run.batches(path, ["sample_id", *cells.sizes, *columns], BATCH):
        sample = _places(batch["sample_id"], place, path)
        for axis, size in cells.sizes.items():
            _check_below(batch[axis], size, f"{path}: {axis}")
        yield sample, cells.add(sample, *(batch[axis].to_numpy() for axis in cells.sizes)), batch
    if wrong := cells.wrong():
        raise HeadflowError(f"{path} {wrong}; {REMEDY}")


def part_lists(run: Run, table: str, part: Part, samples: Sequence[str]) -> list[npt.NDArray[np.float32]]:
    """The lists of the samples of one part, such as maps, each float32 [cells that have one, values]; cells in order.

    Args:
        table: one with a column of lists.
        samples: ids of the part's samples that were observed.

    Raises:
        HeadflowError: as `part_rows`; or a cell has a list that should have none, or none, or one of another size, or
            with a null in it.
    """
    column, path, kept = TABLES[table].list_column, run.path / table / part.name, has_list(run, table)
    assert column is not None
    number = np.cumsum(kept).reshape(kept.shape) - 1
    found = [[np.empty(0, np.float32)] * int(kept.sum()) for _ in samples]
    for place, batch in part_rows(run, path, samples, [column.name]):
        cells, lists = tuple(batch[axis].to_numpy() for axis in TABLES[table].axes), batch[column.name]
        if (pc.is_valid(lists).to_numpy(zero_copy_only=False) != kept[cells]).any():
            raise HeadflowError(f"{path}: other heads have a `{column.name}` than its run.json says; run validate")
        if lists.values.null_count:
            raise HeadflowError(f"{path}: `{column.name}` has null in its lists; run validate")
        ends, values, numbers = lists.offsets.to_numpy(), lists.values.to_numpy(), number[cells]
        for row in np.flatnonzero(kept[cells]):
            found[place[row]][numbers[row]] = values[ends[row] : ends[row + 1]]
    if any(len({len(each) for each in lists}) > 1 for lists in found):
        raise HeadflowError(f"{path}: `{column.name}` of one sample has several sizes; run validate")
    return [np.stack(lists) for lists in found]


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
