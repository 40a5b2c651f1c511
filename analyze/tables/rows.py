"""The rows of one part of a table, checked to be all rows of its samples and no others."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.errors import HeadflowError
from schemas.files.locations import Location
from schemas.store.parts import Cells
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
