"""Jobs on a run, on disk: each is a run itself, in a folder of its run.

RUN/jobs/NAME/run.json           its manifest: that of its run, with `parent` and `job`, what it was asked
RUN/jobs/NAME/chunks/00000.json  a chunk's ledger
RUN/jobs/NAME/knockouts/part-00000-00000.parquet   its rows
"""

from dataclasses import dataclass

import pyarrow as pa

from schemas.columns import EXTRAS, KNOCKOUTS, TABLES, arrow_schema
from schemas.errors import HeadflowError
from schemas.files.locations import Location
from schemas.jobs.settings import JobSettings
from schemas.manifest import PARENT, Manifest
from schemas.store.directory import holds_run, job_folders
from schemas.store.ledger import JOBS, MANIFEST
from schemas.store.run import Run, read_run
from schemas.text import short


@dataclass(frozen=True)
class Job:
    """A job: the run that it is on, and its own run."""

    run: Run
    own: Run

    @property
    def name(self) -> str:
        """Its name, which is that of its folder."""
        return self.own.path.name

    @property
    def settings(self) -> JobSettings:
        """What it was asked."""
        assert self.own.manifest.job is not None  # see `open_job`
        return self.own.manifest.job

    @property
    def complete(self) -> bool:
        """Whether all chunks are written to their end."""
        return self.own.complete

    @property
    def paths(self) -> list[Location]:
        """The files of its rows, in the order they were written."""
        return self.own.part_paths(KNOCKOUTS)

    def rows(self) -> pa.Table:
        """Its rows of the table `knockouts`.

        Raises:
            HeadflowError: a part is missing or unreadable.
        """
        empty = arrow_schema(self.own.columns(KNOCKOUTS)).empty_table()
        return pa.concat_tables([empty, *(self.own.read_part(path) for path in self.paths)]).unify_dictionaries()


def job_path(run: Location, name: str) -> Location:
    """The folder of a job on the run in a directory."""
    return run / JOBS / name


def job_manifest(run: Run, settings: JobSettings, num_chunks: int = 1) -> Manifest:
    """The manifest of a job on a run: what decides the run's numbers decides the job's."""
    of_tables = {name for table in EXTRAS for name in TABLES[table].fields}  # that the job does not have
    kept = {name: value for name, value in vars(run.manifest).items() if name not in of_tables}
    own = {"parent": PARENT, "job": settings, "flows": [], "tables": [KNOCKOUTS], "num_chunks": num_chunks}
    return Manifest(**(kept | own))


def open_job(run: Run, name: str) -> Job:
    """A job on a run.

    Raises:
        HeadflowError: there is none of that name, or it cannot be read.
    """
    path = job_path(run.path, name)
    if not holds_run(path):
        there = ", ".join(job_names(run)) or "none"
        raise HeadflowError(f"{run.path} has no job {short(name)}; its jobs: {there}", setting="job")
    own = read_run(path)
    if own.manifest.job is None:
        raise HeadflowError(f"{path / MANIFEST}: it is not of a job on a run")
    return Job(run, own)


def job_names(run: Run) -> list[str]:
    """The names of the jobs on a run, in order."""
    return [folder.name for folder in job_folders(run.path) if (folder / MANIFEST).exists()]
