"""`python -m extract`: run a vision-language model over a question file and write a run."""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from extract.config import PACKAGE, TRANSFORMERS, parser
from extract.prompts.prompt import PromptBuilder
from extract.prompts.templates import CHAT, find_template
from extract.provenance import git_commit, versions
from extract.questions.question_set import QuestionSet, read_questions
from extract.questions.samples import Unusable
from schemas.cli import run_command
from schemas.columns import REASONS
from schemas.errors import HeadflowError
from schemas.manifest import PACKED, Manifest
from schemas.store.directory import check_directory, holds_run
from schemas.store.identity import check_same
from schemas.store.run import Run, open_run
from schemas.store.writer import RunWriter

if TYPE_CHECKING:
    from extract.images.preprocessing import ImageSettings
    from extract.models.checkpoint import Checkpoint
    from extract.prompts.format import PromptFormat
    from extract.runner import Extractor


@contextmanager
def _packages(backend: str) -> Iterator[None]:
    """Imports of what a backend needs; raises `HeadflowError` where one is not installed."""
    remedy = "make setup-llava" if backend == PACKAGE else "pip install -e '.[extract]'"
    try:
        yield
    except ModuleNotFoundError as error:
        raise HeadflowError(f"{error.name} is not installed: {remedy}") from error


def _load(arguments: argparse.Namespace) -> "Checkpoint":
    """The model, by the backend that the flags name."""
    with _packages(arguments.backend):
        from transformers.utils import logging

        from extract.models.checkpoint import choose_device

        load: Callable[..., Checkpoint]
        if arguments.backend == PACKAGE:
            from extract.models.llava.package import load_package as load
        else:
            from extract.models.loading import load_model as load
    logging.set_verbosity_error()  # what it would warn of, such as missing weights, is checked here
    logging.disable_progress_bar()
    device = choose_device(arguments.device)
    images = _image_settings(arguments)
    return load(arguments.model_path, arguments.model_base, device=device, dtype=arguments.dtype, images=images)


def _image_settings(arguments: argparse.Namespace) -> "ImageSettings":
    """How images are preprocessed, as the flags say."""
    from extract.images.preprocessing import ImageSettings

    return ImageSettings(arguments.image_aspect_ratio, arguments.min_pixels, arguments.max_pixels)


def _prompts(prompt_format: "PromptFormat", arguments: argparse.Namespace) -> PromptBuilder:
    """What builds prompts, as the flags say."""
    template = prompt_format.find_template(arguments.conv_mode, arguments.model_path)
    return prompt_format.prompt_builder(template, suffix=arguments.prompt_suffix, system_span=arguments.system_span)


def load_extractor(arguments: argparse.Namespace, questions: QuestionSet) -> "Extractor":
    """Load the model and set up what turns samples into rows.

    Raises:
        HeadflowError: the model cannot be loaded, or the packages of this stage are not installed.
    """
    with _packages(arguments.backend):
        from extract.batch_size import choose_batch_size
        from extract.forward import Passes
        from extract.models.answers import AnswerReader
        from extract.models.self_check import check_model
        from extract.runner import Extractor

    checkpoint = _load(arguments)
    prompts = _prompts(checkpoint.prompt_format, arguments)
    check_model(checkpoint, prompts)
    passes = Passes(checkpoint, AnswerReader.of(checkpoint.prompt_format.tokenizer))
    packed = arguments.sequences == PACKED and checkpoint.packs
    groups = questions.by_image() if packed else [[sample] for sample in questions.samples]
    return Extractor(
        checkpoint,
        prompts,
        passes,
        packed=packed,
        batch_size=1 if checkpoint.single else arguments.batch_size or choose_batch_size(passes, prompts, groups),
        workers=arguments.num_workers,
    )


def find_questions(arguments: argparse.Namespace) -> QuestionSet:
    """The whole question file, once the flags about prompts are found to be right.

    Raises:
        HeadflowError: naming the flag or the file.
    """
    if arguments.conv_mode not in (None, CHAT):
        find_template(arguments.conv_mode, arguments.model_path)
    with _packages(arguments.backend):
        return read_questions(arguments.question_file, arguments.image_folder)


