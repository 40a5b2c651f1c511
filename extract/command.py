"""`extract`: a model over a question file; prompts are printed, or a run is written."""

import sys

from extract.backends import find_prompts, find_wordings, in_wordings, load_format, packages
from extract.checks import boxes_outside, count_contradictions, cut_texts, not_answered_of, without_answer
from extract.chunks.asked import Asked, find_questions, say_notes
from extract.chunks.chunk import Done, run_chunk
from extract.settings import Extract
from schemas.columns import REASONS
from schemas.store.directory import refuse_other_files
from schemas.store.run import open_run
from schemas.tasks import TASKS
from schemas.text import counted, short


def extract(settings: Extract) -> int:
    """Print prompts or write a run; returns the exit code."""
    if settings.show_prompt:
        show_prompts(settings, settings.show_prompt)
        return 0
    refuse_other_files(settings.output_dir)
    if settings.ray is None:
        asked = Asked.read(settings)
        say_notes(asked.whole)
        done = run_chunk(asked, settings.chunk_idx)
    else:
        from extract.chunks.pool import run_on_cluster

        done = run_on_cluster(settings, settings.ray)
    say_done(done, settings)
    return 0


def show_prompts(settings: Extract, number: int) -> None:
    """Print prompts as the model would read them."""
    asked = find_questions(settings)
    wordings = find_wordings(settings, asked.task)
    questions = in_wordings(asked, wordings).first(number)
    say_notes(questions)
    with packages(settings.backend):
        from extract.prompts.show_prompt import prompt_lines
    prompt_format, preprocessor = load_format(settings)
    prompts = find_prompts(prompt_format, wordings, settings)
    for sample in questions.samples:
        print(*prompt_lines(sample, questions, prompts, prompt_format, preprocessor), sep="\n")


def say_done(done: Done, settings: Extract) -> None:
    """Say what was done, and warn if the first token is no answer, or not one of the two that `margin` compares."""
    if done.unchanged:
        print(
            f"{done.there} of {counted(done.there, 'sample is', 'samples are')} there already, the run stays as it is"
        )
        return
    print(f"{counted(done.observed, 'sample')} observed, {done.rows:,} rows in {settings.output_dir}")
    for reason, count in done.skipped.most_common():
        print(f"{count} skipped: {reason} ({REASONS[reason]}); see the table `samples`")
    written = open_run(settings.output_dir)
    contradictions, answered = count_contradictions(written)
    if contradictions * 100 > answered:
        first, second = written.manifest.answer_tokens
        spelled = " and ".join(f"`{name}`" for name in TASKS[written.manifest.task].spelled)
        print(
            f"warning: `margin` ({short(first)} against {short(second)}) contradicts {spelled}, which count "
            f"every spelling, in {contradictions} of {counted(answered, 'sample')}; name the answers that the model "
            "gives with --answer-tokens",
            file=sys.stderr,
        )
    checks = (without_answer, cut_texts, boxes_outside, *([] if done.warned else [not_answered_of]))
    for warning in filter(None, (check(written) for check in checks)):
        print(f"warning: {warning}", file=sys.stderr)
