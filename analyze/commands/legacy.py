"""`export-pt`, `import-pt`: the records of the earlier tool."""

import argparse

from analyze.cli import RECORDS
from analyze.opening import make_folder, opened, output_folder
from schemas.cli import say
from schemas.text import counted


def export_pt(arguments: argparse.Namespace) -> int:
    """`export-pt`: the records of the earlier tool."""
    from analyze.legacy import EARLIER, export_records, export_scope

    heads = opened(arguments.run, arguments.prompt)
    scope = export_scope(heads, arguments.text_scope)
    folder = output_folder(arguments.output_dir, heads)
    make_folder(folder)
    number = export_records(heads, scope, folder / RECORDS)
    say(f"{counted(number, 'record')} in {folder / RECORDS}, text scope {scope.name}")
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
    size = f"{counted(samples, 'sample')} x {manifest.layers} x {manifest.heads} = {rows} rows"
    say(f"{size} in {arguments.run}, text scope {manifest.text_scope}")
    return 0
