"""Writes the rows of a job: samples go in one by one, each with all of its rows; parts come out whole."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from time import monotonic
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from schemas.columns import KNOCKOUTS, arrow_schema
from schemas.errors import HeadflowError
from schemas.files.writing import write_text_once
from schemas.jobs.job import JOB_DESCRIPTIVE, Job, Settings, open_job, remove_job, settings_path
from schemas.manifest import Session, to_json
from schemas.store.directory import remove_empty
from schemas.store.ledger import COMPLETE, JOBS, RUNNING, Ledger, LedgerFile, Part
from schemas.store.locks import Lock
from schemas.store.parts import next_number, part_name, remove_unnamed, write_table
from schemas.store.run import Run
from schemas.store.writer import ROWS_PER_PART, SECONDS_PER_PART, now
from schemas.text import one_line, short


class JobWriter:
    """Writes a job on a run, or a chunk of it: `add` each sample, then `finish`.

    Attributes:
        done: ids of the samples that are in complete parts already; they must not come again.
        nulls: how many of them have no margins, as they could not be computed.
        session: who computes what follows, as the ledger has it.
    """

    def __init__(
        self,
        run: Run,
        name: str,
        settings: Settings,
        session: Session,
        *,
        samples: int,
        chunk: int = 0,
        samples_in_job: int | None = None,
        weights: str | None = None,
    ) -> None:
        """Begin a job, or resume the one of that name.

        Args:
            samples: how many samples the chunk is asked for; `samples_in_job`: all chunks; None: there is one chunk.
            weights: fingerprint of the weights.

        Raises:
            HeadflowError: the job has other settings or was computed with other weights, or another process writes it.
        """
        self._folder = run.path / JOBS / name
        self._run, self._chunk = run, chunk
        self._rows: dict[str, list[Any]] = {}
        self._since = 0.0
        self.session = replace(session, started=now())
        try:
            for folder in (self._folder, run.path / KNOCKOUTS):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unwritable(error) from None
        self._lock = Lock(self._folder / f".chunk-{chunk:05d}.lock", f"another process writes job {name} of {run.path}")
        try:
            write_text_once(settings_path(run.path, name), to_json(replace(settings, started=now())), chunk)
            self.job = open_job(run, name)
            _check_same(self.job, settings)
            self._places = [_place(each.heads, each.layers) for each in self.job.settings.sets.values()]
            before = {each.weights for each in self.job.ledgers.values() if each.parts} - {None}
            if weights is not None and before - {weights}:
                raise HeadflowError(f"job {name} of {run.path} was computed with other weights; choose another name")
            self._file = LedgerFile(self._folder, self.job.ledgers.get(chunk), chunk)
            self._ledger = self.job.ledgers.setdefault(chunk, Ledger(chunk=chunk))
            parts = [run.read_part(run.path / KNOCKOUTS / part.name) for part in self._ledger.parts]
            self.done = frozenset(sample for part in parts for sample in part["sample_id"].unique().to_pylist())
            null = [part.filter(pc.is_null(part["margin"])) for part in parts]
            self.nulls = len({sample for part in null for sample in part["sample_id"].to_pylist()})
            remove_unnamed(run.path / KNOCKOUTS, f"part-{name}-{chunk:05d}-*.parquet", self._ledger.parts)
            if not self._ledger.complete or self._ledger.samples != samples:
                self._ledger.samples, self._ledger.samples_in_run = samples, samples_in_job or samples
                self._ledger.weights = weights
                self._ledger.sessions.append(self.session)
                self._commit(self._ledger.parts)
        except BaseException as error:
            self._lock.release()
            if isinstance(error, OSError):
                raise self._unwritable(error) from error
            raise

    def add(self, sample_id: str, category: str, rows: Mapping[str, Sequence[Any]]) -> None:
        """Add a sample with its rows, one for each knock-out of the settings, in their order.

        Args:
            rows: values by column of `knockouts`, but for those that the settings and the sample decide.
        """
        settings, number = self.job.settings, len(self._places)
        same: dict[str, Any] = {
            "sample_id": sample_id, "category": category, "job": self.job.name, "kind": settings.kind,
            "query": settings.query, "key": settings.key,
        }  # fmt: skip
        given: dict[str, Sequence[Any]] = {name: [value] * number for name, value in same.items()} | {
            "name": list(settings.knock_outs),
            "layer": [layer for layer, _ in self._places],
            "head": [head for _, head in self._places],
            **rows,
        }
        if not self._rows:
            self._since = monotonic()
        for column in self._run.columns(KNOCKOUTS):
            if len(given[column.name]) != number:
                raise ValueError(f"{column.name} has {len(given[column.name])} values for {number} knock-outs")
            self._rows.setdefault(column.name, []).extend(given[column.name])
        if len(self._rows["sample_id"]) >= ROWS_PER_PART or monotonic() - self._since >= SECONDS_PER_PART:
            self.flush()

    def flush(self) -> None:
        """Write what is gathered as one part."""
        if not self._rows:
            return
        number = next_number(self._ledger.parts)
        name = part_name(self._chunk, number, job=self.job.name, writer=self._lock.writer)
        content = pa.table(self._rows, schema=arrow_schema(self._run.columns(KNOCKOUTS)))
        self._lock.check()
        try:
            write_table(self._run.path / KNOCKOUTS / name, content)
            self._commit([*self._ledger.parts, Part(name=name, rows={KNOCKOUTS: content.num_rows})])
        except OSError as error:
            raise self._unwritable(error) from error
        self._rows = {}

    def finish(self) -> None:
        """Write what is gathered and mark the chunk complete.

        Raises:
            RuntimeError: rows of some samples are missing: whoever calls this has lost them.
        """
        self.flush()
        expected = self._ledger.samples * len(self.job.settings.knock_outs)
        if self._ledger.rows(KNOCKOUTS) != expected:
            raise RuntimeError(f"{self._ledger.rows(KNOCKOUTS)} of {expected} rows were added")
        if not self._ledger.complete:
            self.session.finished = now()
            self._commit(self._ledger.parts, state=COMPLETE)
        self.close()

    def abandon(self) -> None:
        """Release the job, and remove it if it has no rows and no other chunk of it was begun."""
        self.close()
        ledgers = open_job(self._run, self.job.name).ledgers
        if ledgers.keys() - {self._chunk} or any(ledger.parts for ledger in ledgers.values()):
            return
        remove_job(self._run, self.job.name)
        if isinstance(self._folder, Path):
            for lock in self._folder.glob(".chunk-*.lock"):
                lock.unlink()
            remove_empty([self._folder, self._folder.parent, self._folder.parents[1] / KNOCKOUTS])

    def close(self) -> None:
        """Release the job for other writers; what is gathered and not written is lost."""
        self._lock.release()

    def _commit(self, parts: list[Part], *, state: str = RUNNING) -> None:
        ledger = replace(self._ledger, parts=parts, state=state)
        try:
            self._file.commit(ledger)
        except OSError as error:
            raise self._unwritable(error) from error
        self._ledger = self.job.ledgers[self._chunk] = ledger

    def _unwritable(self, error: OSError) -> HeadflowError:
        return HeadflowError(
            f"cannot write to {self._run.path}: {one_line(error)}; what was written before stays, and the same command "
            "resumes it"
        )


def _check_same(job: Job, settings: Settings) -> None:
    """Raise `HeadflowError` if a job has other settings than those asked for."""
    found, asked = asdict(job.settings), asdict(settings)
    for name, value in asked.items():
        if name not in JOB_DESCRIPTIVE and found[name] != value:
            what = f"its {name} is {short(found[name])}, this command's is {short(value)}"
            if name == "references":
                what = "the run has other samples now, so means or swapped images would be others"
            if isinstance(value, dict):
                key = next(key for key in found[name] | value if found[name].get(key) != value.get(key))
                who = [each for each, own in (("that job", found[name]), ("this command", value)) if key in own]
                alone = f"{who[0]} alone knocks out" if len(who) == 1 else "both differ in the heads or layers of"
                what = f"{alone} {short(key)}"
            raise HeadflowError(
                f"{job.run.path} has another job of the name {job.name}: {what}; choose another name", setting="job"
            )


def _place(heads: frozenset[tuple[int, int]], layers: frozenset[int]) -> tuple[int | None, int | None]:
    """The layer and the head of a knock-out, each None if there are several."""
    if len(heads) == 1 and not layers:
        return next(iter(heads))
    if len(layers) == 1 and not heads:
        return next(iter(layers)), None
    return None, None
