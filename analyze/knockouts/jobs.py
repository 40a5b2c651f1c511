"""The rows of a job of knock-outs as arrays, and which job measured single heads or layers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from analyze.statistics.clusters import Codes
from schemas.columns import EDGE, SKIP
from schemas.errors import HeadflowError
from schemas.store.jobs import Job, job_names, open_job
from schemas.store.run import Run
from schemas.tasks import TASKS, Task
from schemas.text import listed

HEADS, OF_LAYERS = UNITS = ("heads", "layers")


@dataclass(frozen=True)
class Knocked:
    """The answers with each knock-out of a job; all arrays are [samples, knock-outs].

    Attributes:
        there: bool [samples], whether the job has the sample.
        lead, untouched: float32, of the right answer, with each and without; NaN where they could not be computed.
        says: int8, the place of the option that is given; -1: none of them.
    """

    there: npt.NDArray[np.bool_]
    lead: npt.NDArray[np.float32]
    untouched: npt.NDArray[np.float32]
    says: npt.NDArray[np.int8]

    @property
    def effects(self) -> npt.NDArray[np.float64]:
        """The loss of lead, NaN where it could not be computed."""
        return self.untouched.astype(np.float64) - self.lead

    @classmethod
    def nothing(cls, samples: int, knock_outs: int) -> "Knocked":
        """Of a job that has none of the samples."""
        lead, untouched = np.full((2, samples, knock_outs), np.nan, np.float32)
        return cls(np.zeros(samples, bool), lead, untouched, np.full((samples, knock_outs), -1, np.int8))

    def put(
        self, where: tuple[Codes, Codes], part: pa.Table, own: npt.NDArray[np.bool_], options: "_Options", task: Task
    ) -> None:
        """Put some rows of a part at places in the arrays.

        Args:
            options: of each sample of the arrays.
        """
        self.there[where[0]] = True
        self.lead[where], self.untouched[where] = (
            part[column].to_numpy()[own] for column in ("lead", "lead_untouched")
        )
        self.says[where] = _says(part["prediction"], own, where[0], options, task)


_Options = Sequence[Sequence[str]]


def knocked(job: Job, samples: pd.DataFrame) -> Knocked:
    """The rows of a job on some rows of `observed_samples`.

    Raises:
        HeadflowError: see `knocked_parts`.
    """
    found = Knocked.nothing(len(samples), len(job.settings.knock_outs))
    for chosen, part in knocked_parts(job, samples):
        for name in ("there", "lead", "untouched", "says"):
            getattr(found, name)[chosen] = getattr(part, name)
    return found


def knocked_parts(job: Job, samples: pd.DataFrame) -> Iterator[tuple[Codes, Knocked]]:
    """The rows of a job on some rows of `observed_samples`, part by part: memory does not grow with the job.

    Yields:
        Places in `samples` of those that a part has, int64 [samples of the part], and its rows.

    Raises:
        HeadflowError: a part cannot be read, or a sample has not one row for each knock-out.
    """
    names, task = list(job.settings.knock_outs), TASKS[job.run.manifest.task]
    ids = samples["sample_id"].astype(str).tolist()
    place, sets = ({name: number for number, name in enumerate(each)} for each in (ids, names))
    options = [()] * len(samples) if task.options else [() if each is None else each for each in samples["options"]]
    before = np.zeros(len(samples), bool)
    for path in job.paths:
        part = job.run.read_part(path)
        sample, which = _codes(part["sample_id"], place), _codes(part["name"], sets)
        if (which < 0).any():
            raise HeadflowError(f"{path} has knock-outs that the job {job.name} does not have; run validate")
        own = sample >= 0
        chosen, row = np.unique(sample[own], return_inverse=True)
        rows = np.bincount(row * len(names) + which[own], minlength=len(chosen) * len(names))
        wrong = (rows.reshape(len(chosen), len(names)) != 1).any(axis=1) | before[chosen]
        if wrong.any():
            each = listed([ids[number] for number in chosen[wrong]])
            raise HeadflowError(f"job {job.name} of {job.run.path} has not one row for each knock-out of {each}")
        before[chosen] = True
        found = Knocked.nothing(len(chosen), len(names))
        found.put((row, which[own]), part, own, [options[number] for number in chosen], task)
        yield chosen, found


def _codes(column: pa.ChunkedArray, place: dict[str, int]) -> Codes:
    """The place of each value of a column of dictionaries; -1 where it has none."""
    found = column.combine_chunks()
    places = np.array([*(place.get(name, -1) for name in found.dictionary.to_pylist()), -1], np.int64)
    return places[found.indices.fill_null(len(found.dictionary)).to_numpy(zero_copy_only=False)]


def _says(
    column: pa.ChunkedArray, own: npt.NDArray[np.bool_], row: Codes, options: _Options, task: Task
) -> npt.NDArray[np.int8]:
    """The options that first tokens give, int8 [rows]: those of the question, where it has its own.

    Args:
        own: bool, the rows of the column that are read; `row`: their samples, places in `options`.
    """
    found = column.combine_chunks()
    texts = [*found.dictionary.to_pylist(), None]
    codes = found.indices.fill_null(len(texts) - 1).to_numpy(zero_copy_only=False)[own].astype(np.int64)
    different, where = np.unique(row * (not task.options) * len(texts) + codes, return_inverse=True)
    places = [
        task.read(texts[code], options[sample]) for sample, code in zip(*divmod(different, len(texts)), strict=True)
    ]
    return np.array([-1 if place is None else place for place in places], np.int8)[where]


def cells(job: Job) -> tuple[str, list[int]] | None:
    """What a job measured one by one, of `UNITS`, and the cell of each knock-out: the layer, or as of `head_cells`.

    None where its knock-outs are not single heads, each once and all of the model's, nor single layers in that way.
    """
    sets, manifest = list(job.settings.sets.values()), job.run.manifest
    if found := head_cells(job) or []:
        unit, number = HEADS, prod(manifest.shape)
    elif all(len(each.layers) == 1 and not each.heads for each in sets):
        unit, number = OF_LAYERS, manifest.layers
        found = [layer for each in sets for layer in each.layers]
    else:
        return None
    return (unit, found) if sorted(found) == list(range(number)) else None


def head_cells(job: Job) -> list[int] | None:
    """The cell of each knock-out of a job; None where they are not single heads, each once.

    It is `layer x heads + head`, with the place of the layer among those that attend.
    """
    sets = list(job.settings.sets.values())
    if not sets or any(len(each.heads) != 1 or each.layers for each in sets):
        return None
    manifest = job.run.manifest
    found = [manifest.attending.index(layer) * manifest.heads + head for each in sets for layer, head in each.heads]
    return found if len(set(found)) == len(found) else None


def effect_jobs(run: Run, asked: Sequence[str] | None) -> dict[str, Job]:
    """The job that measured the effect of each head, and of each layer, by unit, as far as there are any.

    Args:
        asked: names of jobs, at most one for each unit; None: the only one of each unit, or of several the only one
            whose kind is `edge`. Of layers, only jobs of the kind `skip` count.

    Raises:
        HeadflowError: a job that is asked for measured something else, or there are several to choose from.
    """
    found: dict[str, list[Job]] = {}
    for name in job_names(run) if asked is None else asked:
        job = _opened(run, name)
        measured = cells(job)
        if measured is not None and (measured[0] == HEADS or job.settings.kind == SKIP):
            found.setdefault(measured[0], []).append(job)
        elif asked is not None:
            raise HeadflowError(
                f"job {name} of {run.path} did not knock out each single head, nor skip each single layer",
                setting="effects",
            )
    return {unit: _one(jobs, unit) for unit, jobs in found.items()}


def job_in_words(job: Job) -> str:
    """The name and the kind of a job, and its roles where they are not those that it has by default."""
    roles = {"query": (job.settings.query, "question"), "key": (job.settings.key, "image")}
    other = any(role not in (None, usual) for role, usual in roles.values())
    named = [f"{name} {role}" for name, (role, _) in roles.items() if other and role is not None]
    return ", ".join([f"job {job.name}", f"kind {job.settings.kind}", *named])


def _opened(run: Run, name: str) -> Job:
    try:
        return open_job(run, name)
    except HeadflowError as error:
        raise HeadflowError(str(error), setting="effects") from None


def _kind(job: Job) -> str:
    """The kind of a job, and the roles that its knock-outs are about."""
    roles = [role for role in (job.settings.query, job.settings.key) if role is not None]
    return " ".join([job.settings.kind, *roles])


def _one(jobs: list[Job], unit: str) -> Job:
    first = [job for job in jobs if job.settings.kind == EDGE]
    if len(jobs) > 1 and len(first) != 1:
        names = ", ".join(f"{job.name} ({_kind(job)})" for job in jobs)
        raise HeadflowError(f"several jobs measured single {unit}: {names}; choose one", setting="effects")
    return jobs[0] if len(jobs) == 1 else first[0]
