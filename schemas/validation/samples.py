"""Whether the rows of `samples` can be."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.columns import CONTRIBUTIONS, MAPS, OK, PARTS, PLACES, REASONS, SKIPPED
from schemas.files.locations import Location
from schemas.store.run import MANIFEST, Run
from schemas.text import listed
from schemas.validation.limits import differs, outside
from schemas.validation.parts import PartTask, each_part
from schemas.workers.tasks import Workers


@dataclass(frozen=True)
class PartOfSamples:
    """What a part of `samples` has.

    Attributes:
        lines: what is wrong with it.
        ids: of all samples.
        ok: the samples that were observed, with their categories; None: it could not be read.
    """

    lines: list[str]
    ids: list[str] = field(default_factory=list)
    ok: dict[str, str] | None = None


def check_samples(run: Run, ok: dict[str, dict[str, str]], workers: Workers) -> Iterator[str]:
    """Check the table `samples`, and fill `ok`: by part, each sample that was observed with its category."""
    seen: Counter[str] = Counter()
    for part, found in zip(run.parts, each_part(check_part, run, "samples", run.parts, workers), strict=True):
        yield from found.lines
        seen.update(found.ids)
        if found.ok is not None:
            ok[part.name] = found.ok
    double = [key for key, count in seen.items() if count > 1]
    if double:
        yield f"{run.path / 'samples'}: `sample_id` is not unique: {listed(double)}"


def check_part(task: PartTask) -> PartOfSamples:
    """Check a part of `samples`."""
    lines: list[str] = []
    content = task.read(lines)
    if content is None:
        return PartOfSamples(lines)
    path = task.run.path / task.table / task.part.name
    ids, statuses = (content[name].to_pylist() for name in ("sample_id", "status"))
    lines += _wrong_values(task.run, path, content, ids, statuses)
    categories = content["category"].combine_chunks()
    names = categories.dictionary.to_pylist()  # one object for each name, which is pickled once
    rows = zip(ids, categories.indices.to_pylist(), statuses, strict=True)
    return PartOfSamples(lines, ids, {key: names[category] for key, category, status in rows if status == OK})


def _wrong_values(
    run: Run, path: Location, content: pa.Table, ids: Sequence[str], statuses: Sequence[str]
) -> Iterator[str]:
    reasons = content["reason"].to_pylist()
    odd = [key for key, status in zip(ids, statuses, strict=True) if status not in (OK, SKIPPED)]
    if odd:
        yield f"{path}: `status` is neither `{OK}` nor `{SKIPPED}` for {listed(odd)}"
    unexplained = [
        key for key, status, why in zip(ids, statuses, reasons, strict=True) if status == SKIPPED and why not in REASONS
    ]
    if unexplained:
        yield f"{path}: skipped without a reason of the contract: {listed(unexplained)}"
    unknown = set(content["prompt"].drop_null().to_pylist()) - set(run.manifest.prompts)
    if unknown:
        yield f"{path}: `prompt` names wordings that {MANIFEST} does not have: {listed(sorted(unknown))}"
    yield from outside(path, content, run.columns("samples"))
    if CONTRIBUTIONS in run.manifest.tables:
        yield from _check_parts(path, content)
    if MAPS in run.manifest.tables:
        yield from _check_places(path, content)


def _check_parts(path: Location, samples: pa.Table) -> Iterator[str]:
    """That `d_embedding`, `d_heads` and the others are there for each observed sample, and add up to its margin."""
    names = [column.name for column in PARTS]
    observed = samples.filter(pc.equal(samples["status"], OK))
    if missing := [name for name in ("margin", *names) if observed[name].null_count]:
        yield f"{path}: {', '.join(missing)} is null in rows of observed samples, though contributions were asked for"
        return
    margin = observed["margin"].to_numpy().astype(np.float64)
    parts = np.array([observed[name].to_numpy().astype(np.float64) for name in names])
    size = np.maximum(1, np.abs(parts).max(axis=0, initial=0))
    what = "the sum of d_embedding, d_heads, d_mlp, d_bias and d_rest"
    yield from differs(path, what, "is not `margin`", parts.sum(axis=0) / size, margin / size)


def _check_places(path: Location, samples: pa.Table) -> Iterator[str]:
    """That the size of the image and the grid of its maps are there for each observed sample."""
    observed = samples.filter(pc.equal(samples["status"], OK))
    if missing := [column.name for column in PLACES if observed[column.name].null_count]:
        yield f"{path}: {', '.join(missing)} is null in rows of observed samples, though maps were asked for"
