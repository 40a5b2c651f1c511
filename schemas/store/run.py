"""Where the files of a run lie, and how a run is opened.

RUN/run.json                     the manifest
RUN/heads/part-00000.parquet     one row per (sample, layer, head)
RUN/samples/part-00000.parquet   one row per sample, skipped ones included
"""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.columns import SAMPLES, TABLES, Column, heads_columns
from schemas.errors import HeadflowError
from schemas.files import open_parquet, read_object, reading
from schemas.manifest import Manifest

MANIFEST = "run.json"


@dataclass(frozen=True)
class Run:
    """A run on disk: its directory and its manifest."""

    path: Path
    manifest: Manifest

    def columns(self, table: str) -> tuple[Column, ...]:
        """The columns that the table `heads` or `samples` of this run has by contract."""
        return SAMPLES if table == "samples" else heads_columns(self.manifest.flows)

    def part_paths(self, table: str) -> list[Path]:
        """The files of a table, in the order they were written."""
        return [self.path / table / part.name for part in self.manifest.parts]

    def open_part(self, path: Path) -> pq.ParquetFile:
        """Open one part and check that it has the contract's columns and types.

        Raises:
            HeadflowError: the file is missing, is not Parquet, or lacks a column or its type.
        """
        try:
            with reading(path):
                file = open_parquet(path)
                schema = file.schema_arrow
        except FileNotFoundError:
            raise HeadflowError(f"{path} is missing: {MANIFEST} lists it") from None
        for column in self.columns(path.parent.name):
            if column.name not in schema.names:
                raise HeadflowError(f"{path}: the column `{column.name}` is missing")
            found = schema.field(column.name).type
            if found != column.type:
                raise HeadflowError(f"{path}: the column `{column.name}` has type {found}, not {column.type}")
        return file

    def read_part(self, path: Path) -> pa.Table:
        """Read one part with the contract's columns; raises as `open_part`, and where what may not be null is."""
        file, columns = self.open_part(path), self.columns(path.parent.name)
        with reading(path):
            content = file.read(columns=[column.name for column in columns])
            content.validate(full=True)
        for column in columns:
            if not column.nullable and (nulls := content[column.name].null_count):
                raise HeadflowError(f"{path}: `{column.name}` is null in {nulls} rows")
        return content

    def samples(self) -> pa.Table:
        """The whole table `samples`, in the order of the question file.

        Raises:
            HeadflowError: a part is missing or unreadable.
        """
        tables = [self.read_part(path) for path in self.part_paths("samples")]
        if not tables:
            raise HeadflowError(f"{self.path} has no part yet: nothing to read")
        return pa.concat_tables(tables).unify_dictionaries()


def open_run(path: str | Path) -> Run:
    """Open the run in a directory.

    Raises:
        HeadflowError: the directory is no run, or its manifest cannot be read.
    """
    path = Path(path)
    manifest = path / MANIFEST
    if not path.exists():
        raise HeadflowError(f"{path} does not exist; give the directory that `python -m extract --output-dir` wrote")
    if not path.is_dir():
        raise HeadflowError(f"{path} is not a directory; give the directory that holds {MANIFEST}")
    if not manifest.is_file():
        parts = any((path / table).is_dir() for table in TABLES)
        lost = "it has parts, but its manifest is gone" if parts else "it is not a run"
        raise HeadflowError(f"{path} has no {MANIFEST}: {lost}")
    return Run(path, Manifest.from_object(read_object(manifest, str(manifest)), manifest))
