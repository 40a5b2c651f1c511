"""`summary`: tables as CSV, and the same on the terminal."""

import argparse

import pandas as pd

from analyze.opening import opened, output_folder, workers_of
from analyze.printing.terminal import as_text
from analyze.tables.frames import ANSWERS, IMAGES, TOKENS, check_flows
from analyze.tables.output import write_csv
from schemas.cli import say
from schemas.store.directory import record_outputs
from schemas.text import counted


def summarise_run(arguments: argparse.Namespace) -> int:
    """`summary`: tables as CSV, and the same on the terminal."""
    from analyze.scores.intervals import score_intervals
    from analyze.scores.mme import mme_scores, total_scores
    from analyze.summary import GROUPS, summarise

    with workers_of(arguments) as workers:
        heads = opened(arguments.run, arguments.prompt, columns=[*TOKENS, *IMAGES, *ANSWERS], workers=workers)
        flows = check_flows(arguments.metrics, heads.run.manifest)
        scope = heads.scope(arguments.text_scope)
        folder = output_folder(arguments.output_dir, heads)
        table = summarise(heads, flows, scope, workers)
    scores = mme_scores(heads.samples)
    tables = {"summary.csv": table.assign(text_scope=scope.name)}
    if not scores.empty:
        both = pd.concat([scores, total_scores(scores)])
        tables["scores.csv"] = score_intervals(both, heads.samples, seed=arguments.seed)
    unwritten = write_csv(tables, folder)  # first: whoever reads what is printed may stop reading
    manifest = heads.run.manifest
    statuses = heads.samples["status"].value_counts()
    say(f"{manifest.model or manifest.question_file}: {', '.join(f'{n} {name}' for name, n in statuses.items())}")
    if scope.note:
        say(scope.note)
    print("means with 95% intervals, whose unit is the image")
    for group in GROUPS:
        print(f"\nby {group}" if group != GROUPS[0] else "")
        print(as_text(_behind("mean", table[table["group"] == group].drop(columns=["group", "q25", "q75"])), 4))
    print()
    if scores.empty:
        asked = counted(int(heads.observed.sum()), "observed question")
        say(f"MME score: none, as of {asked} none has a right answer that is yes or no")
    else:
        _print_scores(tables["scores.csv"], scores, heads.samples, arguments.seed)
    if unwritten:
        raise unwritten
    record_outputs(heads.run.path, [folder / name for name in tables])
    print()
    say(f"written: {', '.join(str(folder / name) for name in tables)}")
    return 0


def _print_scores(table: pd.DataFrame, scores: pd.DataFrame, samples: pd.DataFrame, seed: int) -> None:
    """The table of scores, on how many questions it rests, and which do not count."""
    from analyze.scores.mme import read_each
    from schemas.text import read_answer

    rests = f"{scores['questions'].sum():,} of {counted(len(samples), 'question')}"
    say(f"MME score by category, on {rests}; 95% intervals, images resampled with seed {seed}")
    print(as_text(_behind("score", table), 2))
    if left_out := int(scores["left_out"].sum()):
        say(f"partial: {counted(left_out, 'question')} left out of the scores: skipped, or one of a pair is missing")
    if other := len(samples) - int(read_each(samples["answer"], read_answer).notna().sum()):
        say(f"not scored: {counted(other, 'question')} with a right answer that is neither yes nor no")
    if unread := int(scores["unread"].sum()):
        say(f"neither yes nor no: {counted(unread, 'answer')}, counted as wrong")


def _behind(value: str, table: pd.DataFrame) -> pd.DataFrame:
    """The table with the bounds of a value behind it."""
    names = [name for name in table if name not in ("low", "high")]
    place = names.index(value) + 1
    return table[[*names[:place], "low", "high", *names[place:]]]
