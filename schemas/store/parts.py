"""One part of a run: tables -> two Parquet files, each written aside, flushed to the disk and renamed."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from schemas.columns import OK, SAMPLES, TABLES, arrow_schema, heads_columns
from schemas.manifest import Manifest, Part


def part_name(manifest: Manifest, chunk: int, number: int) -> str:
    """The file name of a chunk's part."""
    return f"{_stem(manifest, chunk)}-{number:05d}.parquet"


def _stem(manifest: Manifest, chunk: int) -> str:
    """How the names of a chunk's parts begin; a run that is one chunk does not name it."""
    return "part" if manifest.num_chunks == 1 else f"part-{chunk:05d}"


def write_part(
    path: Path,
    part: Part,
    manifest: Manifest,
    samples: Sequence[Mapping[str, Any]],
    flows: Sequence[npt.NDArray[np.float32]],
) -> None:
    """Write both files of a part, and its row counts into `part`.

    Args:
        path: the run's directory.
        samples: rows of `samples`; `flows` has those of `heads`, float32 [layers, heads, flow columns] for each row
            that is `ok`.
    """
    heads = _heads_table(manifest, [sample for sample in samples if sample["status"] == OK], flows)
    rows = pa.Table.from_pylist(samples, schema=arrow_schema(SAMPLES))
    write_table(path / "heads" / part.name, heads)
    write_table(path / "samples" / part.name, rows)
    part.heads_rows, part.samples_rows = heads.num_rows, rows.num_rows


def write_table(path: Path, content: pa.Table) -> None:
    """Write one file; readers see it when it is whole."""
    floats = [field.name for field in content.schema if pa.types.is_floating(field.type)]
    dictionaries = [field.name for field in content.schema if field.name not in floats]
    with _publishing(path) as aside:
        pq.write_table(
            content,
            aside,
            compression="zstd",
            use_dictionary=dictionaries,
            use_byte_stream_split=floats,
            row_group_size=max(1, content.num_rows),
            write_page_checksum=True,
        )


def write_text(path: Path, content: str) -> None:
    """Write a small JSON file; readers see it when it is whole."""
    with _publishing(path) as aside:
        aside.write_text(content, encoding="utf-8", errors="backslashreplace")  # half a pair, as JSON writes it


def remove_leftovers(path: Path, manifest: Manifest, chunk: int) -> None:
    """Remove what a killed writer of a chunk left of a part: files aside, and files that the manifest does not list."""
    pattern, listed = f"{_stem(manifest, chunk)}-*.parquet", {part.name for part in manifest.parts}
    for table in TABLES:
        for file in (path / table).glob(pattern):
            if file.name not in listed:
                file.unlink()
        for file in (path / table).glob(f".{pattern}.tmp"):
            file.unlink()


def _heads_table(
    manifest: Manifest, observed: Sequence[Mapping[str, Any]], flows: Sequence[npt.NDArray[np.float32]]
) -> pa.Table:
    schema = arrow_schema(heads_columns(manifest.flows))
    layers, heads = manifest.layers, manifest.heads
    layer = np.repeat(np.arange(layers, dtype=np.int16), heads)
    head = np.tile(np.arange(heads, dtype=np.int16), layers)
    values = np.stack(flows) if flows else np.empty((0, layers, heads, len(manifest.flows)))
    arrays = [
        _repeated([sample["sample_id"] for sample in observed], layers * heads),
        _repeated([sample["category"] for sample in observed], layers * heads),
        np.tile(layer, len(observed)),
        np.tile(head, len(observed)),
        *(values[..., index].ravel() for index in range(values.shape[-1])),
    ]
    return pa.table(
        [pa.array(array, type=field.type) for array, field in zip(arrays, schema, strict=True)], schema=schema
    )


def _repeated(values: Sequence[str], times: int) -> pa.DictionaryArray:
    """Each value `times` times in a row, dictionary-encoded."""
    encoded = pa.array(values, pa.string()).dictionary_encode()
    return pa.DictionaryArray.from_arrays(np.repeat(encoded.indices.to_numpy(), times), encoded.dictionary)


@contextmanager
def _publishing(path: Path) -> Iterator[Path]:
    """Where to write a file, which is then visible under its name, whole, also after a power cut."""
    aside = path.with_name(f".{path.name}.tmp")  # the dot hides it from readers of the folder
    try:
        yield aside
        _flush(aside)
        aside.replace(path)
        _flush(path.parent)
    except OSError:
        aside.unlink(missing_ok=True)  # a full disk has better uses
        raise


def _flush(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
