"""One part of a run: tables -> Parquet files, and whether one has all rows of its samples."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from schemas.columns import AXES, KNOCKOUTS, OK, PATCHES, TABLES, Column, arrow_schema
from schemas.errors import HeadflowError
from schemas.files.locations import Location
from schemas.files.writing import aside_name, write_whole
from schemas.jobs.rows import rows_table
from schemas.store.ledger import CHUNKS, PART_NAME, Part, ledger_path
from schemas.store.run import MANIFEST, Run
from schemas.text import counted, listed

# Of one sample, by table: float32 [*axes, columns], such as [layers, heads, columns], NaN for null; and by
# `Table.list_name`, where a table has lists: float32 [cells that have one, values]
Grids = Mapping[str, npt.NDArray[Any]]


def part_name(chunk: int, number: int, *, writer: str = "") -> str:
    """The file name of a chunk's part.

    Args:
        writer: what tells the parts of this process from those of another, see `Lock`; empty: nothing.
    """
    return "-".join(filter(None, ("part", f"{chunk:05d}", f"{number:05d}", writer))) + ".parquet"


def next_number(parts: Sequence[Part]) -> int:
    """The number in the file name of the part that follows some parts; they end with it."""
    found = [PART_NAME.fullmatch(part.name) for part in parts]
    return max((int(name["number"]) for name in found if name is not None), default=-1) + 1


def grid_shape(run: Run, table: str) -> tuple[int, ...]:
    """The shape of what one sample brings to a table with a grid: the sizes of its axes, and its columns of values."""
    return (*(getattr(run.manifest, AXES[axis]) for axis in TABLES[table].axes), len(run.values(table)))


def has_list(run: Run, table: str) -> npt.NDArray[np.bool_]:
    """Which cells of a table's grid have a list, bool [*axes], such as [layers, heads]."""
    there = np.zeros(grid_shape(run, table)[:-1], np.bool_)
    if (column := TABLES[table].list_column) is not None:
        there[tuple(zip(*getattr(run.manifest, column.field), strict=True)) or ...] = True
    return there


def write_part(run: Run, part: Part, samples: Sequence[Mapping[str, Any]], grids: Sequence[Mapping[str, Any]]) -> None:
    """Write the files of a part, and its numbers of rows into `part`.

    Args:
        samples: rows of the table `samples`.
        grids: for each sample that is `ok`, its values in each other table: `Grids`, or of a job its rows.
    """
    observed = [sample for sample in samples if sample["status"] == OK]
    if run.manifest.job is not None:
        tables = {KNOCKOUTS: rows_table(run.manifest.job, observed, [each[KNOCKOUTS] for each in grids])}
    else:
        tables = {"samples": pa.Table.from_pylist(samples, schema=arrow_schema(run.columns("samples")))}
        tables |= {name: _grid_table(run, name, observed, grids) for name in run.grids}
    try:
        for name, content in tables.items():
            (run.path / name).mkdir(exist_ok=True)
            write_table(run.path / name / part.name, content)
    except OSError:
        for name in tables:  # a table that is read only by its folder would have rows that others lack
            (run.path / name / part.name).unlink(missing_ok=True)
        raise
    part.rows = {name: content.num_rows for name, content in tables.items()}


def damaged_parts(run: Run, chunk: int) -> list[Part]:
    """The parts of a chunk that lack a file, or rows of one; their values are not read."""
    ledger = run.ledgers.get(chunk)
    return [part for part in ledger.parts if not _is_whole(run, part)] if ledger is not None else []


def _is_whole(run: Run, part: Part) -> bool:
    try:
        return all(
            run.open_part(run.path / table / part.name).metadata.num_rows == rows for table, rows in part.rows.items()
        )
    except HeadflowError:
        return False


def check_ledger(run: Run, chunk: int) -> None:
    """Check that parts of a chunk have a ledger, which is written before the first of them.

    Raises:
        HeadflowError: the ledger is gone.
    """
    if chunk not in run.ledgers and any(any((run.path / table).glob(_names(chunk))) for table in TABLES):
        ledger = f"{CHUNKS}/{ledger_path(run.path / CHUNKS, chunk).name}"
        raise HeadflowError(
            f"{run.path} has parts of chunk {chunk}, but not {ledger}, which names those that count: put it back, or "
            "overwrite the run",
            setting="overwrite",
        )


def write_table(path: Location, content: pa.Table) -> None:
    """Write one file; readers see it when it is whole."""
    split = [field.name for field in content.schema if pa.types.is_floating(field.type)]
    dictionaries = [field.name for field in content.schema if field.name not in split]
    split += [f"{field.name}.list.element" for field in content.schema if field.type == PATCHES]
    written = pa.BufferOutputStream()
    pq.write_table(
        content,
        written,
        compression="zstd",
        use_dictionary=dictionaries,
        use_byte_stream_split=split,
        row_group_size=max(1, content.num_rows),
        write_page_checksum=True,
    )
    write_whole(path, written.getvalue())


def _names(chunk: int) -> str:
    """The pattern of the names of a chunk's parts."""
    return f"part-{chunk:05d}-*.parquet"


def remove_leftovers(run: Run, chunk: int) -> None:
    """Remove what a killed writer of a chunk left of a part: files aside, and files that no ledger names."""
    named = {part.name for part in run.parts}
    for table in TABLES:
        for file in [*(run.path / table).glob(_names(chunk)), *(run.path / table).glob(f".{_names(chunk)}.tmp")]:
            if file.name not in named:
                file.unlink()
    (run.path / aside_name(MANIFEST, chunk)).unlink(missing_ok=True)


