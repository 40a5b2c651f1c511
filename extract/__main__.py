"""`python -m extract`: run a vision-language model over a question file and write a run."""

from schemas.cli import leave_at_interrupt, naming, run_command

if __name__ == "__main__":
    leave_at_interrupt()

import argparse
import sys

from extract.backends import find_prompts, find_wordings, in_wordings, load_format, packages
from extract.checks import count_contradictions, not_answered_of
from extract.chunks.asked import Asked, find_questions, say_notes
from extract.chunks.chunk import Done, run_chunk
from extract.cli import parser
from extract.knockouts.cli import NAME as KNOCK_OUT
from extract.look.cli import NAME as LOOK
from schemas.columns import REASONS
from schemas.errors import HeadflowError
from schemas.store.directory import refuse_other_files
from schemas.store.run import open_run
from schemas.text import counted, short


def show_prompts(arguments: argparse.Namespace) -> None:
    """Print prompts as the model would read them."""
    wordings = find_wordings(arguments)
    questions = in_wordings(find_questions(arguments), wordings).first(arguments.show_prompt)
    say_notes(questions)
    with packages(arguments.backend):
        from extract.show_prompt import prompt_lines
    prompt_format, preprocessor = load_format(arguments)
    prompts = find_prompts(prompt_format, wordings, arguments)
    for sample in questions.samples:
        print(*prompt_lines(sample, questions, prompts, prompt_format, preprocessor), sep="\n")


def check_flags(arguments: argparse.Namespace) -> None:
    """Raise `HeadflowError` if flags contradict each other."""
    if arguments.chunk_idx >= arguments.num_chunks:
        raise HeadflowError(
            f"--chunk-idx {arguments.chunk_idx} is not one of {counted(arguments.num_chunks, 'chunk')}, from 0"
        )
    if arguments.overwrite and arguments.num_chunks > 1 and arguments.ray is None:
        raise HeadflowError("--overwrite would remove what other chunks have written: remove the directory yourself")
    if arguments.ray is not None and arguments.chunk_idx:
        raise HeadflowError("--ray runs all chunks: leave out --chunk-idx")
    if arguments.ray is None and arguments.gpus > 1:
        raise HeadflowError("--gpus needs --ray; without it, run each chunk with --num-chunks and --chunk-idx")
    for flag, given in (("--maps-of", arguments.maps_of), ("--maps-heads", arguments.maps_heads)):
        if given is not None and not arguments.maps:
            raise HeadflowError(f"{flag} needs --maps")


def run(arguments: argparse.Namespace) -> int:
    """Check the flags and the files, then print prompts or write a run."""
    check_flags(arguments)
    if arguments.show_prompt:
        show_prompts(arguments)
        return 0
    refuse_other_files(arguments.output_dir)
    if arguments.ray is None:
        asked = Asked.read(arguments)
        say_notes(asked.whole)
        done = run_chunk(asked, arguments.chunk_idx)
    else:
        from extract.chunks.pool import run_on_cluster

        done = run_on_cluster(arguments)
    say_done(done, arguments)
    return 0


def named(arguments: argparse.Namespace) -> int:
    """Run, and let errors name flags."""
    with naming(vars(arguments)):
        return run(arguments)


def say_done(done: Done, arguments: argparse.Namespace) -> None:
    """Say what was done, and warn if the first token is no answer, or not one of the two that `margin` compares."""
    if done.unchanged:
        print(
            f"{done.there} of {counted(done.there, 'sample is', 'samples are')} there already, the run stays as it is"
        )
        return
    print(f"{counted(done.observed, 'sample')} observed, {done.rows:,} rows in {arguments.output_dir}")
    for reason, count in done.skipped.most_common():
        print(f"{count} skipped: {reason} ({REASONS[reason]}); see the table `samples`")
    written = open_run(arguments.output_dir)
    contradictions, answered = count_contradictions(written)
    if contradictions * 100 > answered:
        yes, no = written.manifest.answer_tokens
        print(
            f"warning: `margin` ({short(yes)} against {short(no)}) contradicts `p_yes` and `p_no`, which count every "
            f"spelling, in {contradictions} of {counted(answered, 'sample')}; name the answers that the model gives "
            "with --answer-tokens",
            file=sys.stderr,
        )
    if warning := not_answered_of(written):
        print(f"warning: {warning}", file=sys.stderr)


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and run; returns the exit code."""
    given = sys.argv[1:] if argv is None else argv
    if given[:1] == [KNOCK_OUT]:
        from extract.knockouts.command import knock_out

        return run_command(lambda: knock_out(given[1:]))
    if given[:1] == [LOOK]:
        from extract.look.command import look

        return run_command(lambda: look(given[1:], run))
    return run_command(lambda: named(parser().parse_args(given)))


if __name__ == "__main__":
    sys.exit(main())
