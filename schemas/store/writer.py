"""The one place that writes runs: samples go in one by one, parts come out whole.

A part is listed in the manifest once both of its files are there, so that what a reader sees is always complete. This
happens in a thread, while the next part is gathered. A run that was left goes on where its last part ends.
"""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from schemas.columns import OK, REASONS, SKIPPED, TABLES
from schemas.errors import HeadflowError
from schemas.manifest import COMPLETE, RUNNING, Manifest, Part
from schemas.store.identity import IDENTITY, check_same
from schemas.store.locks import Lock, turn
from schemas.store.parts import part_name, remove_leftovers, write_part, write_table, write_text
from schemas.store.run import MANIFEST, Run, open_run
from schemas.text import one_line

ROWS_PER_PART = 2**17  # of `heads`: 128 samples of a model with 32 x 32 heads, about 7 MB
SAMPLES_PER_PART = 2**12  # where most samples are skipped
TURN = ".lock"
GO_ON = "the same command goes on, without --overwrite"


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def holds_run(path: Path) -> bool:
    """Whether a directory holds a run, or what is left of one."""
    return any((path / name).exists() for name in (MANIFEST, *TABLES))


def check_directory(path: Path) -> None:
    """Check that a run can be written to a directory, and make it, before any costly work; removes nothing.

    Raises:
        HeadflowError: it cannot be written to.
    """
    if path.exists() and not path.is_dir():
        raise HeadflowError(f"{path} is a file; give a directory to write the run to")
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise HeadflowError(f"cannot write to {path}: {error.strerror or error}") from None


