"""The commands of `python -m analyze`, and their flags."""

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from typing import NoReturn

from analyze.reference import LLAVA_MME
from schemas.cli import number, page_flags, path, place
from schemas.columns import DEFAULT_FLOWS, FLOW_NAMES
from schemas.errors import HeadflowError
from schemas.manifest import TEXT_SCOPES
from schemas.text import printable
from schemas.workers.tasks import LOCAL

RECORDS = "mme_attention_head_records.pt"
COMPARED = ("t2v", "v2t", "q2v", "a2v")  # flows of `compare`
DIAGNOSED = ("q2v", "a2v")  # of `diagnose`
WORDED = ("a2v", "q2v")  # of `prompts`
FORMATS = ("png", "pdf", "svg")
LANGUAGES = ("en", "zh")  # of `report`
MOST_IMAGES = 10_000  # in a page; MME has 1,187
LONGEST_PREFIX = 80  # bytes: file systems limit names, and a category's name comes behind it
FINITE = number(float, -sys.float_info.max, sys.float_info.max)
SMALLEST, LARGEST = 2, 100  # inches of a picture; a smaller one has no room for its words
LEAST = 1e-6  # end of an axis
SHOWN = 20  # categories that an error names
COARSEST, FINEST = 10, 1200  # dots per inch: at fewer, letters vanish


class Refused(Exception):
    """A command line that cannot be parsed: the parser of its command, and what is wrong."""


