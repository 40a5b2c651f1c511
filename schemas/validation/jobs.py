"""What is wrong with the jobs on a run, a line each. Reads part by part."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from schemas.columns import KNOCKOUTS
from schemas.errors import HeadflowError
from schemas.jobs.job import Job, job_names, open_job
from schemas.store.run import Run
from schemas.text import listed
from schemas.validation.limits import outside
from schemas.validation.parts import PartTask, each_part
from schemas.workers.tasks import Workers


@dataclass(frozen=True)
class PartOfJob:
    """What a part of a job has.

    Attributes:
        before: what is wrong with its values, or why it could not be read.
        samples: those that have rows, with their categories.
        after: what is wrong with its rows.
    """

    before: list[str]
    samples: dict[str, str] = field(default_factory=dict)
    after: list[str] = field(default_factory=list)


def validate_jobs(run: Run, ok: Mapping[str, Mapping[str, str]], workers: Workers) -> Iterator[str]:
    """Yield what is wrong with the jobs on a run.

    Checks that each job is complete, that its parts are those that its ledgers name with their numbers of rows, that
    values are finite, and that each sample has each knock-out once.

    Args:
        ok: by part of the run, the observed samples with their categories.
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
        yield from _check_parts(job, {name: each for names in ok.values() for name, each in names.items()}, workers)
    files = (run.path / KNOCKOUTS).glob("*.parquet")
    if stray := sorted({file.name for file in files if not file.name.startswith(".")} - named):
        yield f"{run.path / KNOCKOUTS} has parts that no ledger names: {listed(stray)}"


def _check_parts(job: Job, observed: Mapping[str, str], workers: Workers) -> Iterator[str]:
    parts = [part for ledger in job.ledgers.values() for part in ledger.parts]
    check = partial(check_part, name=job.name, knock_outs=list(job.settings.knock_outs))
    seen: set[str] = set()
    for part, found in zip(parts, each_part(check, job.run, KNOCKOUTS, parts, workers), strict=True):
        path, here = job.run.path / KNOCKOUTS / part.name, found.samples
        yield from found.before
        if unknown := sorted(here.keys() - observed.keys()):
            yield f"{path}: {listed(unknown)} has rows, but is not `ok` in `samples`"
        if moved := sorted(name for name, category in here.items() if observed.get(name, category) != category):
            yield f"{path}: {listed(moved)} has another category than in `samples`"
        if twice := sorted(here.keys() & seen):
            yield f"{path}: {listed(twice)} is split over several parts"
        seen |= here.keys()
        yield from found.after


def check_part(task: PartTask, *, name: str, knock_outs: Sequence[str]) -> PartOfJob:
    """Check a part of a job, of which these are the name and the knock-outs: each sample has each of them once."""
    lines: list[str] = []
    content = task.read(lines)
    if content is None:
        return PartOfJob(lines)
    path = task.run.path / KNOCKOUTS / task.part.name
    lines += outside(path, content, task.run.columns(KNOCKOUTS))
    columns = ("sample_id", "category", "job", "name")
    samples, categories, jobs, names = (content[column].to_pylist() for column in columns)
    if other := set(jobs) - {name}:
        lines.append(f"{path}: it has rows of other jobs: {listed(sorted(other))}")
    if unknown := sorted(set(names) - set(knock_outs)):
        lines.append(f"{path}: it has knock-outs that are not those of the job {name}: {listed(unknown)}")
    here = dict(zip(samples, categories, strict=True))
    after, pairs = [], set(zip(samples, names, strict=True))
    if len(pairs) != len(samples) or len(pairs) != len(here) * len(knock_outs):
        after = [f"{path}: not each sample has each of the {len(knock_outs)} knock-outs of the job {name} once"]
    return PartOfJob(lines, here, after)