def show_prompts(arguments: argparse.Namespace, questions: QuestionSet) -> None:
    """Print prompts as the model would read them.

    Raises:
        HeadflowError: the checkpoint or the questions cannot be read, or packages of this stage are not installed.
    """
    with _packages(arguments.backend):
        from extract.show_prompt import image_ids, strip

        if arguments.backend == TRANSFORMERS:
            from extract.models.loading import load_prompt_format
    if arguments.backend == TRANSFORMERS:
        prompt_format, reader = load_prompt_format(
            arguments.model_path, arguments.model_base, _image_settings(arguments)
        )
    else:
        checkpoint = _load(arguments)
        prompt_format, reader = checkpoint.prompt_format, checkpoint.preprocessor
    prompts = _prompts(prompt_format, arguments)
    for sample in questions.samples:
        try:
            ids, note = image_ids(prompt_format, reader, questions, sample)
            lines = list(strip(prompts.build(sample.question, ids), prompt_format.tokenizer))
        except Unusable as error:
            note, lines = "", [f"skipped: {error.reason} ({error.detail})"]
        print(f"{sample.sample_id} ({sample.category}), template {prompts.template.name}{note}", *lines, sep="\n")


def check_output(arguments: argparse.Namespace, asked: dict[str, Any]) -> Run | None:
    """The run that is to go on, if there is one.

    Args:
        asked: what is known of the run before a model is loaded, by field of its manifest.

    Raises:
        HeadflowError: nothing can be written there, or another run lies there.
    """
    if arguments.chunk_idx >= arguments.num_chunks:
        raise HeadflowError(f"--chunk-idx {arguments.chunk_idx} is not one of {arguments.num_chunks} chunks, from 0")
    if arguments.overwrite and arguments.num_chunks > 1:
        raise HeadflowError("--overwrite would remove what other chunks have written: remove the directory yourself")
    check_directory(arguments.output_dir)
    if arguments.overwrite or not holds_run(arguments.output_dir):
        return None
    found = open_run(arguments.output_dir)
    check_same(found.manifest, asked, arguments.output_dir)
    return found


def run(arguments: argparse.Namespace) -> int:
    """Check, load, extract, and say what was done."""
    questions = find_questions(arguments)
    if arguments.show_prompt:
        show_prompts(arguments, questions.first(arguments.show_prompt))
        return 0
    questions.check_images()
    questions = questions.first(arguments.num_samples)
    asked = {
        "num_chunks": arguments.num_chunks,
        "model": arguments.model_path,
        "question_file_sha256": questions.sha256,
    }
    given = {name: str(value) if isinstance(value, Path) else value for name, value in vars(arguments).items()}
    found = check_output(arguments, asked)
    if found is not None and arguments.batch_size is None and arguments.chunk_idx in found.ledgers:
        # Numbers depend on it in their last digits
        arguments.batch_size = found.ledgers[arguments.chunk_idx].sessions[-1].batch_size
    chunk = questions.chunk(arguments.num_chunks, arguments.chunk_idx)
    extractor = load_extractor(arguments, chunk)
    manifest = Manifest(
        **extractor.describe(),
        **asked,
        question_file=questions.name,
    )
    session = replace(extractor.session(), git_commit=git_commit(), versions=versions(), arguments=given)
    number = len(extractor.checkpoint.prompt_format.image_ids)
    image_tokens = f"{number} image tokens" if number else "image tokens by the size of the image"
    print(
        f"{arguments.model_path}: {manifest.layers} layers x {manifest.heads} heads, "
        f"{image_tokens}, {manifest.dtype} on {session.device}"
    )
    writer = RunWriter(
        arguments.output_dir,
        manifest,
        session,
        samples=len(chunk.samples),
        samples_in_run=len(questions.samples),
        chunk=arguments.chunk_idx,
        weights=extractor.checkpoint.weights,
        overwrite=arguments.overwrite,
        retry_skipped=arguments.retry_skipped,
    )
    if writer.done:
        print(f"{len(writer.done)} of {len(chunk.samples)} samples are there already")
    with closing(writer):
        skipped = extractor.run(chunk, writer)
    observed = len(chunk.samples) - len(writer.done) - skipped.total()
    print(f"{observed} samples observed, {observed * manifest.layers * manifest.heads} rows in {arguments.output_dir}")
    for reason, count in skipped.most_common():
        print(f"{count} skipped: {reason} ({REASONS[reason]}); see the table `samples`")
    return 0


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and run; returns the exit code."""
    flags = parser()
    arguments = flags.parse_args(argv)
    if arguments.output_dir is None and not arguments.show_prompt:
        flags.error("the following arguments are required: --output-dir")
    return run_command(lambda: run(arguments))


if __name__ == "__main__":
    sys.exit(main())
