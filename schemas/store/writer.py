"""Writes runs: samples go in one by one, parts come out whole.

A ledger names a part once all of its files are there, so that readers see only complete parts. Parts are written in a
thread, while the next one is gathered. An interrupted run is resumed after its last part.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from time import monotonic
from typing import Any

import numpy as np
import pyarrow.compute as pc

from schemas.columns import KNOCKOUTS, N_GENERATED, OK, REASONS, SKIPPED
from schemas.errors import HeadflowError
from schemas.files.locations import Location
from schemas.files.locks import Lock
from schemas.files.writing import write_text_once
from schemas.jobs.rows import MEASURED
from schemas.manifest import Manifest, Session, to_json
from schemas.store.directory import (
    check_directory,
    holds_run,
    refuse_foreign_parquet,
    refuse_inside_run,
    remove_begun,
    remove_run,
)
from schemas.store.grids import Grid, Grids
from schemas.store.identity import IDENTITY, check_division, check_fingerprints, check_same, check_same_model
from schemas.store.ledger import CHUNKS, COMPLETE, MANIFEST, RUNNING, Ledger, LedgerFile, Part
from schemas.store.part_files import (
    check_ledger,
    damaged_parts,
    next_number,
    part_name,
    remove_leftovers,
    write_part,
    write_table,
)
from schemas.store.run import Run, read_run
from schemas.store.thumbnails import write_thumbnail
from schemas.text import one_line

ROWS_PER_PART = 2**17  # of `heads`: 128 samples of a model with 32 x 32 heads, about 7 MB
BYTES_PER_PART = 2**25  # of lists and of steps: maps of 15 samples of such a model with 24 x 24 patches
SAMPLES_PER_PART = 2**12  # if most samples are skipped
NONE: Mapping[str, bytes] = {}
SECONDS_PER_PART = 60  # of a slow model: what is gathered is lost if the process is killed
TO_RESUME = "the same command resumes it, unless it overwrites"


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class RunWriter:
    """Writes a run, or a chunk of it: `add` or `skip` each sample in order, then `finish`; of a job, `add_rows`.

    Holds at most twice `ROWS_PER_PART` rows of `heads` and `BYTES_PER_PART` of lists and of steps: a part that is
    gathered, and one that is written meanwhile. An error while a part is written is raised when the next one is handed
    over, or at the end.

    Attributes:
        run: the run as this process knows it; other chunks are as they were when it was opened.
        chunk: the chunk that it writes.
        done: ids of the samples that are in complete parts already; they must not come again.
        damaged: the parts that lacked a file or rows; they are taken out, so that their samples come again.
    """

    def __init__(
        self,
        path: Location,
        manifest: Manifest,
        session: Session,
        *,
        samples: int,
        among: Collection[str] = (),
        chunk: int = 0,
        samples_in_run: int | None = None,
        weights: str | None = None,
        settings: str | None = None,
        images: Mapping[str, str] | None = None,
        history: Sequence[Session] = (),
        overwrite: bool = False,
        retry_skipped: bool = False,
    ) -> None:
        """Start a run in `path`, or resume the one in it.

        Args:
            session: who computes what follows; its `started` is set here.
            samples: how many samples the chunk is asked for, those to be skipped included.
            among: their ids, where those that are there already may be others: they stay beside them.
            chunk: which of `manifest.num_chunks` this process writes.
            samples_in_run: how many all chunks are asked for; `None`: there is one chunk.
            weights: fingerprint of the weights; `None`: not known.
            settings: fingerprint of the model's settings and tokenizer.
            images: fingerprints of images by name.
            history: earlier sessions, of the runs that the samples come from.
            overwrite: remove the run that is in `path`, and nothing else, and start anew.
            retry_skipped: take the samples that were skipped out of the run, so that they can come again.

        Raises:
            HeadflowError: see `check_directory` and `refuse_inside_run`; or another run is in `path`, or one with
                samples observed on other weights or images; or another process writes this one.
        """
        if manifest.job is None:
            refuse_inside_run(path)
        check_directory(path)
        self.path = path
        self.chunk = chunk
        self.session = replace(session, started=now())  # as the ledger has it; the caller may add what is known later
        self._history = history
        self._samples: list[dict[str, Any]] = []
        self._grids: list[Mapping[str, Any]] = []  # `Grids`, or rows of a job
        self._bytes = 0  # of what is gathered of lists and of steps
        self._thumbnails: dict[str, bytes] = {}
        self._since = 0.0  # when the first sample of those gathered came
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="writer")
        self._writing: Future[None] | None = None
        self._new: set[str] = set()
        self._compared = False
        which = f"chunk {chunk} of {path}" if manifest.num_chunks > 1 else str(path)
        self._lock = Lock(path / f".chunk-{chunk:05d}.lock", f"another process writes {which}")
        try:
            self.run = self._open(manifest, overwrite)
            check_ledger(self.run, chunk)
            check_division(self.run, samples_in_run or samples)
            check_same_model(self.run, manifest.model, weights, settings)
            check_fingerprints(self.run, weights, settings, images or {})
            self._file = LedgerFile(path / CHUNKS, self.run.ledgers.get(chunk), chunk)
            self._ledger = self.run.ledgers.setdefault(chunk, Ledger(chunk=chunk))
            self.damaged = damaged_parts(self.run, chunk)
            self._ledger.parts = [part for part in self._ledger.parts if part not in self.damaged]
            there = self.run.samples_in(self._ledger)
            samples = len({*among, *self._sample_ids()}) if among else max(samples, there)  # fewer may be asked for
            if retry_skipped or self.damaged or not self._ledger.complete or self._ledger.samples != samples:
                self._begin(samples, samples_in_run or samples, weights, settings, images or {})
            remove_leftovers(self.run, chunk)
            self._grid_of = {name: Grid.of(self.run, name) for name in self.run.grids}
            self._unequal = [name for name, grid in self._grid_of.items() if grid.every] + list(self.run.apart)
            if retry_skipped:
                self.take_out_skipped()
            self.done: frozenset[str] = frozenset(self._sample_ids())
        except BaseException:
            self._lock.release()
            raise

    def _open(self, manifest: Manifest, overwrite: bool) -> Run:
        """The run in the directory, begun if there is none."""
        if overwrite and holds_run(self.path):
            remove_run(self.path)
        if not holds_run(self.path):
            refuse_foreign_parquet(self.path)
            with self._explaining():
                write_text_once(self.path / MANIFEST, to_json(replace(manifest, started=now())), self.chunk)
        run = read_run(self.path)
        check_same(run.manifest, {name: getattr(manifest, name) for name in IDENTITY}, self.path)
        with self._explaining():
            for folder in (CHUNKS, *run.tables):
                (self.path / folder).mkdir(exist_ok=True)
        return run

    def _begin(
        self, samples: int, samples_in_run: int, weights: str | None, settings: str | None, images: Mapping[str, str]
    ) -> None:
        """Enter the session into the ledger."""
        self._ledger.samples, self._ledger.samples_in_run = samples, samples_in_run
        self._ledger.weights = weights or self._ledger.weights
        self._ledger.settings = settings or self._ledger.settings
        self._ledger.images = self._ledger.images | dict(images)
        self._ledger.sessions += [*self._history, self.session]
        self._write_ledger(self._ledger.parts)

    def add(self, sample: Mapping[str, Any], grids: Grids, thumbnails: Mapping[str, bytes] = NONE) -> None:
        """Add a sample that was observed.

        Args:
            sample: values by column name of `samples`, without `status`; what is absent becomes null.
            grids: by table of `Run.grids`, float32 [*`Grid.shape`, columns], such as [layers, heads, flows] for
                `heads`, in the order of `Run.values`; NaN in a column that may be null is null. And by name of
                `Run.apart` the values of a column, [rows], or of lists, for each image float32 [rows that have one,
                values].
            thumbnails: the JPEGs of small pictures of its images, by the hashes of these.

        Raises:
            ValueError: values of another shape, or not finite, or of a sample that is in the run.
        """
        expected = {*self.run.grids, *self.run.apart}
        if grids.keys() != expected:
            raise ValueError(f"there are values of {', '.join(grids)}, and not of {', '.join(sorted(expected))}")
        self._thumbnails |= thumbnails
        checked = {name: self._checked(name, values, sample) for name, values in grids.items()}
        self._append({**sample, "status": OK}, checked)

    def add_rows(self, sample_id: str, category: str, rows: Mapping[str, Sequence[Any]]) -> None:
        """Add a sample of a job.

        Args:
            rows: values by column of `MEASURED`, one for each knock-out, in the order of the job's settings on disk;
                None where they could not be computed.

        Raises:
            ValueError: another number of values, or values of a sample that is in the run.
        """
        for name in MEASURED:
            if len(rows[name]) != self.run.rows_per_sample:
                raise ValueError(f"{name} has {len(rows[name])} values for {self.run.rows_per_sample} knock-outs")
        self._append({"sample_id": sample_id, "category": category, "status": OK}, {KNOCKOUTS: rows})

    def _checked(self, name: str, values: Any, sample: Mapping[str, Any]) -> Any:
        """Values of one sample as they are written; raises `ValueError` if they do not fit the run."""
        table, column = self.run.apart.get(name, (name, None))
        grid = self._grid_of[table]
        ((steps, pictures),) = grid.blocks([sample]).tolist()
        if grid.every and sample[N_GENERATED] > grid.steps:
            raise ValueError(f"{sample[N_GENERATED]} steps are more than the {grid.steps} that were asked for")
        if column is not None and not column.length:
            if len(values) != steps * pictures * grid.cells:
                raise ValueError(f"{name} has {len(values)} values for {steps * pictures * grid.cells} rows")
            return values
        if column is not None:
            if len(values) != pictures:
                raise ValueError(f"there are lists of {name} of {len(values)} images, not {pictures}")
            for each in values:
                if each.dtype != np.float32 or each.ndim != 2 or len(each) != steps * grid.listed.sum():
                    raise ValueError(f"lists of {name} are {each.dtype} {each.shape}")
                if not np.isfinite(each).all():
                    raise ValueError(f"lists of {name} are not finite")
            return values
        if values.shape != (expected := (*grid.shape(steps, pictures), len(self.run.values(name)))):
            raise ValueError(f"the values of {name} have shape {values.shape}, not {expected}")
        nullable = [column.nullable for column in self.run.values(name)]
        if not (np.isfinite(values) | (np.isnan(values) & nullable)).all():
            raise ValueError(f"values of {name} are not finite")
        return values.astype(np.float32, copy=False)

    def skip(self, sample: Mapping[str, Any], reason: str, detail: str) -> None:
        """Record a sample that has no rows in other tables; `reason` is one of `schemas.columns.REASONS`."""
        if reason not in REASONS:
            raise ValueError(f"{reason!r} is not a reason of the contract")
        self._append({**sample, "status": SKIPPED, "reason": reason, "detail": detail})

    def take_out_skipped(self) -> None:
        """Take the samples that were skipped out of the chunk, so that they can come again.

        Parts that hold any are written anew without them; the old files go once the ledger names the new.
        """
        self.flush()
        for part in self._ledger.parts:
            samples = self.run.read_part(self.path / "samples" / part.name)
            kept = samples.filter(pc.field("status") == OK)
            if kept.num_rows == samples.num_rows:
                continue
            new = self._new_part()
            new.rows = part.rows | {"samples": kept.num_rows}
            own = [new if each is part else each for each in self._ledger.parts]
            if kept.num_rows:
                with self._explaining():
                    for table in part.rows:
                        content = kept if table == "samples" else self.run.read_part(self.path / table / part.name)
                        write_table(self.path / table / new.name, content)
            else:
                own.remove(new)
            self._write_ledger(own)
            for table in part.rows:
                (self.path / table / part.name).unlink()

    def finish(self) -> None:
        """Write what is gathered and mark the chunk complete.

        Raises:
            RuntimeError: samples were neither added, skipped nor there before: whoever calls this has lost them.
        """
        self.flush()
        written = self.run.samples_in(self._ledger)
        if written != self._ledger.samples:
            raise RuntimeError(f"{written} of {self._ledger.samples} samples were added or skipped")
        if not self._ledger.complete:
            self.session.finished = now()
            self._write_ledger(self._ledger.parts, state=COMPLETE)
        self.close()

    def abandon(self) -> None:
        """Release the run, and remove it if it has no rows and no other chunk of it was begun."""
        self.close()
        ledgers = read_run(self.path).ledgers
        if ledgers.keys() == {self.chunk} and not any(ledger.parts for ledger in ledgers.values()):
            remove_begun(self.path)

    def close(self) -> None:
        """Release the run for other writers; what is gathered and not written is lost."""
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
            self._writing = self._thread.submit(self._write_part, self._samples, self._grids, self._thumbnails)
            self._samples, self._grids, self._thumbnails, self._bytes = [], [], {}, 0

    def _wait(self) -> None:
        if self._writing is not None:
            writing, self._writing = self._writing, None
            writing.result()

    def _append(self, sample: dict[str, Any], grids: Mapping[str, Any] | None = None) -> None:
        name = sample["sample_id"]
        if name in self.done or name in self._new:
            raise ValueError(f"{name} is in the run already")
        self._new.add(name)
        if not self._samples:
            self._since = monotonic()
        self._samples.append(sample)
        if grids is not None:
            self._grids.append(grids)
            self._bytes += sum(_bytes_of(grids[name]) for name in self._unequal)
        rows = len(self._grids) * self.run.rows_per_sample
        full = rows >= ROWS_PER_PART or self._bytes >= BYTES_PER_PART or len(self._samples) >= SAMPLES_PER_PART
        if full or monotonic() - self._since >= SECONDS_PER_PART:
            self._hand_over()

    def _new_part(self) -> Part:
        return Part(name=part_name(self.chunk, next_number(self._ledger.parts), writer=self._lock.writer))

    def _write_part(
        self, samples: list[dict[str, Any]], grids: list[Mapping[str, Any]], thumbnails: dict[str, bytes]
    ) -> None:
        if not self._compared:  # chunks may have begun together, when no sample was observed yet
            found = read_run(self.path)
            check_same(found.manifest, {name: getattr(self.run.manifest, name) for name in IDENTITY}, self.path)
            check_fingerprints(found, self._ledger.weights, self._ledger.settings, self._ledger.images)
            self._compared = True
        part = self._new_part()
        with self._explaining():
            for sha256, content in thumbnails.items():
                write_thumbnail(self.path, sha256, content)
            write_part(self.run, part, samples, grids)
        self._write_ledger([*self._ledger.parts, part])

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        """Around writing: an error of the disk becomes a line that says how to resume."""
        self._lock.check()
        try:
            yield
        except OSError as error:
            self._lock.check()  # a directory that was removed is the cause, whatever the disk answers
            raise HeadflowError(
                f"cannot write to {self.path}: {one_line(error)}; what was written before stays, and {TO_RESUME}"
            ) from error

    def _write_ledger(self, parts: list[Part], *, state: str = RUNNING) -> None:
        ledger = replace(self._ledger, parts=parts, state=state)
        with self._explaining():
            self._file.commit(ledger)
        self._ledger = self.run.ledgers[self.chunk] = ledger

    def _sample_ids(self) -> list[str]:
        files = [self.path / self.run.tables[0] / part.name for part in self._ledger.parts]
        parts = [self.run.read_part(file)["sample_id"].unique() for file in files]
        return [name for part in parts for name in part.to_pylist()]


def _bytes_of(values: Any) -> int:
    """Bytes of an array, or of lists of several images; 0 of other values."""
    each = values if isinstance(values, list | tuple) else [values]
    return sum(getattr(one, "nbytes", 0) for one in each)
