"""Where the files of a run lie, and how a run is opened.

RUN/run.json                     the manifest, written once
RUN/chunks/00000.json            a chunk's ledger: which parts count
RUN/heads/part-00000-00000.parquet     one row per (sample, layer, head)
RUN/samples/part-00000-00000.parquet   one row per sample, skipped ones included
RUN/TABLE/part-00000-00000.parquet     further tables, where they were asked for
RUN/thumbnails/SHA256.jpg        small pictures of the images, where they were asked for
RUN/jobs/NAME/                   a job on the run, which is a run itself: see `schemas.store.jobs`
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.columns import KNOCKOUTS, TABLES, Column, arrow_schema, fits, heads_columns, in_contract
from schemas.errors import HeadflowError
from schemas.files.json_objects import read_object
from schemas.files.locations import Location, location
from schemas.files.parquet import open_parquet, reading
from schemas.files.ranges import out_of_range
from schemas.manifest import Manifest
from schemas.store.ledger import CHUNKS, MANIFEST, Ledger, Part, read_ledgers
from schemas.text import counted, one_line


@dataclass(frozen=True)
class Run:
    """A run on disk: where it lies, its manifest, and the ledgers of the chunks that were begun, by chunk."""

    path: Location
    manifest: Manifest
    ledgers: dict[int, Ledger]

    @property
    def complete(self) -> bool:
        """Whether all chunks are written to their end."""
        return len(self.chunks_complete) == self.manifest.num_chunks

    @cached_property
    def chunks_complete(self) -> list[int]:
        """The chunks that are written to their end."""
        return [chunk for chunk, ledger in self.ledgers.items() if ledger.complete]

    @property
    def samples_asked(self) -> int | None:
        """Samples asked for, those to be skipped included; `None` if no chunk was begun."""
        return max((ledger.samples_in_run for ledger in self.ledgers.values()), default=None)

    @property
    def parts(self) -> list[Part]:
        """The parts that count, by chunk and in the order they were written."""
        return [part for ledger in self.ledgers.values() for part in ledger.parts]

    def columns(self, table: str) -> tuple[Column, ...]:
        """The columns that a table of this run has by contract."""
        return heads_columns(self.manifest.flows) if table == "heads" else TABLES[table].columns

    def values(self, table: str) -> tuple[Column, ...]:
        """The float32 columns of a table with a grid."""
        return tuple(column for column in self.columns(table) if column.type == pa.float32())

    @property
    def grids(self) -> tuple[str, ...]:
        """The tables that have several rows for each observed sample; all but those of a job have a grid."""
        return (KNOCKOUTS,) if self.manifest.job is not None else ("heads", *self.manifest.tables)

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables that each part has a file of; the first one has all samples."""
        return self.grids if self.manifest.job is not None else ("samples", *self.grids)

    @property
    def rows_per_sample(self) -> int:
        """Rows that an observed sample has in the first of `grids`."""
        job = self.manifest.job
        return len(self.manifest.attending) * self.manifest.heads if job is None else max(1, len(job.knock_outs))

    def samples_in(self, ledger: Ledger) -> int:
        """How many samples the parts have that a ledger names."""
        return ledger.rows(self.tables[0]) // (1 if self.manifest.job is None else self.rows_per_sample)

    def observed_in(self, ledger: Ledger) -> bool:
        """Whether the parts that a ledger names have an observed sample."""
        return ledger.rows(self.grids[0]) > 0

    @property
    def apart(self) -> dict[str, tuple[str, Column]]:
        """The columns of these tables that are not of float32, by `Table.own_name`, with their tables."""
        tables = [TABLES[name] for name in self.grids]
        return {table.own_name(column): (table.name, column) for table in tables for column in table.apart}

    def part_paths(self, table: str) -> list[Location]:
        """The files of a table, in the order of `parts`."""
        return [self.path / table / part.name for part in self.parts if table in part.rows]

    def open_part(self, path: Location) -> pq.ParquetFile:
        """Open one part and check that it has the contract's columns; nullable columns may be missing.

        Columns may stand in any order, beside others, in another width or encoding than the contract's.

        Raises:
            HeadflowError: the file is missing, is not Parquet, or has a column not at all, twice or of another kind.
        """
        try:
            with reading(path):
                file = open_parquet(path)
                schema = file.schema_arrow
                names = schema.names
        except FileNotFoundError:
            raise HeadflowError(f"{path} is missing: its ledger names it") from None
        for column in self.columns(path.parent.name):
            number = names.count(column.name)
            if number > 1:
                raise HeadflowError(f"{path} has {number} columns `{column.name}`; write it again with one of them")
            if number == 0 and not column.nullable:
                raise HeadflowError(f"{path}: the column `{column.name}` is missing")
            if number and not fits(found := schema.field(column.name).type, column):
                raise HeadflowError(f"{path}: the column `{column.name}` has type {found}, not {column.type}")
        return file

    def batches(self, path: Location, names: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        """Some columns of one part, in the contract's types; at most `rows` rows at once.

        Raises:
            HeadflowError: as `read_part`.
        """
        file = self.open_part(path)
        columns = [next(each for each in self.columns(path.parent.name) if each.name == name) for name in names]
        with reading(path):
            batches = file.iter_batches(rows, columns=list(names))
            while (batch := next(batches, None)) is not None:
                batch.validate(full=True)
                arrays = [_checked(_values(batch[each.name], each, path), each, path) for each in columns]
                yield pa.record_batch(arrays, names=list(names))

    def read_part(self, path: Location, only: Sequence[str] | None = None, *, checked: bool = True) -> pa.Table:
        """Read one part with the contract's columns, types and order; a column that it lacks as nulls.

        Args:
            only: the names of the columns that are read; None: all.
            checked: whether values are checked to be in the ranges of their columns.

        Raises:
            HeadflowError: as `open_part`; or a column that may not be null is, or has values that its type cannot hold,
                or that are out of its range.
        """
        file = self.open_part(path)
        columns = [each for each in self.columns(path.parent.name) if only is None or each.name in only]
        names = file.schema_arrow.names
        with reading(path):
            content = file.read(columns=[column.name for column in columns if column.name in names])
            content.validate(full=True)
        arrays = [
            pa.chunked_array([_values(chunk, each, path) for chunk in content[each.name].chunks], each.type)
            if each.name in names
            else pa.nulls(content.num_rows, each.type)
            for each in columns
        ]
        if checked:
            arrays = [_checked(array, each, path) for array, each in zip(arrays, columns, strict=True)]
        return pa.table(arrays, schema=arrow_schema(columns)).unify_dictionaries()

    def samples(self) -> pa.Table:
        """The whole table `samples`, in the order it was written.

        Raises:
            HeadflowError: a part is missing or unreadable.
        """
        tables = [self.read_part(path) for path in self.part_paths("samples")]
        if not tables:
            raise HeadflowError(f"{self.path} has no part yet: nothing to read")
        return pa.concat_tables(tables).unify_dictionaries()


def _values(found: pa.Array, column: Column, path: Location) -> pa.Array:
    """The values of a column in the contract's type.

    Raises:
        HeadflowError: its type cannot hold them, or some are null that may not be.
    """
    try:
        values = in_contract(found, column)
    except pa.ArrowInvalid as error:
        raise HeadflowError(f"{path}: `{column.name}` is not {column.type} in some rows: {one_line(error)}") from None
    if values.null_count and not column.nullable:
        raise HeadflowError(f"{path}: `{column.name}` is null in {counted(values.null_count, 'row')}")
    return values


def _checked(values: pa.Array | pa.ChunkedArray, column: Column, path: Location) -> pa.Array | pa.ChunkedArray:
    """The values of a column; raises `HeadflowError` if some are out of its range."""
    if wrong := out_of_range(values, column):
        raise HeadflowError(f"{path}: {wrong[0]}; run validate")
    return values


def open_run(path: str | Location) -> Run:
    """Open the run in a directory or on an object store.

    Raises:
        HeadflowError: there is no run, or a job on one; or its manifest or a ledger cannot be read.
    """
    run = read_run(location(path) if isinstance(path, str) else path)
    if run.manifest.job is not None:
        raise HeadflowError(f"{run.path} is a job on the run {run.path.parent.parent}; give that run")
    return run


def read_run(path: Location) -> Run:
    """The run in a directory, which may be a job on one.

    Raises:
        HeadflowError: there is none, or its manifest or a ledger cannot be read.
    """
    manifest = path / MANIFEST
    try:
        there = path.exists()
    except OSError as error:  # such as a store that does not answer
        raise HeadflowError(f"{path} cannot be read: {one_line(error)}") from None
    if not there:
        raise HeadflowError(f"{path} does not exist; give the directory that `python -m extract` wrote")
    if not path.is_dir():
        raise HeadflowError(f"{path} is not a directory; give the directory that holds {MANIFEST}")
    if not manifest.is_file():
        begun = any((path / name).is_dir() for name in (CHUNKS, *TABLES))
        problem = "it has parts, but its manifest is gone" if begun else "it is not a run"
        raise HeadflowError(f"{path} has no {MANIFEST}: {problem}")
    settings = Manifest.from_object(read_object(manifest, str(manifest)), manifest)
    tables = ("heads", "samples") if settings.job is None else (KNOCKOUTS,)
    return Run(path, settings, read_ledgers(path / CHUNKS, settings.num_chunks, tables))
