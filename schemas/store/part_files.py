"""One part of a run: tables -> Parquet files, and whether one has all rows of its samples."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from schemas.columns import KNOCKOUTS, OK, PATCHES, TABLES, Column, arrow_schema
from schemas.errors import HeadflowError
from schemas.files.locations import Location
from schemas.files.writing import aside_name, write_whole
from schemas.jobs.rows import rows_table
from schemas.store.grids import Grid, Grids
from schemas.store.ledger import CHUNKS, MANIFEST, PART_NAME, Part, ledger_path
from schemas.store.run import Run


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


def _grid_table(run: Run, table: str, observed: Sequence[Mapping[str, Any]], grids: Sequence[Grids]) -> pa.Table:
    """The rows of a table with a grid: for each sample its cells, in the order of the axes."""
    grid, declared, columns = Grid.of(run, table), TABLES[table], run.columns(table)
    blocks = grid.blocks(observed)
    rows = blocks.prod(axis=1) * grid.cells
    floats = run.values(table)
    values = [each[table].reshape(-1, len(floats)) for each in grids]
    made: dict[str, Any] = {
        name: _repeated([sample[name] for sample in observed], rows) for name in ("sample_id", "category")
    }
    made |= grid.places(blocks)
    numbers = np.concatenate([np.empty((0, len(floats)), np.float32), *values])
    made |= {column.name: column_of for column, column_of in zip(floats, numbers.T, strict=True)}
    for column in columns:
        own = [each[declared.own_name(column)] for each in grids if column in declared.apart]
        if column.length:
            made[column.name] = _lists(own, grid.listed[grid.kept], blocks)
        elif column in declared.apart:
            made[column.name] = [value for values in own for value in values]
        elif column.field:
            made[column.name] = _repeated([getattr(run.manifest, column.field) or ""] * len(observed), rows)
    arrays = [_array(made[column.name], column) for column in columns]
    return pa.table(arrays, schema=arrow_schema(columns))


def _array(values: Any, column: Column) -> pa.Array:
    """The values of a column; NaN in a column that may be null is null."""
    nulls = np.isnan(values) if column.nullable and isinstance(values, np.ndarray) else None
    return pa.array(values, type=column.type, mask=nulls)


def _lists(
    lists: Sequence[Sequence[npt.NDArray[np.float32]]], has_one: npt.NDArray[np.bool_], blocks: npt.NDArray[np.int64]
) -> pa.ListArray:
    """Lists of all cells of some samples, null in cells that have none.

    Args:
        lists: of each sample and each of its images, float32 [steps * cells that have one, values].
        has_one: bool [cells].
        blocks: see `Grid.blocks`.
    """
    number = int(has_one.sum())
    steps = [
        each[step * number : (step + 1) * number]
        for own, (times, _) in zip(lists, blocks.tolist(), strict=True)
        for step in range(times)
        for each in own
    ]
    lengths = [has_one * each.shape[1] for each in steps]
    ends = np.cumsum(np.concatenate([[0], *lengths]), dtype=np.int32)
    values = np.concatenate([np.empty(0, np.float32), *(each.ravel() for each in steps)])
    return pa.ListArray.from_arrays(ends, pa.array(values), mask=pa.array(~np.tile(has_one, len(steps))))


def _repeated(values: Sequence[str], times: npt.NDArray[np.int64]) -> pa.DictionaryArray:
    """Each value so many times in a row, dictionary-encoded."""
    encoded = pa.array(values, pa.string()).dictionary_encode()
    return pa.DictionaryArray.from_arrays(np.repeat(encoded.indices.to_numpy(), times), encoded.dictionary)
