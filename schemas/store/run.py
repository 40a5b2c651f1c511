"""Where the files of a run lie, and how a run is opened.

RUN/run.json                     the manifest, written once
RUN/chunks/00000.json            a chunk's ledger: which parts count
RUN/heads/part-00000-00000.parquet     one row per (sample, layer, head)
RUN/samples/part-00000-00000.parquet   one row per sample, skipped ones included
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.columns import TABLES, Column, heads_columns
from schemas.errors import HeadflowError
from schemas.files import open_parquet, read_object, reading
from schemas.manifest import Manifest
from schemas.store.ledger import CHUNKS, Ledger, Part, read_ledgers
from schemas.store.version1 import VERSION, read_version_1

MANIFEST = "run.json"


@dataclass(frozen=True)
class Run:
    """A run on disk: its directory, its manifest, and the ledgers of the chunks that were begun, by chunk."""

    path: Path
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

    def part_paths(self, table: str) -> list[Path]:
        """The files of a table, in the order of `parts`."""
        return [self.path / table / part.name for part in self.parts if table in part.rows]

    def open_part(self, path: Path) -> pq.ParquetFile:
        """Open one part and check that it has the contract's columns and types; nullable columns may be missing.

        Raises:
            HeadflowError: the file is missing, is not Parquet, or lacks a column or its type.
        """
        try:
            with reading(path):
                file = open_parquet(path)
                schema = file.schema_arrow
        except FileNotFoundError:
            raise HeadflowError(f"{path} is missing: its ledger names it") from None
        for column in self.columns(path.parent.name):
            if column.name not in schema.names:
                if column.nullable:
                    continue
                raise HeadflowError(f"{path}: the column `{column.name}` is missing")
            found = schema.field(column.name).type
            if found != column.type:
                raise HeadflowError(f"{path}: the column `{column.name}` has type {found}, not {column.type}")
        return file

    def read_part(self, path: Path) -> pa.Table:
        """Read one part with the contract's columns, those that it lacks as nulls.

        Raises:
            HeadflowError: as `open_part`; or a column that may not be null is.
        """
        file, columns = self.open_part(path), self.columns(path.parent.name)
        with reading(path):
            content = file.read(columns=[column.name for column in columns if column.name in file.schema_arrow.names])
            content.validate(full=True)
        for number, column in enumerate(columns):
            if column.name not in content.column_names:
                nulls = pa.nulls(content.num_rows, column.type)
                content = content.add_column(number, pa.field(column.name, column.type), nulls)
            if not column.nullable and (missing := content[column.name].null_count):
                raise HeadflowError(f"{path}: `{column.name}` is null in {missing} rows")
        return content

    def samples(self) -> pa.Table:
        """The whole table `samples`, in the order it was written.

        Raises:
            HeadflowError: a part is missing or unreadable.
        """
        tables = [self.read_part(path) for path in self.part_paths("samples")]
        if not tables:
            raise HeadflowError(f"{self.path} has no part yet: nothing to read")
        return pa.concat_tables(tables).unify_dictionaries()


def open_run(path: str | Path) -> Run:
    """Open the run in a directory, of version 1 or 2.

    Raises:
        HeadflowError: the directory is no run, or its manifest or a ledger cannot be read.
    """
    path = Path(path)
    manifest = path / MANIFEST
    if not path.exists():
        raise HeadflowError(f"{path} does not exist; give the directory that `python -m extract` wrote")
    if not path.is_dir():
        raise HeadflowError(f"{path} is not a directory; give the directory that holds {MANIFEST}")
    if not manifest.is_file():
        begun = any((path / name).is_dir() for name in (CHUNKS, *TABLES))
        problem = "it has parts, but its manifest is gone" if begun else "it is not a run"
        raise HeadflowError(f"{path} has no {MANIFEST}: {problem}")
    content = read_object(manifest, str(manifest))
    if content.get("schema_version") == VERSION:
        return Run(path, *read_version_1(content, manifest))
    settings = Manifest.from_object(content, manifest)
    return Run(path, settings, read_ledgers(path, settings.num_chunks))
