"""What is wrong with a run and its jobs, a line each. Reads part by part, so memory does not grow with the run."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from schemas.columns import KNOCKOUTS, TABLES
from schemas.errors import HeadflowError
from schemas.files.locations import Location
from schemas.manifest import IDENTITY_OF_MODEL
from schemas.store.directory import job_folders
from schemas.store.jobs import Job, open_job
from schemas.store.ledger import MANIFEST, mostly_other_images
from schemas.store.run import Run, open_run
from schemas.text import counted, listed
from schemas.validation.grids import check_table
from schemas.validation.limits import outside
from schemas.validation.parts import PartTask, each_part
from schemas.validation.samples import check_samples
from schemas.workers.work import HERE, Workers


def validate(path: str | Location, workers: Workers = HERE) -> Iterator[str]:
    """Yield what is wrong with the run in a directory; nothing when all is well.

    Checks the manifest and the ledgers, that the parts are those that ledgers name with their numbers of rows, the
    columns, values (that the contract's types can hold, no null, no NaN, 0..1, partitions that sum to 1 within a
    tolerance, `v2t` that equals its parts, contributions that add up to the margin or lead), that each `ok` sample
    has every cell of each table's grid once, in the part that has it in `samples`, and no other sample has any, and
    that all chunks had the same weights and images; and the same of each job on the run, see `check_job`.

    Raises:
        HeadflowError: see `Workers.map`.
    """
    try:
        run = open_run(path)
    except HeadflowError as error:
        yield str(error)
        return
    yield from _check_ledgers(run)
    yield from _stray_files(run)
    ok: dict[str, dict[str, str]] = {}
    yield from check_samples(run, ok, workers)
    for table in run.grids:
        yield from check_table(run, table, ok, workers)
    for folder in job_folders(run.path):
        try:
            job = open_job(run, folder.name)
        except HeadflowError as error:
            yield str(error)
            continue
        yield from _check_ledgers(job.own)
        yield from _stray_files(job.own)
        yield from check_job(job, ok, workers)


def _check_ledgers(run: Run) -> Iterator[str]:
    """That each chunk is complete, with as many samples as it was asked for, and that chunks fit each other."""
    chunks = range(run.manifest.num_chunks)
    incomplete = [chunk for chunk in chunks if chunk not in run.ledgers or not run.ledgers[chunk].complete]
    if incomplete:
        which = f": chunks {listed(incomplete)} of {len(chunks)}" if len(chunks) > 1 else ""
        yield f"{run.path}: the run is not complete, but interrupted or still running{which}"
    for chunk, ledger in run.ledgers.items():
        written = run.samples_in(ledger)
        if ledger.complete and written != ledger.samples:
            there = counted(written, "sample")
            yield f"{run.path}: chunk {chunk} is complete with {there}, and {ledger.samples} were asked for"
    asked = {ledger.samples_in_run for ledger in run.ledgers.values()}
    observed = {chunk: ledger for chunk, ledger in run.ledgers.items() if run.observed_in(ledger)}
    weights = {ledger.weights for ledger in observed.values()} - {None}
    for chunk, ledger in observed.items():
        first = next(iter(observed.values()))
        if changed := mostly_other_images(first, ledger):
            yield f"{run.path}: chunk {chunk} was computed on other images of the same names: {listed(changed)}"
    if len(asked) > 1:
        yield f"{run.path}: chunks are parts of {listed(sorted(asked))} samples, so that they do not make one run"
    if len(weights) > 1:
        yield f"{run.path}: chunks were computed with {len(weights)} different sets of weights"


def _stray_files(run: Run) -> Iterator[str]:
    for table in TABLES:
        folder = run.path / table
        named = {path.name for path in run.part_paths(table)}
        stray = sorted({file.name for file in folder.glob("*.parquet") if not file.name.startswith(".")} - named)
        if stray:
            yield f"{folder} has parts that no ledger names: {listed(stray)}"


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


def check_job(job: Job, ok: Mapping[str, Mapping[str, str]], workers: Workers) -> Iterator[str]:
    """Yield what is wrong with the rows of a job.

    Checks that the job is of the model of its run, that values are finite, that each sample is an observed one of the
    run, and that each has each knock-out once, all in one part.

    Args:
        ok: by part of the run, the observed samples with their categories.
    """
    for name in IDENTITY_OF_MODEL:
        if getattr(job.own.manifest, name) != getattr(job.run.manifest, name):
            yield f"{job.own.path / MANIFEST}: its {name} is not that of the run that it is a job on"
    observed = {name: category for names in ok.values() for name, category in names.items()}
    check = partial(_check_part, knock_outs=list(job.settings.knock_outs))
    seen: set[str] = set()
    parts = job.own.parts
    for part, found in zip(parts, each_part(check, job.own, KNOCKOUTS, parts, workers), strict=True):
        path, here = job.own.path / KNOCKOUTS / part.name, found.samples
        yield from found.before
        if unknown := sorted(here.keys() - observed.keys()):
            yield f"{path}: {listed(unknown)} has rows, but is not `ok` in `samples`"
        if moved := sorted(name for name, category in here.items() if observed.get(name, category) != category):
            yield f"{path}: {listed(moved)} has another category than in `samples`"
        if twice := sorted(here.keys() & seen):
            yield f"{path}: {listed(twice)} is split over several parts"
        seen |= here.keys()
        yield from found.after


def _check_part(task: PartTask, *, knock_outs: Sequence[str]) -> PartOfJob:
    """Check a part of a job that has these knock-outs: each sample has each of them once."""
    lines: list[str] = []
    content = task.read(lines)
    if content is None:
        return PartOfJob(lines)
    path = task.run.path / KNOCKOUTS / task.part.name
    lines += outside(path, content, task.run.columns(KNOCKOUTS))
    samples, categories, names = (content[column].to_pylist() for column in ("sample_id", "category", "name"))
    if unknown := sorted(set(names) - set(knock_outs)):
        lines.append(f"{path}: it has knock-outs that the job was not asked: {listed(unknown)}")
    here = dict(zip(samples, categories, strict=True))
    after, pairs = [], set(zip(samples, names, strict=True))
    if len(pairs) != len(samples) or len(pairs) != len(here) * len(knock_outs):
        after = [f"{path}: not each sample has each of the {len(knock_outs)} knock-outs of the job once"]
    return PartOfJob(lines, here, after)