class RunWriter:
    """Writes a run, or a chunk of it: `add` or `skip` each sample in order, then `finish`.

    Holds at most twice `ROWS_PER_PART` rows of `heads`: a part that is gathered, and one that is written meanwhile. An
    error while a part is written is raised when the next one is handed over, or at the end.

    Attributes:
        done: ids of the samples that are in complete parts already; they must not come again.
    """

    def __init__(
        self,
        path: Path,
        manifest: Manifest,
        *,
        chunk: int = 0,
        overwrite: bool = False,
        retry_skipped: bool = False,
    ) -> None:
        """Start a run in `path`, or go on with the one that lies there.

        Args:
            chunk: which of `manifest.num_chunks` this process writes.
            overwrite: remove the run that lies there, and nothing else, and start anew.
            retry_skipped: take the samples that were skipped out of the run, so that they can come again.

        Raises:
            HeadflowError: see `check_directory`; or another run lies there, or another process writes this one.
        """
        check_directory(path)
        self.path = path
        self.manifest = manifest
        self._chunk = chunk
        self._samples: list[dict[str, Any]] = []
        self._flows: list[npt.NDArray[np.float32]] = []
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="writer")
        self._writing: Future[None] | None = None
        which = f"chunk {chunk} of {path}" if manifest.num_chunks > 1 else str(path)
        self._lock = Lock(path / f".chunk-{chunk:05d}.lock", f"another process writes {which}")
        self.done: frozenset[str] = frozenset()
        try:
            with turn(path / TURN):
                adopted = self._open(overwrite)
            if not adopted:
                self._write_manifest()  # before its folders: what is killed here can go on
            for table in TABLES:
                (path / table).mkdir(exist_ok=True)
            if retry_skipped:
                self._take_out_skipped()
            self.done = frozenset(self._sample_ids())
        except BaseException:
            self._lock.release()
            raise

    def _open(self, overwrite: bool) -> bool:
        """Adopt the run that lies there, or clear its place; returns whether there was one to go on with."""
        if holds_run(self.path) and not overwrite:
            found = open_run(self.path).manifest
            check_same(found, {name: getattr(self.manifest, name) for name in IDENTITY}, self.path)
            self.manifest = found
            remove_leftovers(self.path, found, self._chunk)
            return True
        (self.path / MANIFEST).unlink(missing_ok=True)
        for table in TABLES:
            shutil.rmtree(self.path / table, ignore_errors=True)
        self.manifest.started = now()
        return False

    def add(self, sample: Mapping[str, Any], flows: npt.NDArray[np.float32]) -> None:
        """Add a sample and its flows.

        Args:
            sample: values by column name of `samples`, without `status`; what is absent becomes null.
            flows: float32 [layers, heads, flow columns], in the order of `manifest.flows`.

        Raises:
            ValueError: flows of another shape, or not finite, or of a sample that is there; they must not be written.
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
        """Write what is gathered and mark the chunk complete, and the run with its last one."""
        self.flush()
        self._write_manifest(complete=True)
        self.close()

    def close(self) -> None:
        """Let go of the run, so that another writer can go on; what is gathered and not written is lost."""
        self._thread.shutdown()
        self._lock.release()

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

    def _append(self, sample: dict[str, Any]) -> None:
        if sample["sample_id"] in self.done:
            raise ValueError(f"{sample['sample_id']} is in the run already")
        self._samples.append(sample)
        rows = len(self._flows) * self.manifest.layers * self.manifest.heads
        if rows >= ROWS_PER_PART or len(self._samples) >= SAMPLES_PER_PART:
            self._hand_over()

    def _own(self) -> list[Part]:
        return [part for part in self.manifest.parts if part.chunk == self._chunk]

    def _new_part(self) -> Part:
        numbers = [int(part.name.removesuffix(".parquet").rpartition("-")[2]) for part in self._own()]
        return Part(part_name(self.manifest, self._chunk, max(numbers, default=-1) + 1), self._chunk, 0, 0)

    def _write_part(self, samples: list[dict[str, Any]], flows: list[npt.NDArray[np.float32]]) -> None:
        with self._explaining():
            part = self._new_part()
            write_part(self.path, part, self.manifest, samples, flows)
            self._write_manifest([*self._own(), part])

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        """Around what is written: what the disk says becomes a line that says how to go on."""
        self._lock.check()
        try:
            yield
        except OSError as error:
            self._lock.check()  # a directory that is gone is why, whatever the disk says
            raise HeadflowError(
                f"cannot write to {self.path}: {one_line(error)}; what was written before stays, and {GO_ON}"
            ) from error

    def _write_manifest(self, own: list[Part] | None = None, *, complete: bool = False) -> None:
        """Write the manifest with the parts of this chunk, `own` if given, and those that others have written."""
        path = self.path / MANIFEST
        own = self._own() if own is None else own
        with self._explaining(), turn(self.path / TURN):
            found = open_run(self.path).manifest if path.exists() else self.manifest
            others = [part for part in found.parts if part.chunk != self._chunk]
            chunks = set(found.chunks_complete) - {self._chunk} | ({self._chunk} if complete else set())
            self.manifest.parts = sorted([*others, *own], key=lambda part: part.chunk)
            self.manifest.chunks_complete = sorted(chunks)
            whole = len(chunks) == self.manifest.num_chunks
            self.manifest.state = COMPLETE if whole else RUNNING
            self.manifest.finished = now() if whole else None
            write_text(path, self.manifest.to_json())

    def _sample_ids(self) -> list[str]:
        run = Run(self.path, self.manifest)
        parts = [run.read_part(self.path / "samples" / part.name) for part in self._own()]
        return [name for part in parts for name in part["sample_id"].to_pylist()]

    def _take_out_skipped(self) -> None:
        """Write parts that hold skipped samples anew without them; the old files go once the manifest lists the new."""
        run = Run(self.path, self.manifest)
        for part in self._own():
            samples = run.read_part(self.path / "samples" / part.name)
            kept = samples.filter(pc.field("status") == OK)
            if kept.num_rows == samples.num_rows:
                continue
            heads = run.read_part(self.path / "heads" / part.name)
            new = self._new_part()
            new.heads_rows, new.samples_rows = heads.num_rows, kept.num_rows
            own = [new if each is part else each for each in self._own()]
            if kept.num_rows:
                write_table(self.path / "heads" / new.name, heads)
                write_table(self.path / "samples" / new.name, kept)
            else:
                own.remove(new)
            self._write_manifest(own)
            for table in TABLES:
                (self.path / table / part.name).unlink()
