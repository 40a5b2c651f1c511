"""Whether the rows of `samples` can be."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from schemas.columns import (
    ANSWER_STEP,
    CONTRIBUTIONS,
    ENDS,
    N_GENERATED,
    OK,
    PARTS_OF_LEAD,
    PARTS_OF_MARGIN,
    REASONS,
    SKIPPED,
    TABLES,
)
from schemas.files.locations import Location
from schemas.store.ledger import MANIFEST
from schemas.store.run import Run
from schemas.tasks import TASKS, lead_of
from schemas.text import listed
from schemas.validation.answers import check_options
from schemas.validation.limits import TOLERANCE, outside
from schemas.validation.parts import PartTask, each_part
from schemas.validation.values import check_sum
from schemas.workers.work import Workers


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
    for part, found in zip(run.parts, each_part(_check_part, run, "samples", run.parts, workers), strict=True):
        yield from found.lines
        seen.update(found.ids)
        if found.ok is not None:
            ok[part.name] = found.ok
    double = [key for key, count in seen.items() if count > 1]
    if double:
        yield f"{run.path / 'samples'}: `sample_id` is not unique: {listed(double)}"


def _check_part(task: PartTask) -> PartOfSamples:
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
    yield from check_options(run, path, content)
    observed = content.filter(pc.equal(content["status"], OK))
    for table in run.grids:
        fills = TABLES[table].fills
        if table == CONTRIBUTIONS and TASKS[run.manifest.task].options:
            fills = ("margin", *fills)
        if missing := [name for name in fills if observed[name].null_count]:
            yield f"{path}: {', '.join(missing)} is null in rows of observed samples, though {table} were asked for"
    yield from _wrong_texts(path, observed)
    yield from _wrong_sums(run, path, observed)


def _wrong_sums(run: Run, path: Location, observed: pa.Table) -> Iterator[str]:
    """Rows in which parts do not add up to `margin`, or where questions have options of their own, to `lead`.

    Where the right answer is no option, that is the lead of the likeliest. In a copy without answers it is not known
    where that is, so that only a `lead` is compared.
    """
    if TASKS[run.manifest.task].options:
        yield from check_sum(path, observed, PARTS_OF_MARGIN, TOLERANCE)
        return
    columns = (observed[name].to_pylist() for name in ("lead", "answer", "option_logits"))
    leads = [
        _lead_of_likeliest(logits) if lead is None and answer is not None else lead
        for lead, answer, logits in zip(*columns, strict=True)
    ]
    place = observed.schema.get_field_index(PARTS_OF_LEAD.total)
    field = observed.schema.field(place)
    yield from check_sum(path, observed.set_column(place, field, pa.array(leads, field.type)), PARTS_OF_LEAD, TOLERANCE)


def _lead_of_likeliest(logits: Sequence[float | None] | None) -> float | None:
    """By how much the likeliest option leads the second; None where logits are unknown."""
    known = [logit for logit in logits or () if logit is not None]
    return lead_of(known, known.index(max(known))) if len(known) > 1 else None


def _wrong_texts(path: Location, observed: pa.Table) -> Iterator[str]:
    """How generated texts end, and where their answers begin."""
    if odd := set(observed["ended"].drop_null().to_pylist()) - set(ENDS):
        yield f"{path}: `ended` is {listed(sorted(odd))}, which is none of {listed(ENDS)}"
    beyond = pc.fill_null(pc.greater_equal(observed[ANSWER_STEP], observed[N_GENERATED]), fill_value=False)
    if names := observed["sample_id"].filter(beyond).to_pylist():
        yield f"{path}: `{ANSWER_STEP}` is not below `{N_GENERATED}` for {listed(names)}"
