"""Whether the rows of a job can be. Reads part by part."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from schemas.columns import KNOCKOUTS
from schemas.manifest import IDENTITY_OF_MODEL
from schemas.store.jobs import Job
from schemas.store.ledger import MANIFEST
from schemas.text import listed
from schemas.validation.limits import outside
from schemas.validation.parts import PartTask, each_part
from schemas.workers.work import Workers


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
