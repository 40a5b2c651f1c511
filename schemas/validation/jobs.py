"""What is wrong with the jobs on a run, a line each. Reads part by part."""

from collections.abc import Iterator, Mapping

import pyarrow as pa

from schemas.columns import KNOCKOUTS
from schemas.errors import HeadflowError
from schemas.jobs.job import Job, job_names, open_job
from schemas.store.run import Run
from schemas.text import listed
from schemas.validation.limits import not_finite


def validate_jobs(run: Run, observed: Mapping[str, str]) -> Iterator[str]:
    """Yield what is wrong with the jobs on a run.

    Checks that each job is complete, that its parts are those that its ledgers name with their numbers of rows, that
    values are finite, and that each sample has each knock-out once.

    Args:
        observed: the categories of the run's observed samples, by id.
    """
    named: set[str] = set()
    for name in job_names(run):
        try:
            job = open_job(run, name)
        except HeadflowError as error:
            yield str(error)
            continue
        named |= {path.name for path in job.paths}
        if not job.complete:
            yield f"{run.path}: the job {name} is not complete, but interrupted or still running"
        yield from _check_parts(job, observed)
    files = (run.path / KNOCKOUTS).glob("*.parquet")
    if stray := sorted({file.name for file in files if not file.name.startswith(".")} - named):
        yield f"{run.path / KNOCKOUTS} has parts that no ledger names: {listed(stray)}"


def _check_parts(job: Job, observed: Mapping[str, str]) -> Iterator[str]:
    rows = {part.name: part.rows[KNOCKOUTS] for ledger in job.ledgers.values() for part in ledger.parts}
    seen: set[str] = set()
    for path in job.paths:
        try:
            content = job.run.read_part(path)
        except HeadflowError as error:
            yield str(error)
            continue
        if content.num_rows != rows[path.name]:
            yield f"{path} has {content.num_rows} rows, its ledger says {rows[path.name]}"
        for column in job.run.columns(KNOCKOUTS):
            if pa.types.is_floating(column.type):
                yield from not_finite(path, column.name, content[column.name].drop_null().to_numpy())
        yield from (f"{path}: {wrong}" for wrong in _check_rows(job, content, observed, seen))


def _check_rows(job: Job, content: pa.Table, observed: Mapping[str, str], seen: set[str]) -> Iterator[str]:
    """That the rows of a part are those of the job's knock-outs, each once for each sample."""
    columns = ("sample_id", "category", "job", "name")
    samples, categories, jobs, names = (content[column].to_pylist() for column in columns)
    if other := set(jobs) - {job.name}:
        yield f"it has rows of other jobs: {listed(sorted(other))}"
    if unknown := sorted(set(names) - job.settings.knock_outs.keys()):
        yield f"it has knock-outs that are not those of the job {job.name}: {listed(unknown)}"
    here = dict(zip(samples, categories, strict=True))
    if unknown := sorted(here.keys() - observed.keys()):
        yield f"{listed(unknown)} has rows, but is not `ok` in `samples`"
    if moved := sorted(name for name, category in here.items() if observed.get(name, category) != category):
        yield f"{listed(moved)} has another category than in `samples`"
    if twice := sorted(here.keys() & seen):
        yield f"{listed(twice)} is split over several parts"
    seen |= here.keys()
    pairs = set(zip(samples, names, strict=True))
    if len(pairs) != len(samples) or len(pairs) != len(here) * len(job.settings.knock_outs):
        yield f"not each sample has each of the {len(job.settings.knock_outs)} knock-outs of the job {job.name} once"
