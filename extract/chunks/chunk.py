"""A chunk, run: by a process of its own, or by an actor of a cluster that runs several."""

import sys
from collections import Counter
from collections.abc import Callable
from contextlib import closing, nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from extract.backends import DISTRIBUTIONS, load_extractor, load_format, packages
from extract.checks import check_images
from extract.chunks.asked import Asked
from extract.provenance import versions
from extract.questions.content.columns import read_columns
from extract.questions.question_set import QuestionSet
from extract.settings import TRANSFORMERS
from schemas.errors import HeadflowError, nothing_written
from schemas.manifest import ORIGINAL, SWAPPED, Manifest, Session
from schemas.store.directory import new_directory
from schemas.store.run import Run
from schemas.store.thumbnails import without_thumbnail
from schemas.store.writer import RunWriter
from schemas.text import counted

if TYPE_CHECKING:
    from extract.runner import Extractor

Load = Callable[[Asked, QuestionSet, Session | None], "Extractor"]


@dataclass(frozen=True)
class Done:
    """What was done with a chunk.

    Attributes:
        there: samples that the run had before.
        observed: samples that were observed now; `skipped`: how many were skipped now, by reason.
        rows: of `heads`, written now.
        unchanged: whether the run stays as it was, as nothing was left to do.
        warned: whether it was said already, in this process, that the first token is no answer.
    """

    there: int
    observed: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    rows: int = 0
    unchanged: bool = False
    warned: bool = False


def load_for_chunk(asked: Asked, questions: QuestionSet, before: Session | None) -> "Extractor":
    """Load the model for a chunk; see `load_extractor`."""
    return load_extractor(asked.settings, questions, asked.wordings, before, asked.tables)


def run_chunk(asked: Asked, index: int, load: Load = load_for_chunk) -> Done:
    """Run the samples of a chunk that the run lacks.

    Args:
        load: loads the model, or has loaded it for another chunk.

    Raises:
        HeadflowError: another run is in the directory, files or the model cannot be used, or the run not be written.
        Stopped: a signal asked for it.
    """
    settings = asked.settings
    chunk = asked.chunk(index)
    found = asked.find_run()
    if found is not None and settings.thumbnails:
        _warn_of_thumbnails(found)
    if found is not None and asked.is_there(found, index):
        return Done(len(chunk.samples), unchanged=True)
    _check_several(asked)
    check_images(asked.questions, chunk)
    if settings.images == SWAPPED:
        with packages(settings.backend):
            from extract.images.counterfactual.swapping import swap_images
        chunk = swap_images(chunk, asked.whole)
    ledger = found.ledgers.get(index) if found is not None else None
    before = ledger.sessions[-1] if ledger and ledger.sessions else None
    with new_directory(settings.output_dir) as undo:
        with nothing_written(undo) if found is None else nullcontext():
            extractor = load(asked, chunk, before)
        writer = _open_writer(asked, index, extractor, chunk)
    return _write(extractor, chunk, writer)


def _check_several(asked: Asked) -> None:
    """Check before a model is loaded that it takes questions with several images, and say how many it does not.

    Raises:
        HeadflowError: it takes none of the questions, or other images are to take the place of several.
    """
    settings, samples = asked.settings, asked.questions.samples
    several = sum(len(sample.images) > 1 for sample in samples)
    if not several:
        return
    questions = counted(several, "question has", "questions have")
    if settings.images != ORIGINAL:
        raise HeadflowError(
            f"{questions} several images, and {settings.images} takes the place of one: ask them with their own images",
            setting="images",
        )
    family, takes = "LLaVA of the package", False
    if settings.backend == TRANSFORMERS:
        prompt_format, preprocessor = load_format(settings)
        family, takes = prompt_format.family, preprocessor.several
    if takes:
        return
    if several == len(samples):
        raise HeadflowError(
            f"{questions} several images, which is all of them, and a {family} is asked with one: choose another model",
            setting="model_path",
        )
    print(
        f"warning: {questions} several images, of {len(samples)}, and a {family} is asked with one: they are skipped",
        file=sys.stderr,
    )


def _warn_of_thumbnails(run: Run) -> None:
    """Warn of samples whose thumbnails are asked for now, and were not before."""
    if missing := without_thumbnail(run):
        images = counted(missing, "image that was", "images that were")
        print(
            f"warning: {run.path} has no thumbnails of {images} observed without them, and gets none; only a run that "
            "is made anew has them all",
            file=sys.stderr,
        )


def _open_writer(asked: Asked, index: int, extractor: "Extractor", chunk: QuestionSet) -> RunWriter:
    """Begin or resume the run, and print what the model is.

    Raises:
        HeadflowError: another run is in the directory, or another process writes it.
    """
    settings = asked.settings
    manifest = Manifest(
        **extractor.describe(),
        num_chunks=settings.num_chunks,
        model=settings.model_path,
        question_file=asked.questions.name,
        question_file_sha256=asked.questions.sha256,
        columns=read_columns(settings.columns),
    )
    used = versions(*DISTRIBUTIONS[settings.backend])
    session = replace(extractor.session(), git_commit=asked.commit, versions=used, arguments=settings.recorded())
    number = len(extractor.checkpoint.prompt_format.image_ids)
    image_tokens = counted(number, "image token") if number else "image tokens by the size of the image"
    print(
        f"{settings.model_path}: {counted(manifest.layers, 'layer')} x {counted(manifest.heads, 'head')}, "
        f"{image_tokens}, {manifest.dtype} on {session.device}"
    )
    if manifest.without_heads:
        print(f"of {counted(manifest.layers, 'layer')}, {manifest.without_heads}")
    if manifest.across:
        print(manifest.across)
    texts = extractor.prompts.given
    given = [len(texts[sample.sample_id]) for sample in chunk.samples] if texts else None
    for size in filter(None, (maker.size(len(chunk.samples), given) for maker in extractor.passes.makers)):
        print(size)
    if manifest.every >= (manifest.generate or 0) > 1:
        print(
            f"warning: `every` is {manifest.every}, of {manifest.generate} new tokens at most: only step 0 is kept",
            file=sys.stderr,
        )
    return RunWriter(
        settings.output_dir,
        manifest,
        session,
        samples=len(chunk.samples),
        chunk=index,
        samples_in_run=len(asked.questions.samples),
        weights=extractor.checkpoint.weights,
        settings=asked.model_settings,
        images=asked.images,
        overwrite=settings.overwrite,
        retry_skipped=settings.retry_skipped,
    )


def _write(extractor: "Extractor", questions: QuestionSet, writer: RunWriter) -> Done:
    """Run the samples that the run lacks."""
    for part in writer.damaged:
        print(f"warning: {part.name} lacks files or rows; its samples are run again", file=sys.stderr)
    there = sum(sample.sample_id in writer.done for sample in questions.samples)
    if there:
        print(f"{there} of {counted(len(questions.samples), 'sample is', 'samples are')} there already")
    with closing(writer):
        skipped, warned = extractor.run(questions, writer)
    observed = len(questions.samples) - there - skipped.total()
    rows = observed * writer.run.rows_per_sample
    return Done(there, observed, skipped, rows, warned=warned)
