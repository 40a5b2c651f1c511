"""`python -m analyze`: pictures, tables and the legacy `.pt` from a run."""

from schemas.cli import USAGE, leave_at_interrupt, run_command, say

if __name__ == "__main__":
    leave_at_interrupt()

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from analyze.cli import RECORDS, chosen_categories, chosen_layers, parse
from analyze.pictures.kinds import Picture
from analyze.reference import read_reference
from analyze.tables.frames import Heads, check_flows, open_heads
from analyze.tables.output import as_text, unwritable, write_csv
from schemas.columns import TABLES
from schemas.errors import HeadflowError
from schemas.store.directory import check_directory, record_outputs
from schemas.store.validate import validate
from schemas.text import printable

SHOWN = 20  # letters that are named


def _open(run: Path) -> Heads:
    heads, warning = open_heads(run)
    if warning:
        say(f"warning: {warning}", error=True)
    return heads


def draw_plots(arguments: argparse.Namespace) -> int:
    """`plots`: tally, then draw."""
    from analyze.pictures.of_run import Pictures, subject
    from analyze.plots import write_pictures
    from analyze.tables.bins import bin_edges
    from analyze.tables.tallies import tally

    edges = bin_edges(arguments.bins, tuple(arguments.range) if arguments.range else None)
    heads = _open(arguments.run)
    scope = heads.scope(arguments.text_scope)
    flows = check_flows(arguments.metrics, heads.run.manifest)
    layers = chosen_layers(arguments.layers, heads.layers)
    categories = chosen_categories(arguments.categories, heads.categories)
    folder = _folder(arguments.output_dir, heads.run.path)
    _make(folder)
    found = tally(heads, flows, scope, edges, spread=False)
    for flow, share in found.outside().items():
        if share:
            say(f"warning: {share:.2%} of {flow} lies outside the bins and is not drawn", error=True)
    of = subject(heads, scope)
    drawn = Pictures(found, of, arguments.prefix, layers, categories, arguments.ymax, arguments.vmax).all()
    _warn(drawn, [*categories, *of])
    size = tuple(arguments.figsize)
    paths = write_pictures(drawn, folder, figsize=size, dpi=arguments.dpi, kind=arguments.format)
    record_outputs(heads.run.path, paths)
    say(f"{len(paths)} pictures in {folder}, {paths[0].name} first")
    return 0


def _warn(pictures: Sequence[Picture], names: Sequence[str]) -> None:
    """Say which letters of names cannot be drawn, and whether bars or colours are cut."""
    from analyze.drawing.fonts import undrawable

    if letters := undrawable(names):
        shown = "".join(letters[:SHOWN]) + ("..." if len(letters) > SHOWN else "")
        code = letters[0].encode("unicode_escape").decode()
        say(
            f"warning: no font here has {shown}; pictures have codes in their place, such as {code}; install a font, "
            "such as Noto Sans CJK",
            error=True,
        )
    if cut := [picture.name for picture in pictures if picture.cut]:
        say(
            f"warning: {len(cut)} of {len(pictures)} pictures cut what lies above --ymax or --vmax, {cut[0]} first",
            error=True,
        )


def summarise_run(arguments: argparse.Namespace) -> int:
    """`summary`: tables as CSV, and the same on the terminal."""
    from analyze.scores.intervals import score_intervals
    from analyze.scores.mme import mme_scores, total_scores
    from analyze.summary import GROUPS, summarise

    heads = _open(arguments.run)
    flows = check_flows(arguments.metrics, heads.run.manifest)
    scope = heads.scope(arguments.text_scope)
    folder = _folder(arguments.output_dir, heads.run.path)
    table = summarise(heads, flows, scope)
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
    print("low and high: 95% interval of the mean, with the image as its unit")
    for group in GROUPS:
        print(f"\nby {group}" if group != GROUPS[0] else "")
        print(as_text(table[table["group"] == group].drop(columns="group"), 4))
    if not scores.empty:
        print(f"\nMME score, by category; low and high: 95% interval, images resampled with seed {arguments.seed}")
        print(as_text(tables["scores.csv"], 2))
        if left_out := scores["left_out"].sum():
            print(f"partial: {left_out} questions were skipped or lack their pair, and are left out of the scores")
    if unwritten:
        raise unwritten
    record_outputs(heads.run.path, [folder / name for name in tables])
    print()
    say(f"written: {', '.join(str(folder / name) for name in tables)}")
    return 0


