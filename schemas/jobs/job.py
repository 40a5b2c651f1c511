"""A job on a run, on disk.

RUN/jobs/NAME.json               its settings, written once
RUN/jobs/NAME/00000.json         a chunk's ledger: which parts count
RUN/knockouts/part-NAME-00000-00000.parquet   its rows
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any

import pyarrow as pa

from schemas.columns import EDGE, KINDS, KNOCKOUTS, arrow_schema
from schemas.errors import HeadflowError
from schemas.files.json_objects import build, read_object
from schemas.files.locations import Location
from schemas.jobs.head_sets import HeadSet, wrong_set
from schemas.manifest import ROWS
from schemas.store.ledger import JOB_NAME, JOBS, Ledger, read_ledgers
from schemas.store.run import Run
from schemas.text import short

JOB_DESCRIPTIVE = ("started",)  # fields that decide no number


@dataclass(kw_only=True)
class Settings:
    """The fields of `jobs/NAME.json`, in their order."""

    kind: Annotated[str, f"what is done: {', '.join(f'`{kind}`' for kind in KINDS)}"] = EDGE
    query: Annotated[str | None, "role of the tokens that are changed; `last`: the last one; null: all tokens"] = None
    key: Annotated[str | None, "role of the tokens that they do not see, or see of another image"] = None
    knock_outs: Annotated[
        dict[str, Any], "what is knocked out, by name: `heads`, a list of [layer, head], and `layers`"
    ] = field(default_factory=dict)
    seed: Annotated[int, "seed of the images that `mean` and `swap` take"] = 0
    reference_images: Annotated[int | None, "images that `mean` averages over; null in other kinds"] = None
    references: Annotated[
        str | None,
        "SHA-256 of what `mean` and `swap` take from which images of the run, of all that it had; null in other kinds",
    ] = None
    num_chunks: Annotated[int, "chunks that the images are divided into, each written by a process of its own"] = 1
    started: Annotated[str | None, "UTC time when the job was begun, ISO 8601"] = None

    @classmethod
    def from_object(cls, content: dict[str, Any], where: object) -> "Settings":
        """Read settings from their JSON object; `where` names it in errors.

        Raises:
            HeadflowError: a field is missing, of the wrong type, or cannot be.
        """
        settings: Settings = build(cls, content, str(where))
        if wrong := next(settings._wrong(), None):
            raise HeadflowError(f"{where}: {wrong}")
        return settings

    def _wrong(self) -> Iterator[str]:
        if self.kind not in KINDS:
            yield f"kind is {short(self.kind)}, not one of {', '.join(KINDS)}"
        if not 1 <= self.num_chunks <= ROWS:
            yield f"num_chunks is {short(self.num_chunks)}, not from 1 to {ROWS}"
        for name, parts in self.knock_outs.items():
            if wrong := wrong_set(parts):
                yield f"the knock-out {short(name)} {wrong}"

    @property
    def sets(self) -> dict[str, HeadSet]:
        """The knock-outs by name."""
        return {name: HeadSet.of(parts) for name, parts in self.knock_outs.items()}


@dataclass(frozen=True)
class Job:
    """A job on disk: its name, its settings, and the ledgers of the chunks that were begun, by chunk."""

    run: Run
    name: str
    settings: Settings
    ledgers: dict[int, Ledger]

    @property
    def complete(self) -> bool:
        """Whether all chunks are written to their end."""
        return sum(ledger.complete for ledger in self.ledgers.values()) == self.settings.num_chunks

    @property
    def paths(self) -> list[Location]:
        """The files of its rows, in the order they were written."""
        parts = [part for ledger in self.ledgers.values() for part in ledger.parts]
        return [self.run.path / KNOCKOUTS / part.name for part in parts]

    def rows(self) -> pa.Table:
        """Its rows of the table `knockouts`.

        Raises:
            HeadflowError: a part is missing or unreadable.
        """
        empty = arrow_schema(self.run.columns(KNOCKOUTS)).empty_table()
        return pa.concat_tables([empty, *(self.run.read_part(path) for path in self.paths)]).unify_dictionaries()


def settings_path(run: Location, name: str) -> Location:
    """The path of a job's settings."""
    return run / JOBS / f"{name}.json"


def open_job(run: Run, name: str) -> Job:
    """A job on a run.

    Raises:
        HeadflowError: there is none of that name, or it cannot be read.
    """
    path = settings_path(run.path, name)
    if not path.exists():
        there = ", ".join(job_names(run)) or "none"
        raise HeadflowError(f"{run.path} has no job {short(name)}; its jobs: {there}", setting="job")
    settings = Settings.from_object(read_object(path, str(path)), path)
    return Job(run, name, settings, read_ledgers(run.path / JOBS / name, settings.num_chunks, (KNOCKOUTS,)))


def remove_job(run: Run, name: str) -> None:
    """Remove a job, and nothing else; does nothing if there is none."""
    folder = run.path / JOBS / name
    settings_path(run.path, name).unlink(missing_ok=True)
    for ledger in folder.glob("*.json"):
        ledger.unlink()
    for part in (run.path / KNOCKOUTS).glob(f"part-{name}-*.parquet"):
        part.unlink()


def job_names(run: Run) -> list[str]:
    """The names of the jobs on a run, in order."""
    return sorted(file.stem for file in (run.path / JOBS).glob("*.json") if JOB_NAME.fullmatch(file.stem))
