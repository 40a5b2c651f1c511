"""`python -m extract`: run a vision-language model over a question file and write a run."""

from schemas.cli import leave_at_interrupt, run_command

if __name__ == "__main__":
    leave_at_interrupt()

import argparse
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from extract.backends import (
    DISTRIBUTIONS,
    TRANSFORMERS,
    asked_maps,
    asked_tables,
    find_prompts,
    find_removed,
    find_wordings,
    in_wordings,
    load_extractor,
    load_format,
    packages,
)
from extract.checks import count_contradictions
from extract.cli import RESUMABLE, parser
from extract.knockouts.cli import NAME as KNOCK_OUT
from extract.look.cli import NAME as LOOK
from extract.prompts.templates import CHAT, find_template
from extract.prompts.wordings import Wording
from extract.prompts.wordings import manifest_fields as wording_fields
from extract.provenance import git_commit, recorded, versions
from extract.questions.question_set import QuestionSet, read_questions
from schemas.columns import REASONS
from schemas.errors import HeadflowError
from schemas.manifest import SEPARATE, SWAP, Manifest
from schemas.store.directory import holds_run, new_directory, refuse_foreign_run, refuse_inside_run
from schemas.store.identity import check_division, check_fingerprints, check_model, check_same
from schemas.store.parts import damaged_parts
from schemas.store.run import Run, open_run
from schemas.store.thumbnails import without_thumbnail
from schemas.store.writer import RunWriter
from schemas.text import counted, short

if TYPE_CHECKING:
    from extract.runner import Extractor


def find_questions(arguments: argparse.Namespace) -> QuestionSet:
    """The whole question file; raises `HeadflowError` if it or a name of a template is wrong."""
    if arguments.conv_mode not in (None, CHAT):
        find_template(arguments.conv_mode, arguments.model_path)
    with packages(arguments.backend):
        return read_questions(arguments.question_file, arguments.image_folder)


def show_prompts(arguments: argparse.Namespace, questions: QuestionSet, wordings: Sequence[Wording]) -> None:
    """Print prompts as the model would read them."""
    with packages(arguments.backend):
        from extract.show_prompt import prompt_lines
    prompt_format, preprocessor = load_format(arguments)
    prompts = find_prompts(prompt_format, wordings, arguments)
    for sample in questions.samples:
        print(*prompt_lines(sample, questions, prompts, prompt_format, preprocessor), sep="\n")


def check_flags(arguments: argparse.Namespace) -> None:
    """Raise `HeadflowError` if flags contradict each other."""
    if arguments.chunk_idx >= arguments.num_chunks:
        raise HeadflowError(f"--chunk-idx {arguments.chunk_idx} is not one of {arguments.num_chunks} chunks, from 0")
    if arguments.overwrite and arguments.num_chunks > 1:
        raise HeadflowError("--overwrite would remove what other chunks have written: remove the directory yourself")
    for flag, given in (("--maps-of", arguments.maps_of), ("--maps-heads", arguments.maps_heads)):
        if given is not None and not arguments.maps:
            raise HeadflowError(f"{flag} needs --maps")


def known_fields(arguments: argparse.Namespace, questions: QuestionSet, wordings: Sequence[Wording]) -> dict[str, Any]:
    """The fields of the manifest that are known before the checkpoint is read."""
    known = {
        "num_chunks": arguments.num_chunks,
        **({"revision": None} if Path(arguments.model_path).is_dir() else {}),
        "model": arguments.model_path,
        "tables": asked_tables(arguments),
        **asked_maps(arguments),
        "removed": find_removed(arguments).to_object(),
        "question_file_sha256": questions.sha256,
        **wording_fields(wordings),
        "system_span": arguments.system_span,
        "images": arguments.images,
    }
    if arguments.dtype != "auto":
        known["dtype"] = arguments.dtype
    if arguments.sequences == SEPARATE:
        known["sequences"] = SEPARATE
    return known


