"""`python -m extract knock-out`: a run's model over its samples again, with parts of it knocked out."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from extract.backends import DISTRIBUTIONS, find_wordings, in_wordings, load_asked, packages
from extract.knockouts.sets import check_kind, layer_sets, read_sets, single_heads
from extract.knockouts.settings import KnockOut
from extract.prompts.wordings import Wording
from extract.provenance import git_commit, versions
from extract.questions.question_set import QuestionSet, read_questions
from extract.settings import TRANSFORMERS, Extract, Model
from schemas.cli import say
from schemas.columns import KNOCKOUTS, MEAN, OF_TOKENS, OK, REASONS, SKIP, SWAP
from schemas.commands.settings import settings_of
from schemas.errors import HeadflowError
from schemas.jobs.head_sets import HeadSet, ModelShape
from schemas.jobs.settings import JobSettings
from schemas.manifest import IDENTITY_OF_MODEL, ORIGINAL, PACKED
from schemas.store.identity import changed_observed
from schemas.store.jobs import job_manifest, job_path, open_job
from schemas.store.run import Run, open_run
from schemas.tasks import OPTION_LETTERS, TASKS
from schemas.text import counted, listed, short

if TYPE_CHECKING:
    from extract.knockouts.references import References
    from extract.knockouts.runner import KnockOutJob
    from schemas.store.writer import RunWriter


@dataclass(frozen=True)
class AskedJob:
    """What is asked for of a run.

    Attributes:
        whole: all samples that the run observed; `questions`: those that are asked for.
        references: what knock-outs take from other images of the run.
    """

    run: Run
    name: str
    settings: JobSettings
    whole: QuestionSet
    questions: QuestionSet
    references: "References"


def knock_out(settings: KnockOut) -> int:
    """Run a run's model over its samples again, and write the job; returns the exit code.

    Raises:
        HeadflowError: the run, its model, questions or images cannot be used, or the job of that name is another one.
    """
    run = open_run(settings.run)
    manifest = run.manifest
    sets = find_sets(settings, manifest)
    check_kind(settings.kind, sets, manifest)
    if some := left_out(settings, manifest):
        print(some)
    asked = asked_of_run(run, settings)
    with packages(TRANSFORMERS):
        from extract.batched_knockouts.changes import Change
        from extract.images.fingerprint import fingerprint_images
        from extract.knockouts.references import References, images_of_run
    change = Change.of(settings.kind, settings.query, settings.key)
    if manifest.causal and change.sees_nothing:
        raise HeadflowError(
            f"in a causal model no `{change.query}` token sees `{change.key}`: nothing would be knocked out",
            setting="query",
        )
    wordings, samples = find_wordings(asked, TASKS[manifest.task]), run.samples()
    whole = _find_questions(run, samples, wordings, asked)
    questions = choose_samples(whole, settings)
    images = fingerprint_images(whole)
    if changed := [name for ledger in run.ledgers.values() for name in changed_observed(run, ledger, images)]:
        raise HeadflowError(
            f"{listed(changed)}: not the image that {run.path} was computed with; give the same images",
            setting="image_folder",
        )
    if change.kind == SWAP and any(len(sample.images) > 1 for sample in whole.samples):
        raise HeadflowError(
            f"{run.path} has questions with several images, and {SWAP} takes those of another one: choose another kind",
            setting="kind",
        )
    hashes = dict(zip(samples["sample_id"].to_pylist(), samples["image_sha256"].to_pylist(), strict=True))
    references = References.of(
        change.kind, images_of_run(whole.samples, hashes), settings.reference_images, settings.seed
    )
    name = settings.job_name
    kept = JobSettings(
        kind=change.kind,
        query=change.query,
        key=change.key,
        knock_outs={key: each.to_object() for key, each in sets.items()},
        seed=settings.seed,
        reference_images=settings.reference_images if change.kind == MEAN else None,
        references=references.fingerprint(),
    )
    columns = (samples[name].to_pylist() for name in ("sample_id", "margin", "option_logits"))
    margins = {name: first_over_second(margin, logits) for name, margin, logits in zip(*columns, strict=True)}
    run_job(AskedJob(run, name, kept, whole, questions, references), wordings, margins, asked, settings)
    return 0


def first_over_second(margin: float | None, logits: Sequence[float] | None) -> float | None:
    """The logit of the first option minus that of the second: `margin`, or, where it is null, from more options."""
    return margin if margin is not None or not logits else logits[0] - logits[1]


def find_sets(settings: KnockOut, model: ModelShape) -> dict[str, HeadSet]:
    """What is knocked out together, by name."""
    if settings.heads:
        return single_heads(settings.heads, model)
    if settings.sets is not None:
        return read_sets(settings.sets, model)
    return layer_sets(settings.layers, model, settings.window, whole=settings.kind not in OF_TOKENS)


def left_out(settings: KnockOut, model: ModelShape) -> str | None:
    """Which layers a job of layers leaves out, as they have no heads, in a line; None if it leaves out none."""
    others = sorted({*range(model.layers)} - {*model.attending})
    if not settings.layers or settings.kind not in OF_TOKENS or not others:
        return None
    layers = f"{'layer' if len(others) == 1 else 'layers'} {listed(others, 16)}"
    return f"{layers} left out: they do not attend, so `{settings.kind}` is not for them; `{SKIP}` takes any layer out"


def asked_of_run(run: Run, settings: KnockOut) -> Extract:
    """What a run was made with, and in its place where things are now.

    Raises:
        HeadflowError: no session of the run says how it was made, or it was made in another way.
    """
    if run.manifest.images != ORIGINAL:
        raise HeadflowError(f"{run.path} is of {run.manifest.images} images: knock-outs need the images as they are")
    sessions = [session for ledger in run.ledgers.values() for session in ledger.sessions]
    made = next((each.arguments for each in reversed(sessions) if each.arguments.get("model_path")), None)
    if made is None:
        raise HeadflowError(f"{run.path} does not say how it was extracted: only such a run can be run again")
    if made.get("backend", TRANSFORMERS) != TRANSFORMERS:
        raise HeadflowError(
            f"{run.path} was extracted by the llava package; knock-outs run in the classes of transformers: extract "
            "the run with them first"
        )
    how = {name: made[name] for name in (each.name for each in settings_of(Model)) if name in made}
    where = {name: made[name] for name in ("question_file", "image_folder") if name in made}
    return Extract.of(how | where | settings.moved | {"dtype": run.manifest.dtype, "plan": None})


def _find_questions(
    run: Run,
    samples: pa.Table,
    wordings: Sequence[Wording],
    asked: Extract,
) -> QuestionSet:
    """The observed samples of a run, as its question file has them.

    Raises:
        HeadflowError: the question file is another one, or does not have them.
    """
    questions = read_questions(asked.question_file, asked.image_folder, run.manifest.task, run.manifest.columns)
    if run.manifest.question_file_sha256 not in (None, questions.sha256):
        raise HeadflowError(
            f"{asked.question_file} is not the question file of {run.path}: it has changed", setting="question_file"
        )
    questions.check_images()
    questions = in_wordings(questions, wordings)
    rows = zip(samples["sample_id"].to_pylist(), samples["status"].to_pylist(), strict=True)
    observed = {name for name, status in rows if status == OK}
    if missing := observed - {sample.sample_id for sample in questions.samples}:
        raise HeadflowError(f"{asked.question_file} lacks samples of {run.path}: {listed(sorted(missing))}")
    return replace(questions, samples=[sample for sample in questions.samples if sample.sample_id in observed])


def choose_samples(whole: QuestionSet, settings: KnockOut) -> QuestionSet:
    """The samples that are asked for, of all that a run observed."""
    chosen = whole
    if settings.samples is not None:
        wanted = _listed_samples(settings.samples, {sample.sample_id for sample in whole.samples})
        chosen = replace(whole, samples=[sample for sample in whole.samples if sample.sample_id in wanted])
    return chosen.first(settings.num_samples or 0)


def _listed_samples(path: Path, observed: set[str]) -> set[str]:
    """The ids in a text file, a line each; raises `HeadflowError` if one is no observed sample of the run."""
    try:
        lines = path.read_bytes().decode("utf-8-sig").split("\n")  # an id may hold what else ends a line for Python
        names = {line if line in observed else line.strip() for line in lines} - {""}
    except (OSError, UnicodeError) as error:
        raise HeadflowError(f"{path} cannot be read: {error}", setting="samples") from None
    if unknown := sorted(names - observed):
        raise HeadflowError(f"{path} names samples that the run has not observed: {listed(unknown)}", setting="samples")
    if not names:
        raise HeadflowError(f"{path} names no samples", setting="samples")
    return names


def run_job(
    of: AskedJob,
    wordings: Sequence[Wording],
    margins: Mapping[str, float | None],
    asked: Extract,
    settings: KnockOut,
) -> None:
    """Load the model, and write what the job lacks.

    Args:
        margins: what the run has of its samples, by id.

    Raises:
        HeadflowError: the model is not that of the run, or the job of that name is another one.
    """
    with packages(TRANSFORMERS):
        from extract.checks import check_images
        from extract.knockouts.effects import largest_effects
        from extract.knockouts.runner import KnockOutJob
        from extract.models.fingerprint import fingerprint_settings
        from schemas.store.writer import RunWriter

    run, chunk = of.run, of.questions.chunk(settings.num_chunks, settings.chunk_idx)
    check_images(of.questions, chunk)
    removed = HeadSet.of(run.manifest.removed)
    task, words = TASKS[run.manifest.task], run.manifest.answer_tokens
    letters = "" if task.options else OPTION_LETTERS[: len(words)]
    checkpoint, prompts, answers = load_asked(asked, settings.device, wordings, removed, task, letters)
    job = KnockOutJob(
        checkpoint=checkpoint,
        prompts=prompts,
        packed=run.manifest.sequences == PACKED,
        batch_size=1,
        workers=settings.readers,
        removed=removed,
        answers=answers,
        settings=of.settings,
        references=of.references,
        tokens=settings.tokens,
    )
    check_model_of_run(run, job.manifest_fields() | answers.tokens.manifest_fields(), checkpoint.weights)
    used = versions(*DISTRIBUTIONS[TRANSFORMERS])
    session = replace(job.session(), git_commit=git_commit(), versions=used, arguments=settings.recorded())
    writer = RunWriter(
        job_path(run.path, of.name),
        job_manifest(run, of.settings, settings.num_chunks),
        session,
        samples=len(chunk.samples),
        among=[sample.sample_id for sample in chunk.samples],
        chunk=settings.chunk_idx,
        samples_in_run=len(of.questions.samples) if settings.num_chunks > 1 else None,
        weights=checkpoint.weights,
        settings=fingerprint_settings(asked.model_path, asked.model_base),
        overwrite=settings.overwrite,
    )
    say(f"job {of.name} of {run.path}: {job.cost()} for each of {counted(len(chunk.samples), 'sample')}")
    write(job, writer, of.whole, chunk, margins)
    for line in largest_effects(open_job(run, of.name), run.samples()):
        say(line)


def write(
    job: "KnockOutJob",
    writer: "RunWriter",
    whole: QuestionSet,
    chunk: QuestionSet,
    margins: Mapping[str, float | None],
) -> None:
    """Run the samples that the job lacks, and say what was done; a job refused before it has rows is removed."""
    for part in writer.damaged:
        say(f"warning: {part.name} lacks rows, or its file; its samples are run again", error=True)
    there = sum(sample.sample_id in writer.done for sample in chunk.samples)
    with closing(writer):
        if there:
            without = _without_values(writer)
            nulls = f", {without} of them without values: --overwrite computes all anew" if without else ""
            say(f"{there} of {counted(len(chunk.samples), 'sample is', 'samples are')} there already{nulls}")
        try:
            skipped = job.run(whole, chunk, margins, writer)
        except HeadflowError:
            writer.abandon()
            raise
    if there < len(chunk.samples):
        say(
            f"{counted(len(chunk.samples) - there, 'sample')}, knock-outs of each: {len(job.settings.knock_outs)}, in "
            f"{writer.path}/{KNOCKOUTS}"
        )
    for reason, count in skipped.most_common():
        say(f"{count} could not be computed ({reason}: {REASONS[reason]}): their values are null")


def _without_values(writer: "RunWriter") -> int:
    """How many samples of the chunk have no answers, as they could not be computed."""
    run = writer.run
    parts = [run.read_part(run.path / KNOCKOUTS / part.name) for part in run.ledgers[writer.chunk].parts]
    null = [part.filter(pc.is_null(part["prediction"]))["sample_id"] for part in parts]
    return len({sample for part in null for sample in part.to_pylist()})


def check_model_of_run(run: Run, fields: dict[str, Any], weights: str | None) -> None:
    """Raise `HeadflowError` if the model, as it is loaded now, is not that of the run."""
    for name in IDENTITY_OF_MODEL:
        before = getattr(run.manifest, name)
        if name in fields and before not in (None, [], {}, fields[name]):
            raise HeadflowError(
                f"the {name} of {run.path} is {short(before)}, that of the model now is {short(fields[name])}: "
                "knock-outs need the model and the settings of the run"
            )
    known = {ledger.weights for ledger in run.ledgers.values() if ledger.rows("heads")} - {None}
    if known and weights is not None and weights not in known:
        raise HeadflowError(f"the weights are not those that {run.path} was computed with", setting="model_path")
