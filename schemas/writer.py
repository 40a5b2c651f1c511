"""The one place that writes Parquet: samples go in one by one, parts come out whole.

A part is written aside, flushed to the disk and renamed, and only then listed in the manifest, so that what a reader
sees is always complete. This happens in a thread, while the next part is gathered.
"""

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from schemas.columns import OK, REASONS, SAMPLES, SKIPPED, TABLES, arrow_schema, heads_columns
from schemas.errors import HeadflowError
from schemas.manifest import COMPLETE, Manifest, Part
from schemas.run import MANIFEST

ROWS_PER_PART = 2**17  # of `heads`: 128 samples of a model with 32 x 32 heads, about 7 MB
SAMPLES_PER_PART = 2**12  # where most samples are skipped


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def check_directory(path: Path, *, overwrite: bool) -> None:
    """Check that a run can be written to a directory, and make it, before any costly work; removes nothing.

    Raises:
        HeadflowError: it cannot be written to, or holds a run already and `overwrite` is not said.
    """
    if path.exists() and not path.is_dir():
        raise HeadflowError(f"{path} is a file; give a directory to write the run to")
    if not overwrite and any((path / name).exists() for name in (MANIFEST, *TABLES)):
        raise HeadflowError(f"{path} already holds a run; choose another directory, or say --overwrite")
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise HeadflowError(f"cannot write to {path}: {error.strerror or error}") from None


class RunWriter:
    """Writes a run: `add` or `skip` each sample in order, then `finish`.

    Holds at most twice `ROWS_PER_PART` rows of `heads`: a part that is gathered, and one that is written meanwhile. An
    error while a part is written is raised when the next one is handed over, or at the end.
    """

    def __init__(self, path: Path, manifest: Manifest, *, overwrite: bool = False) -> None:
        """Start a run in `path`; with `overwrite`, remove the run that lies there, and nothing else.

        Raises:
            HeadflowError: see `check_directory`.
        """
        check_directory(path, overwrite=overwrite)
        (path / MANIFEST).unlink(missing_ok=True)
        for table in TABLES:
            shutil.rmtree(path / table, ignore_errors=True)
            (path / table).mkdir()
        self.path = path
        self.manifest = manifest
        self._heads = arrow_schema(heads_columns(manifest.flows))
        self._samples: list[dict[str, Any]] = []
        self._flows: list[npt.NDArray[np.float32]] = []
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="writer")
        self._writing: Future[None] | None = None
        manifest.started = now()
        self._write_manifest()

    def add(self, sample: Mapping[str, Any], flows: npt.NDArray[np.float32]) -> None:
        """Add a sample and its flows.

        Args:
            sample: values by column name of `samples`, without `status`; what is absent becomes null.
            flows: float32 [layers, heads, flow columns], in the order of `manifest.flows`.

        Raises:
            ValueError: flows of another shape, or not finite; such rows must not be written.
        """
        expected = (self.manifest.layers, self.manifest.heads, len(self.manifest.flows))
        if flows.shape != expected:
            raise ValueError(f"flows have shape {flows.shape}, not {expected}")
        if not np.isfinite(flows).all():
            raise ValueError("flows are not finite")
        self._flows.append(flows.astype(np.float32, copy=False))
        self._append({**sample, "status": OK})

    def skip(self, sample: Mapping[str, Any], reason: str, detail: str) -> None:
        """Record a sample that has no rows in `heads`; `reason` is one of `schemas.columns.REASONS`."""
        if reason not in REASONS:
            raise ValueError(f"{reason!r} is not a reason of the contract")
        self._append({**sample, "status": SKIPPED, "reason": reason, "detail": detail})

    def finish(self) -> None:
        """Write what is gathered and mark the run complete."""
        self.flush()
        self._thread.shutdown()
        self.manifest.state = COMPLETE
        self.manifest.finished = now()
        self._write_manifest()

    def flush(self) -> None:
        """Write what is gathered as one part, and wait until it is written; the run stays open."""
        self._hand_over()
        self._wait()

    def _hand_over(self) -> None:
        """Let the thread write what is gathered, as one part."""
        self._wait()
        if self._samples:
            self._writing = self._thread.submit(self._write_part, self._samples, self._flows)
            self._samples, self._flows = [], []

    def _wait(self) -> None:
        if self._writing is not None:
            writing, self._writing = self._writing, None
            writing.result()

    def _write_part(self, samples: Sequence[Mapping[str, Any]], flows: Sequence[npt.NDArray[np.float32]]) -> None:
        heads = self._heads_table([sample for sample in samples if sample["status"] == OK], flows)
        part = Part(f"part-{len(self.manifest.parts):05d}.parquet", heads.num_rows, len(samples))
        self._write("heads", part.name, heads)
        self._write("samples", part.name, pa.Table.from_pylist(samples, schema=arrow_schema(SAMPLES)))
        self.manifest.parts.append(part)
        self._write_manifest()

    def _append(self, sample: dict[str, Any]) -> None:
        self._samples.append(sample)
        rows = len(self._flows) * self.manifest.layers * self.manifest.heads
        if rows >= ROWS_PER_PART or len(self._samples) >= SAMPLES_PER_PART:
            self._hand_over()

    def _heads_table(self, observed: Sequence[Mapping[str, Any]], flows: Sequence[npt.NDArray[np.float32]]) -> pa.Table:
        layers, heads = self.manifest.layers, self.manifest.heads
        layer = np.repeat(np.arange(layers, dtype=np.int16), heads)
        head = np.tile(np.arange(heads, dtype=np.int16), layers)
        values = np.stack(flows) if flows else np.empty((0, layers, heads, len(self.manifest.flows)))
        arrays = [
            _repeated([sample["sample_id"] for sample in observed], layers * heads),
            _repeated([sample["category"] for sample in observed], layers * heads),
            np.tile(layer, len(observed)),
            np.tile(head, len(observed)),
            *(values[..., index].ravel() for index in range(values.shape[-1])),
        ]
        return pa.table(
            [pa.array(array, type=field.type) for array, field in zip(arrays, self._heads, strict=True)],
            schema=self._heads,
        )

    def _write(self, table: str, name: str, content: pa.Table) -> None:
        path = self.path / table / name
        aside = path.with_name(f".{name}.tmp")  # a leading dot hides it from readers of the whole folder
        floats = [field.name for field in content.schema if pa.types.is_floating(field.type)]
        dictionaries = [field.name for field in content.schema if field.name not in floats]
        pq.write_table(
            content,
            aside,
            compression="zstd",
            use_dictionary=dictionaries,
            use_byte_stream_split=floats,
            row_group_size=max(1, content.num_rows),
        )
        _publish(aside, path)

    def _write_manifest(self) -> None:
        aside = self.path / f".{MANIFEST}.tmp"
        aside.write_text(self.manifest.to_json(), encoding="utf-8")
        _publish(aside, self.path / MANIFEST)


def _repeated(values: Sequence[str], times: int) -> pa.DictionaryArray:
    """Each value `times` times in a row, dictionary-encoded."""
    encoded = pa.array(values, pa.string()).dictionary_encode()
    return pa.DictionaryArray.from_arrays(np.repeat(encoded.indices.to_numpy(), times), encoded.dictionary)


def _publish(aside: Path, path: Path) -> None:
    """Make a file visible under its name, whole, also after a power cut."""
    with aside.open("rb") as file:
        os.fsync(file.fileno())
    aside.replace(path)