def find_run(
    arguments: argparse.Namespace,
    questions: QuestionSet,
    wordings: Sequence[Wording],
    settings: str | None,
    images: dict[str, str],
) -> Run | None:
    """The run to resume; None: a new one is begun.

    Args:
        settings: fingerprint of the model's settings and tokenizer; `images`: fingerprints of images by name.

    Raises:
        HeadflowError: another run is in the directory, as far as that can be seen without loading weights.
    """
    path = arguments.output_dir
    refuse_foreign_run(path)
    refuse_inside_run(path)
    if arguments.overwrite or not holds_run(path):
        return None
    try:
        found = open_run(path)
    except HeadflowError as error:
        raise HeadflowError(f"{error}; put the file back, or overwrite the run", setting="overwrite") from None
    check_same(found.manifest, known_fields(arguments, questions, wordings), path)
    check_division(found, len(questions.samples))
    check_model(found, arguments.model_path, None, settings)
    check_fingerprints(found, None, settings, images)
    if not was_asked(found, arguments) and arguments.backend == TRANSFORMERS:
        prompt_format, preprocessor = load_format(arguments)
        prompts = find_prompts(prompt_format, wordings, arguments)
        fields = prompts.manifest_fields() | {"image_preprocessing": preprocessor.describe()}
        fields |= prompt_format.answer_tokens(prompts, arguments.answer_tokens).manifest_fields()
        check_same(found.manifest, fields, path)
    return found


def was_asked(run: Run, arguments: argparse.Namespace) -> bool:
    """Whether a session of the run had the same flags, except those that may differ in a resume."""
    settings = {name: value for name, value in recorded(arguments).items() if name not in RESUMABLE}
    sessions = [session for ledger in run.ledgers.values() for session in ledger.sessions]
    return any(settings.items() <= session.arguments.items() for session in sessions)


def warn_of_thumbnails(run: Run | None, arguments: argparse.Namespace) -> None:
    """Warn if a run to resume has samples whose thumbnails are asked for now, and were not before."""
    if run is not None and arguments.thumbnails and (missing := without_thumbnail(run)):
        print(
            f"warning: {run.path} has no thumbnails of {missing} images that were observed without them, and gets "
            "none; --overwrite makes the run anew",
            file=sys.stderr,
        )


def stays_complete(run: Run, arguments: argparse.Namespace, asked: int) -> bool:
    """Whether nothing is left to do: the chunk is complete, has all samples, and had the same flags."""
    ledger = run.ledgers.get(arguments.chunk_idx)
    complete = ledger is not None and ledger.complete and ledger.samples >= asked
    complete = complete and not damaged_parts(run, arguments.chunk_idx)
    return complete and not arguments.retry_skipped and was_asked(run, arguments)


def run(arguments: argparse.Namespace) -> int:
    """Check the flags and the files, then print prompts or write a run."""
    check_flags(arguments)
    wordings = find_wordings(arguments)
    questions = find_questions(arguments)
    if arguments.show_prompt:
        show_prompts(arguments, in_wordings(questions, wordings).first(arguments.show_prompt), wordings)
        return 0
    questions.check_images()
    with packages(arguments.backend):
        from extract.checks import check_images
        from extract.images.counterfactual.swapping import swap_images
        from extract.images.fingerprint import fingerprint_images
        from extract.models.fingerprint import fingerprint_settings
    images = fingerprint_images(questions)  # of all chunks, so that each is compared with those before
    settings = fingerprint_settings(arguments.model_path, arguments.model_base)
    whole = questions
    questions = in_wordings(questions.first(arguments.num_samples), wordings)
    chunk = questions.chunk(arguments.num_chunks, arguments.chunk_idx)
    found = find_run(arguments, questions, wordings, settings, images)
    warn_of_thumbnails(found, arguments)
    if found is not None and stays_complete(found, arguments, len(chunk.samples)):
        print(f"{len(chunk.samples)} of {len(chunk.samples)} samples are there already, the run stays as it is")
        return 0
    check_images(questions, chunk)
    if arguments.images == SWAP:
        chunk = swap_images(chunk, whole)
    ledger = found.ledgers.get(arguments.chunk_idx) if found is not None else None
    before = ledger.sessions[-1] if ledger and ledger.sessions else None
    with new_directory(arguments.output_dir):
        extractor = load_extractor(arguments, chunk, wordings, before)
        writer = open_writer(arguments, extractor, questions, settings, images, samples=len(chunk.samples))
    write(extractor, chunk, writer)
    return 0


