"""`python -m extract`: run a vision-language model over a question file and write a run."""

import argparse
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from extract.backends import TRANSFORMERS, load_extractor, load_format, packages, prompt_builder
from extract.cli import RESUMABLE, parser
from extract.prompts.templates import CHAT, find_template
from extract.provenance import git_commit, versions
from extract.questions.question_set import QuestionSet, read_questions
from schemas.cli import run_command
from schemas.columns import REASONS
from schemas.errors import HeadflowError
from schemas.manifest import SEPARATE, Manifest
from schemas.store.directory import check_directory, holds_run
from schemas.store.identity import check_division, check_fingerprints, check_same
from schemas.store.run import Run, open_run
from schemas.store.writer import RunWriter

if TYPE_CHECKING:
    from extract.runner import Extractor


def find_questions(arguments: argparse.Namespace) -> QuestionSet:
    """The whole question file; raises `HeadflowError` if it or a name of a template is wrong."""
    if arguments.conv_mode not in (None, CHAT):
        find_template(arguments.conv_mode, arguments.model_path)
    with packages(arguments.backend):
        return read_questions(arguments.question_file, arguments.image_folder)


def show_prompts(arguments: argparse.Namespace, questions: QuestionSet) -> None:
    """Print prompts as the model would read them."""
    with packages(arguments.backend):
        from extract.show_prompt import prompt_lines
    prompt_format, preprocessor = load_format(arguments)
    prompts = prompt_builder(prompt_format, arguments)
    for sample in questions.samples:
        print(*prompt_lines(sample, questions, prompts, prompt_format, preprocessor), sep="\n")


def check_flags(arguments: argparse.Namespace) -> None:
    """Raise `HeadflowError` if flags contradict each other."""
    if arguments.chunk_idx >= arguments.num_chunks:
        raise HeadflowError(f"--chunk-idx {arguments.chunk_idx} is not one of {arguments.num_chunks} chunks, from 0")
    if arguments.overwrite and arguments.num_chunks > 1:
        raise HeadflowError("--overwrite would remove what other chunks have written: remove the directory yourself")


def known_fields(arguments: argparse.Namespace, questions: QuestionSet) -> dict[str, Any]:
    """The fields of the manifest that are known before the checkpoint is read."""
    known = {
        "num_chunks": arguments.num_chunks,
        "model": arguments.model_path,
        "question_file_sha256": questions.sha256,
        "prompt_suffix": arguments.prompt_suffix,
        "system_span": arguments.system_span,
    }
    if arguments.dtype != "auto":
        known["dtype"] = arguments.dtype
    if arguments.sequences == SEPARATE:
        known["sequences"] = SEPARATE
    return known


def find_run(arguments: argparse.Namespace, questions: QuestionSet, images: dict[str, str]) -> Run | None:
    """The run to resume; None: a new one is begun.

    Raises:
        HeadflowError: another run is in the directory, as far as that can be seen without loading weights.
    """
    path = arguments.output_dir
    if arguments.overwrite or not holds_run(path):
        return None
    found = open_run(path)
    check_same(found.manifest, known_fields(arguments, questions), path)
    check_division(found, len(questions.samples))
    check_fingerprints(found, None, images)
    if not was_asked(found, arguments) and arguments.backend == TRANSFORMERS:
        prompt_format, preprocessor = load_format(arguments)
        template = prompt_format.find_template(arguments.conv_mode, arguments.model_path)
        fields = {"conv_mode": template.name, "image_preprocessing": preprocessor.describe()}
        check_same(found.manifest, fields, path)
    return found


def was_asked(run: Run, arguments: argparse.Namespace) -> bool:
    """Whether a session of the run had the same flags, except those that may differ in a resume."""
    settings = {name: value for name, value in recorded(arguments).items() if name not in RESUMABLE}
    sessions = [session for ledger in run.ledgers.values() for session in ledger.sessions]
    return any(settings.items() <= session.arguments.items() for session in sessions)


def recorded(arguments: argparse.Namespace) -> dict[str, Any]:
    """The flags as they are recorded in a session."""
    return {name: str(value) if isinstance(value, Path) else value for name, value in vars(arguments).items()}


def stays_complete(run: Run, arguments: argparse.Namespace, asked: int) -> bool:
    """Whether nothing is left to do: the chunk is complete, has all samples, and had the same flags."""
    ledger = run.ledgers.get(arguments.chunk_idx)
    complete = ledger is not None and ledger.complete and ledger.samples >= asked
    return complete and not arguments.retry_skipped and was_asked(run, arguments)


def run(arguments: argparse.Namespace) -> int:
    """Check the flags and the files, then print prompts or write a run."""
    check_flags(arguments)
    questions = find_questions(arguments)
    if arguments.show_prompt:
        show_prompts(arguments, questions.first(arguments.show_prompt))
        return 0
    questions.check_images()
    with packages(arguments.backend):
        from extract.images.fingerprint import fingerprint_images
    images = fingerprint_images(questions)  # of all chunks, so that each is compared with those before
    questions = questions.first(arguments.num_samples)
    chunk = questions.chunk(arguments.num_chunks, arguments.chunk_idx)
    found = find_run(arguments, questions, images)
    if found is not None and stays_complete(found, arguments, len(chunk.samples)):
        print(f"{len(chunk.samples)} of {len(chunk.samples)} samples are there already, the run stays as it is")
        return 0
    check_directory(arguments.output_dir)
    ledger = found.ledgers.get(arguments.chunk_idx) if found is not None else None
    extractor = load_extractor(arguments, chunk, ledger.sessions[-1] if ledger and ledger.sessions else None)
    writer = open_writer(arguments, extractor, questions, images, samples=len(chunk.samples))
    write(extractor, chunk, writer)
    return 0


def open_writer(
    arguments: argparse.Namespace,
    extractor: "Extractor",
    questions: QuestionSet,
    images: dict[str, str],
    *,
    samples: int,
) -> RunWriter:
    """Begin or resume the run, and print what the model is.

    Args:
        questions: of all chunks; `samples`: how many the chunk has.

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
    session = replace(extractor.session(), git_commit=git_commit(), versions=versions(), arguments=recorded(arguments))
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
        images=images,
        overwrite=arguments.overwrite,
        retry_skipped=arguments.retry_skipped,
    )


def write(extractor: "Extractor", questions: QuestionSet, writer: RunWriter) -> None:
    """Run the samples that the run lacks, and say what was done."""
    there = sum(sample.sample_id in writer.done for sample in questions.samples)
    if there:
        print(f"{there} of {len(questions.samples)} samples are there already")
    with closing(writer):
        skipped = extractor.run(questions, writer)
    observed = len(questions.samples) - there - skipped.total()
    rows = observed * writer.run.manifest.layers * writer.run.manifest.heads
    print(f"{observed} samples observed, {rows} rows in {writer.path}")
    for reason, count in skipped.most_common():
        print(f"{count} skipped: {reason} ({REASONS[reason]}); see the table `samples`")


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and run; returns the exit code."""
    return run_command(lambda: run(parser().parse_args(argv)))


if __name__ == "__main__":
    sys.exit(main())
