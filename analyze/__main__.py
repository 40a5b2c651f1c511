"""`python -m analyze`: pictures, tables and the legacy `.pt` from a run."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from analyze.blocks import Heads, open_heads
from analyze.flows import DEFAULT, check_flows
from analyze.reference import LLAVA_MME, read_reference
from schemas.columns import FLOW_NAMES
from schemas.errors import USAGE, HeadflowError, run_command
from schemas.manifest import TEXT_SCOPES
from schemas.validate import validate

RECORDS = "mme_attention_head_records.pt"
FORMATS = ("png", "pdf", "svg")


def parser() -> argparse.ArgumentParser:
    """The commands and their flags."""
    flags = argparse.ArgumentParser(prog="python -m analyze", description="Pictures, tables and .pt from a run.")
    commands = flags.add_subparsers(dest="command", required=True, metavar="COMMAND")

    plots = commands.add_parser("plots", help="draw all pictures of a run")
    _run_argument(plots)
    _value_flags(plots)
    _picture_flags(plots)
    plots.add_argument(
        "--bins", type=float, nargs="+", default=[0.05], metavar="X", help="width of bins, or edges (default 0.05)"
    )
    plots.add_argument("--range", type=float, nargs=2, metavar=("LOW", "HIGH"), help="of the bins (default 0 1)")
    plots.add_argument(
        "--figsize", type=float, nargs=2, default=[8.0, 5.0], metavar=("W", "H"), help="of histograms, inches (8 5)"
    )
    plots.add_argument("--layers", nargs="+", metavar="L", help="layers that get a picture, as 3 or 0-7 (default all)")
    plots.add_argument("--categories", nargs="+", metavar="NAME", help="categories that get pictures (default all)")
    plots.set_defaults(function=draw_plots)

    summary = commands.add_parser("summary", help="means, quantiles and the MME score, as tables and CSV")
    _run_argument(summary)
    _value_flags(summary)
    summary.add_argument("--output-dir", type=Path, help="where the CSV files go (default: into RUN)")
    summary.set_defaults(function=summarise_run)

    against = commands.add_parser("verify", help="hold a run against published figures; exit code 0 where it matches")
    _run_argument(against)
    _picture_flags(against)
    against.add_argument(
        "--reference", type=Path, default=LLAVA_MME, metavar="FILE", help="the figures (default LLaVA-1.5-7B on MME)"
    )
    against.set_defaults(function=verify_run)

    check = commands.add_parser("validate", help="say what is wrong with a run; exit code 1 if anything is")
    _run_argument(check)
    check.set_defaults(function=validate_run)

    export = commands.add_parser("export-pt", help=f"write {RECORDS}")
    _run_argument(export)
    _scope_flag(export)
    export.add_argument("--output-dir", type=Path, help="where the file goes (default: into RUN)")
    export.set_defaults(function=export_pt)

    bring = commands.add_parser("import-pt", help="bring records of the earlier tool into a run")
    bring.add_argument("file", type=Path, metavar="FILE", help="the .pt")
    bring.add_argument("run", type=Path, metavar="RUN", help="directory of the run to write")
    bring.add_argument(
        "--text-scope",
        choices=TEXT_SCOPES,
        default="no-system",
        help="what the records count as text (default no-system, as the earlier tool did)",
    )
    bring.add_argument("--overwrite", action="store_true", help="replace the run that lies in RUN")
    bring.set_defaults(function=import_pt)
    return flags


def _run_argument(command: argparse.ArgumentParser) -> None:
    command.add_argument("run", metavar="RUN", help="directory of a run")


def _scope_flag(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--text-scope",
        choices=TEXT_SCOPES,
        help="what t2v and v2t count as text (default: all, or what an imported run has)",
    )


def _value_flags(command: argparse.ArgumentParser) -> None:
    _scope_flag(command)
    command.add_argument(
        "--metrics",
        nargs="+",
        default=list(DEFAULT),
        metavar="FLOW",
        help=f"flow columns (default {' '.join(DEFAULT)}): {' '.join(FLOW_NAMES)}",
    )


def _picture_flags(command: argparse.ArgumentParser) -> None:
    command.add_argument("--output-dir", type=Path, help="where the files go (default: into RUN)")
    command.add_argument("--prefix", default="mme", help="begins each picture's file name (default mme)")
    command.add_argument("--dpi", type=int, default=300, help="dots per inch (default 300)")
    command.add_argument("--format", choices=FORMATS, default="png", help="of the pictures (default png)")


def _open(run: str) -> Heads:
    heads, warning = open_heads(run)
    if warning:
        print(f"warning: {warning}", file=sys.stderr)
    return heads


def _name(heads: Heads) -> str:
    """What a picture calls a run: its model where that is known."""
    return Path(heads.run.manifest.model or heads.run.path.resolve().name).name


def draw_plots(arguments: argparse.Namespace) -> int:
    """`plots`: count once, then draw."""
    from analyze.counts import count
    from analyze.figures import undrawable
    from analyze.histograms import bin_edges
    from analyze.plots import Plots

    edges = bin_edges(arguments.bins, tuple(arguments.range) if arguments.range else None)
    if arguments.dpi < 1 or min(arguments.figsize) <= 0:
        raise HeadflowError("--dpi and --figsize must be positive")
    heads = _open(arguments.run)
    scope = heads.scope(arguments.text_scope)
    flows = check_flows(arguments.metrics, heads.run.manifest)
    layers = _layers(arguments.layers, heads.layers)
    categories = _categories(arguments.categories, heads.categories)
    counts = count(heads, flows, scope, edges)
    for flow, share in counts.outside().items():
        if share:
            print(f"warning: {share:.2%} of {flow} lies outside the bins, and in no bar", file=sys.stderr)
    if boxes := undrawable("".join(categories)):
        letters = "".join(sorted(boxes))
        print(f"warning: no font here has {letters}; install one, such as Noto Sans CJK", file=sys.stderr)
    title = f"{_name(heads)}, {scope.note}" if scope.note else _name(heads)
    pictures = Plots(counts, title, arguments.prefix, layers, categories, tuple(arguments.figsize))
    folder = arguments.output_dir or heads.run.path
    paths = pictures.write(folder, dpi=arguments.dpi, kind=arguments.format)
    print(f"{len(paths)} pictures in {folder}, {paths[0].name} first")
    return 0


def _layers(asked: Sequence[str] | None, layers: int) -> list[int]:
    """`3 5-7` -> 3, 5, 6, 7; all layers where nothing is asked."""
    if asked is None:
        return list(range(layers))
    chosen: list[int] = []
    for text in asked:
        first, _, last = text.partition("-")
        if not (first.isdecimal() and (last or first).isdecimal()):
            raise HeadflowError(f"--layers {text}: give numbers and ranges, such as 3 or 0-7")
        chosen += range(int(first), int(last or first) + 1)
        if not int(first) <= int(last or first) < layers:
            raise HeadflowError(f"--layers {text}: this run has the layers 0 to {layers - 1}")
    return list(dict.fromkeys(chosen))


def _categories(asked: Sequence[str] | None, categories: list[str]) -> list[str]:
    for name in asked or ():
        if name not in categories:
            raise HeadflowError(f"--categories {name}: this run has {', '.join(categories)}")
    return list(dict.fromkeys(asked)) if asked else categories


def summarise_run(arguments: argparse.Namespace) -> int:
    """`summary`: tables on the terminal, and the same as CSV."""
    from analyze.scores import mme_scores
    from analyze.summary import GROUPS, summarise

    heads = _open(arguments.run)
    flows = check_flows(arguments.metrics, heads.run.manifest)
    scope = heads.scope(arguments.text_scope)
    table = summarise(heads, flows, scope)
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
        scores.to_csv(folder / "scores.csv", index=False)
    print(f"\nwritten: {folder / 'summary.csv'}" + ("" if scores.empty else f", {folder / 'scores.csv'}"))
    return 0


def _print_table(table: pd.DataFrame, digits: int) -> None:
    print(table.to_string(index=False, na_rep="", float_format=lambda value: f"{value:.{digits}f}"))


def verify_run(arguments: argparse.Namespace) -> int:
    """`verify`: 0 where the run matches, 1 where it differs, 2 where it cannot be compared, as `diff` has it."""
    from analyze.deviations import verification_figure
    from analyze.figures import FigureFiles, style
    from analyze.verification import verify

    if arguments.dpi < 1:
        raise HeadflowError("--dpi must be positive")
    reference = read_reference(arguments.reference)
    heads = _open(arguments.run)
    result = verify(heads, reference)
    folder = arguments.output_dir or heads.run.path
    folder.mkdir(parents=True, exist_ok=True)
    result.figures.to_csv(folder / "verify.csv", index=False)
    title = f"{_name(heads)} and {arguments.reference.name}: {result.verdict()[0]}"
    with style(), FigureFiles(arguments.dpi, arguments.format) as files:
        picture = files.save(verification_figure(result.figures, title), folder / f"{arguments.prefix}_verify")
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
    print(f"{arguments.run}: {wrong} problems" if wrong else f"{arguments.run}: valid")
    return 1 if wrong else 0


def export_pt(arguments: argparse.Namespace) -> int:
    """`export-pt`: the records of the earlier tool."""
    from analyze.legacy import export_records

    heads = _open(arguments.run)
    path = (arguments.output_dir or heads.run.path) / RECORDS
    print(f"{export_records(heads, heads.scope(arguments.text_scope), path)} records in {path}")
    return 0


def import_pt(arguments: argparse.Namespace) -> int:
    """`import-pt`: the other way round."""
    from analyze.legacy import import_records

    manifest = import_records(
        arguments.file, arguments.run, text_scope=arguments.text_scope, overwrite=arguments.overwrite
    )
    rows = manifest.samples * manifest.layers * manifest.heads
    print(f"{manifest.samples} samples x {manifest.layers} x {manifest.heads} = {rows} rows in {arguments.run}")
    return 0


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and run; returns the exit code."""
    arguments = parser().parse_args(argv)
    return run_command(lambda: arguments.function(arguments))


if __name__ == "__main__":
    sys.exit(main())