def verify_run(arguments: argparse.Namespace) -> int:
    """`verify`: returns 0 if the run matches, 1 if it differs, 2 if it cannot be compared, as `diff` does."""
    from analyze.drawing.figures import FigureFiles, style
    from analyze.drawing.verification import verification_figure
    from analyze.pictures.of_run import subject
    from analyze.verify import verify

    reference = read_reference(arguments.reference)
    heads = _open(arguments.run)
    folder = _folder(arguments.output_dir, heads.run.path)
    result = verify(heads, reference)
    unwritten = write_csv({"verify.csv": result.figures}, folder)
    of = (*subject(heads), f"compared with {arguments.reference.name}")
    picture = folder / f"{arguments.prefix}_verify"
    try:
        with style(), FigureFiles(arguments.dpi, arguments.format) as files:
            picture = files.save(verification_figure(result.figures, result.verdict()[0], of), picture)
    except OSError as error:
        unwritten = unwritten or unwritable(picture.name, folder, error)
    if not unwritten:
        record_outputs(heads.run.path, [folder / "verify.csv", picture])
    say(f"{arguments.run} against {reference.what}")
    say(f"source: {reference.source}")
    settings = pd.DataFrame(result.settings).rename(columns={"name": "setting"})
    print(f"\n{as_text(settings.replace({True: 'yes', False: 'no'}), 4)}")
    for group, figures in result.figures.groupby("group", sort=False):
        print(f"\n{'overall' if group == 'overall' else f'by {group}'}")
        print(as_text(figures.drop(columns="group"), 5))
    if not unwritten:
        print()
        say(f"written: {folder / 'verify.csv'}, {picture}")
    print("\n" + "\n  ".join(map(printable, result.verdict())))
    if unwritten:
        raise unwritten
    return 0 if result.matches else USAGE if result.obstacles else 1


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

    heads = _open(arguments.run)
    conditions = {name: getattr(arguments, name) for name in ("categories", "query", "heads_query")}
    run = subset(heads, arguments.output, **conditions, overwrite=arguments.overwrite)
    say(f"{run.samples_asked} of {len(heads.samples)} samples in {arguments.output}")
    return 0


def merge_runs(arguments: argparse.Namespace) -> int:
    """`merge`: the samples of several runs."""
    from analyze.derived.merge import merge, warnings

    runs = [open_heads(path)[0] for path in arguments.runs]
    for warning in warnings(runs):
        say(f"warning: {warning}", error=True)
    run = merge(runs, arguments.output, overwrite=arguments.overwrite)
    say(f"{run.samples_asked} samples of {len(runs)} runs in {arguments.output}")
    return 0


def export_pt(arguments: argparse.Namespace) -> int:
    """`export-pt`: the records of the earlier tool."""
    from analyze.legacy import EARLIER, export_records, export_scope

    heads = _open(arguments.run)
    scope = export_scope(heads, arguments.text_scope)
    folder = _folder(arguments.output_dir, heads.run.path)
    _make(folder)
    number = export_records(heads, scope, folder / RECORDS)
    say(f"{number} records in {folder / RECORDS}, text scope {scope.name}")
    if scope.name != EARLIER:
        say(f"the earlier tool counted {EARLIER}: each record says that its text scope is {scope.name}")
    elif scope.converts and heads.run.manifest.system_span != "original":
        say("only a run that was extracted with --system-span original equals that tool's records to the last digit")
    return 0


def _folder(asked: Path | None, run: Path) -> Path:
    """Where files go: into the folder asked for, else into the run, but not among the parts of a table."""
    folder = asked or run
    tables = {(run / table).resolve() for table in TABLES}
    if tables & {folder.resolve(), *folder.resolve().parents}:
        raise HeadflowError(f"{folder} is for parts of a table, and pandas reads all of it", setting="output_dir")
    return folder


def _make(folder: Path) -> None:
    """Make a folder that files can be written to, before any costly work."""
    try:
        check_directory(folder)
    except HeadflowError as error:
        raise HeadflowError(str(error), setting="output_dir") from None


def import_pt(arguments: argparse.Namespace) -> int:
    """`import-pt`: a run from such records."""
    from analyze.legacy import import_records

    run = import_records(arguments.file, arguments.run, text_scope=arguments.text_scope, overwrite=arguments.overwrite)
    samples, rows = (sum(part.rows[table] for part in run.parts) for table in ("samples", "heads"))
    manifest = run.manifest
    size = f"{samples} samples x {manifest.layers} x {manifest.heads} = {rows} rows"
    say(f"{size} in {arguments.run}, text scope {manifest.text_scope}")
    return 0


COMMANDS = {
    "plots": draw_plots,
    "summary": summarise_run,
    "verify": verify_run,
    "validate": validate_run,
    "subset": subset_run,
    "merge": merge_runs,
    "export-pt": export_pt,
    "import-pt": import_pt,
}


def run(argv: list[str] | None) -> int:
    """Parse the command line and run a command."""
    arguments = parse(sys.argv[1:] if argv is None else argv)
    return COMMANDS[arguments.command](arguments)


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and run; returns the exit code."""
    return run_command(lambda: run(argv))


if __name__ == "__main__":
    # Pictures are files, of one style: a notebook's backend need not be installed here, and no matplotlibrc is read
    os.environ |= {"MPLBACKEND": "agg", "MATPLOTLIBRC": os.devnull}
    sys.exit(main())
