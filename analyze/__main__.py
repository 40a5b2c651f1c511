"""`python -m analyze`: pictures, tables and the legacy `.pt` from a run."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from analyze.cli import RECORDS, parser
from analyze.pictures.kinds import Picture
from analyze.reference import read_reference
from analyze.tables.frames import Heads, check_flows, open_heads
from schemas.cli import USAGE, run_command
from schemas.errors import HeadflowError
from schemas.store.validate import validate

SHOWN = 20  # letters that are named


def _open(run: Path) -> Heads:
    heads, warning = open_heads(run)
    if warning:
        print(f"warning: {warning}", file=sys.stderr)
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
    layers = _layers(arguments.layers, heads.layers)
    categories = _categories(arguments.categories, heads.categories)
    found = tally(heads, flows, scope, edges, spread=False)
    for flow, share in found.outside().items():
        if share:
            print(f"warning: {share:.2%} of {flow} lies outside the bins and is not drawn", file=sys.stderr)
    of = subject(heads, scope)
    drawn = Pictures(found, of, arguments.prefix, layers, categories, arguments.ymax, arguments.vmax).all()
    _warn(drawn, [*categories, *of])
    folder = arguments.output_dir or heads.run.path
    size = tuple(arguments.figsize)
    paths = write_pictures(drawn, folder, figsize=size, dpi=arguments.dpi, kind=arguments.format)
    print(f"{len(paths)} pictures in {folder}, {paths[0].name} first")
    return 0


def _warn(pictures: Sequence[Picture], names: Sequence[str]) -> None:
    """Say which letters of names cannot be drawn, and whether bars or colours are cut."""
    from analyze.drawing.fonts import undrawable

    if letters := undrawable(names):
        shown = "".join(letters[:SHOWN]) + ("..." if len(letters) > SHOWN else "")
        code = letters[0].encode("unicode_escape").decode()
        print(
            f"warning: no font here has {shown}; pictures have codes in their place, such as {code}; install a font, "
            "such as Noto Sans CJK",
            file=sys.stderr,
        )
    if cut := [picture.name for picture in pictures if picture.cut]:
        print(
            f"warning: {len(cut)} of {len(pictures)} pictures cut what lies above --ymax or --vmax, {cut[0]} first",
            file=sys.stderr,
        )


def _layers(asked: Sequence[str] | None, layers: int) -> list[int]:
    """`3 5-7` -> 3, 5, 6, 7; all layers for `None`."""
    if asked is None:
        return list(range(layers))
    chosen: list[int] = []
    for text in asked:
        first, _, last = text.partition("-")
        if not (first.isdecimal() and (last or first).isdecimal()):
            raise HeadflowError(f"--layers {text}: give numbers and ranges, such as 3 or 0-7")
        if not int(first) <= int(last or first) < layers:
            raise HeadflowError(f"--layers {text}: this run has the layers 0 to {layers - 1}")
        chosen += range(int(first), int(last or first) + 1)
    return list(dict.fromkeys(chosen))


def _categories(asked: Sequence[str] | None, categories: list[str]) -> list[str]:
    for name in asked or ():
        if name not in categories:
            raise HeadflowError(f"--categories {name}: this run has {', '.join(categories)}")
    return list(dict.fromkeys(asked)) if asked else categories


def summarise_run(arguments: argparse.Namespace) -> int:
    """`summary`: tables on the terminal, and the same as CSV."""
    from analyze.scores import TOTALS, mme_scores
    from analyze.summary import GROUPS, summarise
    from analyze.tables.tallies import tally

    heads = _open(arguments.run)
    flows = check_flows(arguments.metrics, heads.run.manifest)
    scope = heads.scope(arguments.text_scope)
    table = summarise(tally(heads, flows, scope))
    folder = arguments.output_dir or heads.run.path
    folder.mkdir(parents=True, exist_ok=True)
    manifest = heads.run.manifest
    statuses = heads.samples["status"].value_counts()
    print(f"{manifest.model or manifest.question_file}: {', '.join(f'{n} {name}' for name, n in statuses.items())}")
    if scope.note:
        print(scope.note)
    for group in GROUPS:
        print(f"\nby {group}" if group != GROUPS[0] else "")
        _print_table(table[table["group"] == group].drop(columns="group"), 4)
    table.to_csv(folder / "summary.csv", index=False)
    scores = mme_scores(heads.samples)
    if not scores.empty:
        print("\nMME score, by category")
        _print_table(scores, 2)
        left_out = scores.loc[~scores["category"].isin(TOTALS), "left_out"].sum()
        if left_out:
            print(f"partial: {left_out} questions were skipped or lack their pair, and are left out of the scores")
        scores.to_csv(folder / "scores.csv", index=False)
    print(f"\nwritten: {folder / 'summary.csv'}" + ("" if scores.empty else f", {folder / 'scores.csv'}"))
    return 0


def _print_table(table: pd.DataFrame, digits: int) -> None:
    print(table.to_string(index=False, na_rep="", float_format=lambda value: f"{value:.{digits}f}"))


def verify_run(arguments: argparse.Namespace) -> int:
    """`verify`: returns 0 if the run matches, 1 if it differs, 2 if it cannot be compared, as `diff` does."""
    from analyze.drawing.figures import FigureFiles, style
    from analyze.drawing.verification import verification_figure
    from analyze.pictures.of_run import subject
    from analyze.verify import verify

    reference = read_reference(arguments.reference)
    heads = _open(arguments.run)
    result = verify(heads, reference)
    folder = arguments.output_dir or heads.run.path
    folder.mkdir(parents=True, exist_ok=True)
    result.figures.to_csv(folder / "verify.csv", index=False)
    of = (*subject(heads), f"compared with {arguments.reference.name}")
    with style(), FigureFiles(arguments.dpi, arguments.format) as files:
        picture = files.save(
            verification_figure(result.figures, result.verdict()[0], of), folder / f"{arguments.prefix}_verify"
        )
    print(f"{arguments.run} against {reference.what}\nsource: {reference.source}\n")
    settings = pd.DataFrame(result.settings).rename(columns={"name": "setting"})
    _print_table(settings.replace({True: "yes", False: "no"}), 4)
    for group, figures in result.figures.groupby("group", sort=False):
        print(f"\n{'overall' if group == 'overall' else f'by {group}'}")
        _print_table(figures.drop(columns="group"), 5)
    print(f"\nwritten: {folder / 'verify.csv'}, {picture}\n")
    print("\n  ".join(result.verdict()))
    return 0 if result.matches else USAGE if result.obstacles else 1


def validate_run(arguments: argparse.Namespace) -> int:
    """`validate`: one line for each thing that is wrong."""
    wrong = 0
    for line in validate(arguments.run):
        print(line)
        wrong += 1
    found = f"{wrong} problem" + ("s" if wrong > 1 else "") if wrong else "valid"
    print(f"{arguments.run}: {found}")
    return 1 if wrong else 0


def export_pt(arguments: argparse.Namespace) -> int:
    """`export-pt`: the records of the earlier tool."""
    from analyze.legacy import export_records

    heads = _open(arguments.run)
    path = (arguments.output_dir or heads.run.path) / RECORDS
    print(f"{export_records(heads, heads.scope(arguments.text_scope), path)} records in {path}")
    return 0


def import_pt(arguments: argparse.Namespace) -> int:
    """`import-pt`: a run from such records."""
    from analyze.legacy import import_records

    run = import_records(arguments.file, arguments.run, text_scope=arguments.text_scope, overwrite=arguments.overwrite)
    samples, rows = (sum(part.rows[table] for part in run.parts) for table in ("samples", "heads"))
    manifest = run.manifest
    print(f"{samples} samples x {manifest.layers} x {manifest.heads} = {rows} rows in {arguments.run}")
    return 0


COMMANDS = {
    "plots": draw_plots,
    "summary": summarise_run,
    "verify": verify_run,
    "validate": validate_run,
    "export-pt": export_pt,
    "import-pt": import_pt,
}


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and run; returns the exit code."""
    arguments = parser().parse_args(argv)
    return run_command(lambda: COMMANDS[arguments.command](arguments))


if __name__ == "__main__":
    sys.exit(main())
