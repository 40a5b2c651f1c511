"""`validate`, `subset`, `merge`: what is done with runs as they are."""

import argparse

from analyze.opening import opened, workers_of
from schemas.cli import say
from schemas.text import counted
from schemas.validation.run import validate


def validate_run(arguments: argparse.Namespace) -> int:
    """`validate`: one line for each thing that is wrong."""
    wrong = 0
    with workers_of(arguments) as workers:
        for line in validate(arguments.run, workers):
            say(line)
            wrong += 1
    found = counted(wrong, "problem") if wrong else "valid"
    say(f"{arguments.run}: {found}")
    return 1 if wrong else 0


def subset_run(arguments: argparse.Namespace) -> int:
    """`subset`: some samples of a run."""
    from analyze.derived.subset import subset

    heads = opened(arguments.run, arguments.prompt, mixed=arguments.prompt is None)
    conditions = {name: getattr(arguments, name) for name in ("categories", "query", "heads_query")}
    run = subset(heads, arguments.output, **conditions, overwrite=arguments.overwrite)
    say(f"{run.samples_asked} of {counted(len(heads.samples), 'sample')} in {arguments.output}")
    return 0


def merge_runs(arguments: argparse.Namespace) -> int:
    """`merge`: the samples of several runs."""
    from analyze.derived.merge import merge, warnings
    from analyze.tables.frames import open_heads

    runs = [open_heads(path, mixed=True)[0] for path in arguments.runs]
    for warning in warnings(runs):
        say(f"warning: {warning}", error=True)
    run = merge(runs, arguments.output, overwrite=arguments.overwrite)
    say(f"{counted(run.samples_asked or 0, 'sample')} of {counted(len(runs), 'run')} in {arguments.output}")
    return 0