class Parser(argparse.ArgumentParser):
    """A parser that raises `Refused` where argparse would exit."""

    def error(self, message: str) -> NoReturn:
        """Raise `Refused`."""
        raise Refused(self, message)


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Parse a command line. RUN may also come last, behind a flag that takes several values: `--metrics a2v RUN`.

    Raises:
        SystemExit: it cannot be parsed; argparse has said why.
    """
    flags = parser()
    try:
        return flags.parse_args(words)
    except Refused as refused:
        for order in _orders(words):
            try:
                return flags.parse_args(order)
            except Refused:
                continue
        command, message = refused.args
        argparse.ArgumentParser.error(command, printable(message))


def _orders(words: Sequence[str]) -> Iterator[list[str]]:
    """The command line with one of its words moved to where RUN mostly stands, the last word first."""
    for index in reversed(range(2, len(words))):
        if not words[index].startswith("-"):
            yield [words[0], words[index], *words[1:index], *words[index + 1 :]]


def parser() -> Parser:
    """The commands and their flags."""
    flags = Parser(prog="python -m analyze", description="Pictures, tables and .pt from a run.")
    commands = flags.add_subparsers(dest="command", required=True, metavar="COMMAND")

    plots = commands.add_parser("plots", help="draw all pictures of a run")
    _run_argument(plots)
    _worker_flags(plots)
    _prompt_flag(plots)
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
        "--vmax",
        type=number(float, LEAST, 1),
        metavar="V",
        help="end of the scale of bars and maps of attention (default: fits)",
    )
    plots.add_argument(
        "--layers", nargs="+", metavar="L", help="layers that get a picture, as 3, 0-7 or 24- (default all)"
    )
    plots.add_argument(
        "--categories",
        nargs="+",
        metavar="NAME",
        help="categories that get pictures (default all; of more than 100, the 100 largest)",
    )
    plots.add_argument(
        "--effects", nargs="+", metavar="JOB", help="jobs that knocked out single heads: a map of the effects of each"
    )

    summary = commands.add_parser("summary", help="means, quantiles and the MME score, as tables and CSV")
    _run_argument(summary)
    _worker_flags(summary)
    _prompt_flag(summary)
    _value_flags(summary)
    summary.add_argument("--output-dir", type=path, help="directory of the CSV files (default: RUN)")
    _seed_flag(summary)

    several = commands.add_parser("compare", help="compare two runs, or the distances of several; a verdict in words")
    several.add_argument("runs", type=place, nargs="+", metavar="RUN", help="A and B, or more, directories of runs")
    _prompt_flag(several)
    _value_flags(several, COMPARED)
    _picture_flags(several, "B/compared_with_A, or of several A/compared", prefix=False)
    _related_flag(several)
    _resample_flags(several)
    _worker_flags(several)

    failures = commands.add_parser("diagnose", help="where and how a model fails; a verdict in words")
    _run_argument(failures)
    _prompt_flag(failures)
    _value_flags(failures, DIAGNOSED)
    _picture_flags(failures, "RUN/diagnosis", prefix=False)
    _resample_flags(failures)
    _without_flag(failures, required=False)

    seen = commands.add_parser("image", help="what the answers owe to the image, from a run without it; a verdict")
    _run_argument(seen)
    _without_flag(seen, required=True)
    _prompt_flag(seen)
    _picture_flags(seen, "RUN/image_over_RUN_B", prefix=False)
    _resample_flags(seen)

    worded = commands.add_parser("prompts", help="compare the wordings of a run; a recommendation in words")
    _run_argument(worded)
    _value_flags(worded, WORDED)
    _picture_flags(worded, "RUN/prompts", prefix=False)
    worded.add_argument("--baseline", metavar="NAME", help="wording that heads are compared with (default: the first)")
    _resample_flags(worded)

    pruned = commands.add_parser("prune", help="which heads or layers can be cut; sets to knock out, then a plan")
    _run_argument(pruned)
    _prompt_flag(pruned)
    _prune_flags(pruned)
    _picture_flags(pruned, "RUN/prune", prefix=False)
    _resample_flags(pruned)

    located = commands.add_parser("maps", help="where in the image heads look: maps on images, heads that localise")
    _run_argument(located)
    _prompt_flag(located)
    _maps_flags(located)
    _picture_flags(located, "RUN/localisation", prefix=False)
    _resample_flags(located)

    page = commands.add_parser("report", help="one page for a browser: a run, and its comparison with another one")
    _run_argument(page)
    page.add_argument("other", type=place, nargs="?", metavar="RUN_B", help="a run to compare it with")
    _prompt_flag(page)
    _scope_flag(page)
    _report_flags(page)
    _seed_flag(page)

    verify = commands.add_parser("verify", help="compare a run with published figures; exit code 0 if it matches")
    _run_argument(verify)
    _prompt_flag(verify)
    _picture_flags(verify)
    verify.add_argument(
        "--reference", type=path, default=LLAVA_MME, metavar="FILE", help="the figures (default LLaVA-1.5-7B on MME)"
    )

    check = commands.add_parser("validate", help="say what is wrong with a run; exit code 1 if anything is")
    _run_argument(check)
    _worker_flags(check)

    some = commands.add_parser("subset", help="write some samples of a run as a run; each keeps all of its rows")
    _run_argument(some)
    _prompt_flag(some, " (default: all of them)")
    _derived_flags(some)
    some.add_argument("--categories", nargs="+", metavar="NAME", help="samples of these categories (default all)")
    some.add_argument(
        "--query", metavar="QUERY", help='samples whose row fits, as "n_question > 20" (see pandas.query)'
    )
    some.add_argument(
        "--heads-query", metavar="QUERY", help='samples with a row of heads that fits, as "layer == 5 and a2v > 0.5"'
    )

    merged = commands.add_parser("merge", help="write the samples of several runs of the same settings as one run")
    merged.add_argument("runs", type=place, nargs="+", metavar="RUN", help="directories of runs")
    _derived_flags(merged)

    card = commands.add_parser("card", help="write a copy of a run with a dataset card, for the Hugging Face hub")
    _run_argument(card)
    _derived_flags(card)
    card.add_argument(
        "--with-texts",
        action="store_true",
        help="keep questions, answers, boxes and thumbnails, which have licences of their own (default: left out)",
    )

    export = commands.add_parser("export-pt", help=f"write {RECORDS}")
    _run_argument(export)
    _prompt_flag(export)
    _scope_flag(export, "no-system, as in the earlier tool, or what an imported run has")
    export.add_argument("--output-dir", type=path, help="directory of the file (default: RUN)")

    imported = commands.add_parser("import-pt", help="make a run from records of the earlier tool")
    imported.add_argument("file", type=path, metavar="FILE", help="the .pt")
    imported.add_argument("run", type=place, metavar="RUN", help="directory of the run to write")
    imported.add_argument(
        "--text-scope",
        choices=TEXT_SCOPES,
        help="what the records count as text (default: what they say, else no-system, as the earlier tool did)",
    )
    imported.add_argument("--overwrite", action="store_true", help="replace the run in RUN")
    return flags


def _prune_flags(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--job", default="prune", metavar="NAME", help="the job that knocks the sets out, once it is there (prune)"
    )
    command.add_argument(
        "--criteria", nargs="+", metavar="NAME", help="what heads and layers are ranked by (default: all that RUN has)"
    )
    command.add_argument(
        "--effects", nargs="+", metavar="JOB", help="jobs of single heads, and layers (default: the only ones, or edge)"
    )
    command.add_argument(
        "--shares",
        type=number(float, 0.001, 0.9),
        nargs="+",
        default=[0.125, 0.25, 0.5],
        metavar="S",
        help="of heads that are cut (default 0.125 0.25 0.5)",
    )
    command.add_argument(
        "--random",
        type=number(int, 0, 10**5),
        default=200,
        metavar="N",
        help="random sets that each set is compared with (default 200)",
    )
    command.add_argument(
        "--loss",
        type=number(float, 0, 10**5),
        default=20.0,
        metavar="POINTS",
        help="of the MME score that the plan may lose (default 20)",
    )


def _maps_flags(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--samples", nargs="+", metavar="ID", help="samples that are drawn (default: the first of six categories)"
    )
    command.add_argument(
        "--samples-only", action="store_true", help="draw a picture of each of these samples, and nothing else"
    )
    command.add_argument("--heads", nargs="+", metavar="L3H5", help="heads that are drawn (default: see --top)")
    command.add_argument(
        "--top",
        type=number(int, 1, 100),
        default=6,
        metavar="K",
        help="heads that are drawn: the three that localise best, then those of largest mass (default 6)",
    )
    command.add_argument(
        "--image-folder",
        type=place,
        metavar="DIR",
        help="where the images are (default: where the run had them, else its thumbnails)",
    )
    command.add_argument("--categories", nargs="+", metavar="NAME", help="samples that count (default all)")
    command.add_argument(
        "--above-mean",
        type=number(float, 0, 1),
        default=0,
        metavar="A",
        help="attention above the mean from which on a patch counts in spatial entropy (default 0; LocalizationHeads' "
        "code: 0.001)",
    )
    command.add_argument(
        "--effects", nargs="+", metavar="JOB", help="the job of single heads (default: the only one, or edge)"
    )


def _report_flags(command: argparse.ArgumentParser) -> None:
    command.add_argument("--output-dir", type=path, help="directory of the page (default: RUN)")
    command.add_argument("--lang", choices=LANGUAGES, default="en", help="of the page's texts (default en)")
    command.add_argument(
        "--images",
        type=number(int, 0, MOST_IMAGES),
        default=24,
        metavar="N",
        help=f"thumbnails that the page holds, at most, 0 to {MOST_IMAGES} (default 24)",
    )
    _related_flag(command)


def _related_flag(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--related",
        action="store_true",
        help="one model was made from the other, as by tuning: heads of the same index are the same",
    )


def _run_argument(command: argparse.ArgumentParser) -> None:
    command.add_argument("run", type=place, metavar="RUN", help="directory of a run, or s3://BUCKET/RUN")


def _worker_flags(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--workers",
        type=number(int, 1, 1000),
        metavar="N",
        help="processes that read the run, or tasks at once with --ray (default: 1, or the CPUs of the Ray cluster)",
    )
    command.add_argument(
        "--ray", nargs="?", const=LOCAL, metavar="ADDRESS", help="read on a Ray cluster (default: one started here)"
    )


def _without_flag(command: argparse.ArgumentParser, *, required: bool) -> None:
    command.add_argument(
        "--without",
        type=place,
        required=required,
        metavar="RUN_B",
        help="a run of the same model and questions with counterfactual images",
    )


def _prompt_flag(command: argparse.ArgumentParser, default: str = "") -> None:
    command.add_argument(
        "--prompt", metavar="NAME", help=f"the wording to read, of a run that asks in several{default}"
    )


def _derived_flags(command: argparse.ArgumentParser) -> None:
    command.add_argument("output", type=place, metavar="OUT", help="directory of the run to write")
    command.add_argument("--overwrite", action="store_true", help="replace the run in OUT")


def _scope_flag(command: argparse.ArgumentParser, default: str = "all, or what an imported run has") -> None:
    command.add_argument(
        "--text-scope", choices=TEXT_SCOPES, help=f"what t2v and v2t count as text (default: {default})"
    )


def _resample_flags(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--resamples",
        type=number(int, 100, 10**6),
        default=10_000,
        metavar="N",
        help="of the images, for intervals (default 10000)",
    )
    _seed_flag(command)


def _seed_flag(command: argparse.ArgumentParser) -> None:
    command.add_argument("--seed", type=number(int, 0, 2**32 - 1), default=0, help="of the resamples (default 0)")


def _value_flags(command: argparse.ArgumentParser, flows: Sequence[str] = DEFAULT_FLOWS) -> None:
    _scope_flag(command)
    command.add_argument(
        "--metrics",
        nargs="+",
        default=list(flows),
        metavar="FLOW",
        help=f"mass columns (default {' '.join(flows)}): {' '.join(FLOW_NAMES)}",
    )


def _picture_flags(command: argparse.ArgumentParser, folder: str = "RUN", *, prefix: bool = True) -> None:
    command.add_argument("--output-dir", type=path, help=f"directory of the files (default: {folder})")
    if prefix:
        command.add_argument(
            "--prefix", type=_prefix, default="mme", help="begins each picture's file name (default mme)"
        )
    command.add_argument("--dpi", type=number(int, COARSEST, FINEST), default=300, help="dots per inch (default 300)")
    command.add_argument("--format", choices=FORMATS, default="png", help="of the pictures (default png)")
    page_flags(command)


def _prefix(text: str) -> str:
    if not re.fullmatch(r"[\w.+-]*", text) or len(text.encode()) > LONGEST_PREFIX:
        raise argparse.ArgumentTypeError(f"{text!r} is not up to {LONGEST_PREFIX} bytes of letters, digits and . _ + -")
    return text


def chosen_layers(asked: Sequence[str] | None, layers: int) -> list[int]:
    """`3 5-7` -> 3, 5, 6, 7; `30-` -> 30 to the last; all layers for `None`."""
    if asked is None:
        return list(range(layers))
    chosen: list[int] = []
    for text in asked:
        found = re.fullmatch(r"(\d{1,18})(-?)(\d{0,18})", text, re.ASCII)
        if not found or (found[3] and not found[2]):
            raise HeadflowError(f"--layers {text[:80]}: give numbers and ranges, such as 3, 0-7 or 24-")
        first = int(found[1])
        last = int(found[3] or (layers - 1 if found[2] else first))
        if not first <= last < layers:
            raise HeadflowError(f"--layers {text}: this run has the layers 0 to {layers - 1}")
        chosen += range(first, last + 1)
    return list(dict.fromkeys(chosen))


def chosen_categories(asked: Sequence[str] | None, categories: list[str]) -> list[str]:
    """The categories that get pictures of their own; all for `None`."""
    for name in asked or ():
        if name not in categories:
            more = f" and {len(categories) - SHOWN} more" if len(categories) > SHOWN else ""
            raise HeadflowError(f"--categories {name}: this run has {', '.join(categories[:SHOWN])}{more}")
    return list(dict.fromkeys(asked)) if asked else categories