def too_few_rows(run: Run, observed: int, table: str = "heads") -> str:
    """What is wrong if a table cannot have all rows of so many samples, by the ledgers; empty if it can."""
    sizes = grid_shape(run, table)[:-1]
    rows = sum(part.rows.get(table, 0) for part in run.parts)
    if observed * int(np.prod(sizes)) <= rows:
        return ""
    grid = " x ".join(map(str, sizes))
    there = f"{counted(rows, 'row')} of `{table}`"
    return f"{run.path}: its ledgers name {there}, not {grid} for each of {counted(observed, 'sample')}"


class Cells:
    """Counts rows of one part: each sample must have one for each cell of a grid. Holds a byte for each cell.

    Attributes:
        sizes: the sizes of the grid by axis, such as `layer`, `head`.
    """

    def __init__(self, samples: Sequence[str], sizes: Mapping[str, int]) -> None:
        self.sizes = sizes
        self._samples, self._size = np.array(samples, object), int(np.prod(list(sizes.values())))
        self._rows = np.zeros(len(samples), np.int64)
        self._seen = np.zeros(len(samples) * self._size, np.bool_)

    @classmethod
    def of(cls, run: Run, table: str, samples: Sequence[str]) -> Self:
        """Those of a table of a run."""
        return cls(samples, dict(zip(TABLES[table].axes, grid_shape(run, table), strict=False)))

    def add(self, sample: npt.NDArray[np.integer], *places: npt.NDArray[np.int16]) -> npt.NDArray[np.int64]:
        """Count some rows.

        Args:
            sample: the position of each row's sample in `samples`, int [rows].
            places: of each axis, int16 [rows], within the grid.

        Returns:
            The position of each row in an array [samples, *axes] made flat, int64 [rows].
        """
        self._rows += np.bincount(sample, minlength=len(self._rows))
        cell = sample.astype(np.int64)
        for place, size in zip(places, self.sizes.values(), strict=True):
            cell = cell * size + place
        self._seen[cell] = True
        return cell

    def wrong(self) -> str:
        """What the part lacks, or has twice, for a line that begins with its name; empty if it is whole."""
        if (self._rows == self._size).all() and self._seen.all():
            return ""
        seen = self._seen.reshape(-1, self._size)
        found = seen.sum(axis=1)
        none, some, twice = found == 0, (found > 0) & (found < self._size), self._rows > found
        parts = [f"has no rows of {listed(self._samples[none])}"] if none.any() else []
        if some.any():
            first = int(some.argmax())
            missing = np.unravel_index(int(seen[first].argmin()), list(self.sizes.values()))
            cell = ", ".join(f"{axis} {place}" for axis, place in zip(self.sizes, missing, strict=True))
            which = f"the first has {found[first]} of {self._size}, and none for {cell}"
            parts.append(f"lacks rows of {listed(self._samples[some])} ({which})")
        parts += [f"repeats rows of {listed(self._samples[twice])}"] if twice.any() else []
        return ", ".join(parts)


def _grid_table(run: Run, table: str, observed: Sequence[Mapping[str, Any]], grids: Sequence[Grids]) -> pa.Table:
    """The rows of a table with a grid: for each sample its cells, in the order of the axes."""
    *sizes, width = grid_shape(run, table)
    cells = int(np.prod(sizes))
    axes = np.meshgrid(*(np.arange(size, dtype=np.int16) for size in sizes), indexing="ij")
    values = np.stack([each[table] for each in grids]).reshape(-1, width) if grids else np.empty((0, width), np.float32)
    made: dict[str, Any] = {
        name: _repeated([sample[name] for sample in observed], cells) for name in ("sample_id", "category")
    }
    made |= {name: np.tile(axis.ravel(), len(observed)) for name, axis in zip(TABLES[table].axes, axes, strict=True)}
    made |= {column.name: column_of for column, column_of in zip(run.values(table), values.T, strict=True)}
    columns = run.columns(table)
    for column in columns:
        if column.length:
            lists = [each[TABLES[table].list_name] for each in grids]
            made[column.name] = _lists(lists, has_list(run, table).ravel())
        elif column.field:
            made[column.name] = _repeated([getattr(run.manifest, column.field) or ""] * len(observed), cells)
    arrays = [_array(made[column.name], column) for column in columns]
    return pa.table(arrays, schema=arrow_schema(columns))


def _array(values: Any, column: Column) -> pa.Array:
    """The values of a column; NaN in a column that may be null is null."""
    nulls = np.isnan(values) if column.nullable and isinstance(values, np.ndarray) else None
    return pa.array(values, type=column.type, mask=nulls)


def _lists(lists: Sequence[npt.NDArray[np.float32]], has_one: npt.NDArray[np.bool_]) -> pa.ListArray:
    """Lists of all cells of some samples, null in cells that have none.

    Args:
        lists: of each sample, float32 [cells that have one, values].
        has_one: bool [cells].
    """
    lengths = [has_one * each.shape[1] for each in lists]
    ends = np.cumsum(np.concatenate([[0], *lengths]), dtype=np.int32)
    values = np.concatenate([each.ravel() for each in lists]) if lists else np.empty(0, np.float32)
    return pa.ListArray.from_arrays(ends, pa.array(values), mask=pa.array(np.tile(~has_one, len(lists))))


def _repeated(values: Sequence[str], times: int) -> pa.DictionaryArray:
    """Each value `times` times in a row, dictionary-encoded."""
    encoded = pa.array(values, pa.string()).dictionary_encode()
    return pa.DictionaryArray.from_arrays(np.repeat(encoded.indices.to_numpy(), times), encoded.dictionary)
