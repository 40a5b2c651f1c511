"""The commands of `python -m analyze`, and their flags."""

import argparse
import re
import sys

from analyze.reference import LLAVA_MME
from analyze.tables.frames import DEFAULT
from schemas.cli import number, path
from schemas.columns import FLOW_NAMES
from schemas.manifest import TEXT_SCOPES

RECORDS = "mme_attention_head_records.pt"
FORMATS = ("png", "pdf", "svg")
LONGEST_PREFIX = 80  # bytes: file systems limit names, and a category's name comes behind it
FINITE = number(float, -sys.float_info.max, sys.float_info.max)
SMALLEST, LARGEST = 2, 100  # inches of a picture; a smaller one has no room for its words
LEAST = 1e-6  # end of an axis
COARSEST, FINEST = 10, 1200  # dots per inch: at fewer, letters vanish


def parser() -> argparse.ArgumentParser:
    """The commands and their flags."""
    flags = argparse.ArgumentParser(prog="python -m analyze", description="Pictures, tables and .pt from a run.")
    commands = flags.add_subparsers(dest="command", required=True, metavar="COMMAND")

    plots = commands.add_parser("plots", help="draw all pictures of a run")
    _run_argument(plots)
    _value_flags(plots)
    _picture_flags(plots)
    plots.add_argument(
        "--bins", type=FINITE, nargs="+", default=[0.05], metavar="X", help="width of bins, or edges (default 0.05)"
    )
    plots.add_argument("--range", type=FINITE, nargs=2, metavar=("LOW", "HIGH"), help="of the bins (default 0 1)")
    plots.add_argument(
        "--figsize",
        type=number(float, SMALLEST, LARGEST),
        nargs=2,
        default=[8.0, 5.0],
        metavar=("W", "H"),
        help="of histograms, inches (8 5)",
    )
    plots.add_argument(
        "--ymax",
        type=number(float, LEAST, 1 / LEAST),
        metavar="Y",
        help="end of the y axis of histograms (default: fits)",
    )
    plots.add_argument(
        "--vmax", type=number(float, LEAST, 1), metavar="V", help="end of the scale of bars and maps (default: fits)"
    )
    plots.add_argument("--layers", nargs="+", metavar="L", help="layers that get a picture, as 3 or 0-7 (default all)")
    plots.add_argument("--categories", nargs="+", metavar="NAME", help="categories that get pictures (default all)")

    summary = commands.add_parser("summary", help="means, quantiles and the MME score, as tables and CSV")
    _run_argument(summary)
    _value_flags(summary)
    summary.add_argument("--output-dir", type=path, help="directory of the CSV files (default: RUN)")

    compare = commands.add_parser("verify", help="compare a run with published figures; exit code 0 if it matches")
    _run_argument(compare)
    _picture_flags(compare)
    compare.add_argument(
        "--reference", type=path, default=LLAVA_MME, metavar="FILE", help="the figures (default LLaVA-1.5-7B on MME)"
    )

    check = commands.add_parser("validate", help="say what is wrong with a run; exit code 1 if anything is")
    _run_argument(check)

    export = commands.add_parser("export-pt", help=f"write {RECORDS}")
    _run_argument(export)
    _scope_flag(export)
    export.add_argument("--output-dir", type=path, help="directory of the file (default: RUN)")

    imported = commands.add_parser("import-pt", help="make a run from records of the earlier tool")
    imported.add_argument("file", type=path, metavar="FILE", help="the .pt")
    imported.add_argument("run", type=path, metavar="RUN", help="directory of the run to write")
    imported.add_argument(
        "--text-scope",
        choices=TEXT_SCOPES,
        default="no-system",
        help="what the records count as text (default no-system, as the earlier tool did)",
    )
    imported.add_argument("--overwrite", action="store_true", help="replace the run in RUN")
    return flags


def _run_argument(command: argparse.ArgumentParser) -> None:
    command.add_argument("run", type=path, metavar="RUN", help="directory of a run")


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
        help=f"mass columns (default {' '.join(DEFAULT)}): {' '.join(FLOW_NAMES)}",
    )


def _picture_flags(command: argparse.ArgumentParser) -> None:
    command.add_argument("--output-dir", type=path, help="directory of the files (default: RUN)")
    command.add_argument("--prefix", type=_prefix, default="mme", help="begins each picture's file name (default mme)")
    command.add_argument("--dpi", type=number(int, COARSEST, FINEST), default=300, help="dots per inch (default 300)")
    command.add_argument("--format", choices=FORMATS, default="png", help="of the pictures (default png)")


def _prefix(text: str) -> str:
    if not re.fullmatch(r"[\w.+-]*", text) or len(text.encode()) > LONGEST_PREFIX:
        raise argparse.ArgumentTypeError(f"{text!r} is not up to {LONGEST_PREFIX} bytes of letters, digits and . _ + -")
    return text
