"""`validate`, `subset`, `merge`, `export-pt`, `import-pt`: what is done with runs as they are."""

import argparse

from analyze.cli import RECORDS
from analyze.opening import make_folder, opened, output_folder
from analyze.tables.frames import open_heads
from schemas.cli import say
from schemas.validation.run import validate


def validate_run(arguments: argparse.Namespace) -> int:
    """`validate`: one line for each thing that is wrong."""
    wrong = 0
    for line in validate(arguments.run):
        say(line)
        wrong += 1
    found = f"{wrong} problem" + ("s" if wrong > 1 else "") if wrong else "valid"
    say(f"{arguments.run}: {found}")
    return 1 if wrong else 0


def subset_run(arguments: argparse.Namespace) -> int:
    """`subset`: some samples of a run."""
    from analyze.derived.subset import subset

    heads = opened(arguments.run, arguments.prompt, mixed=arguments.prompt is None)
    conditions = {name: getattr(arguments, name) for name in ("categories", "query", "heads_query")}
    run = subset(heads, arguments.output, **conditions, overwrite=arguments.overwrite)
    say(f"{run.samples_asked} of {len(heads.samples)} samples in {arguments.output}")
    return 0


def merge_runs(arguments: argparse.Namespace) -> int:
    """`merge`: the samples of several runs."""
    from analyze.derived.merge import merge, warnings

    runs = [open_heads(path, mixed=True)[0] for path in arguments.runs]
    for warning in warnings(runs):
        say(f"warning: {warning}", error=True)
    run = merge(runs, arguments.output, overwrite=arguments.overwrite)
    say(f"{run.samples_asked} samples of {len(runs)} runs in {arguments.output}")
    return 0


def export_pt(arguments: argparse.Namespace) -> int:
    """`export-pt`: the records of the earlier tool."""
    from analyze.legacy import EARLIER, export_records, export_scope

    heads = opened(arguments.run, arguments.prompt)
    scope = export_scope(heads, arguments.text_scope)
    folder = output_folder(arguments.output_dir, heads)
    make_folder(folder)
    number = export_records(heads, scope, folder / RECORDS)
    say(f"{number} records in {folder / RECORDS}, text scope {scope.name}")
    if scope.name != EARLIER:
        say(f"the earlier tool counted {EARLIER}: each record says that its text scope is {scope.name}")
    elif scope.converts and heads.run.manifest.system_span != "original":
        say("only a run that was extracted with --system-span original equals that tool's records to the last digit")
    return 0


def import_pt(arguments: argparse.Namespace) -> int:
    """`import-pt`: a run from such records."""
    from analyze.legacy import import_records

    run = import_records(arguments.file, arguments.run, text_scope=arguments.text_scope, overwrite=arguments.overwrite)
    samples, rows = (sum(part.rows[table] for part in run.parts) for table in ("samples", "heads"))
    manifest = run.manifest
    size = f"{samples} samples x {manifest.layers} x {manifest.heads} = {rows} rows"
    say(f"{size} in {arguments.run}, text scope {manifest.text_scope}")
    return 0