def open_writer(
    arguments: argparse.Namespace,
    extractor: "Extractor",
    questions: QuestionSet,
    settings: str | None,
    images: dict[str, str],
    *,
    samples: int,
) -> RunWriter:
    """Begin or resume the run, and print what the model is.

    Args:
        questions: of all chunks; `samples`: how many the chunk has.
        settings: as of `find_run`; `images` likewise.

    Raises:
        HeadflowError: another run is in the directory, or another process writes it.
    """
    manifest = Manifest(
        **extractor.describe(),
        num_chunks=arguments.num_chunks,
        model=arguments.model_path,
        question_file=questions.name,
        question_file_sha256=questions.sha256,
    )
    used = versions(*DISTRIBUTIONS[arguments.backend])
    session = replace(extractor.session(), git_commit=git_commit(), versions=used, arguments=recorded(arguments))
    number = len(extractor.checkpoint.prompt_format.image_ids)
    image_tokens = f"{number} image tokens" if number else "image tokens by the size of the image"
    print(
        f"{arguments.model_path}: {manifest.layers} layers x {manifest.heads} heads, "
        f"{image_tokens}, {manifest.dtype} on {session.device}"
    )
    return RunWriter(
        arguments.output_dir,
        manifest,
        session,
        samples=samples,
        chunk=arguments.chunk_idx,
        samples_in_run=len(questions.samples),
        weights=extractor.checkpoint.weights,
        settings=settings,
        images=images,
        overwrite=arguments.overwrite,
        retry_skipped=arguments.retry_skipped,
    )


def write(extractor: "Extractor", questions: QuestionSet, writer: RunWriter) -> None:
    """Run the samples that the run lacks, and say what was done."""
    for part in writer.damaged:
        print(f"warning: {part.name} lacks files or rows; its samples are run again", file=sys.stderr)
    there = sum(sample.sample_id in writer.done for sample in questions.samples)
    if there:
        print(f"{there} of {len(questions.samples)} samples are there already")
    with closing(writer):
        skipped = extractor.run(questions, writer)
    observed = len(questions.samples) - there - skipped.total()
    rows = observed * writer.run.manifest.layers * writer.run.manifest.heads
    print(f"{counted(observed, 'sample')} observed, {rows:,} rows in {writer.path}")
    for reason, count in skipped.most_common():
        print(f"{count} skipped: {reason} ({REASONS[reason]}); see the table `samples`")
    contradictions, answered = count_contradictions(open_run(writer.path))
    if contradictions * 100 > answered:
        yes, no = writer.run.manifest.answer_tokens
        print(
            f"warning: `margin` ({short(yes)} against {short(no)}) contradicts `p_yes` and `p_no`, which count every "
            f"spelling, in {contradictions} of {answered} samples; name the answers that the model gives with "
            "--answer-tokens",
            file=sys.stderr,
        )


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and run; returns the exit code."""
    given = sys.argv[1:] if argv is None else argv
    if given[:1] == [KNOCK_OUT]:
        from extract.knockouts.command import knock_out

        return run_command(lambda: knock_out(given[1:]))
    if given[:1] == [LOOK]:
        from extract.look.command import look

        return run_command(lambda: look(given[1:], run))
    return run_command(lambda: run(parser().parse_args(given)))


if __name__ == "__main__":
    sys.exit(main())
