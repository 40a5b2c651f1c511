"""`python -m analyze`: pictures, tables and the legacy `.pt` from a run."""

from schemas.cli import leave_at_interrupt, run_command

if __name__ == "__main__":
    leave_at_interrupt()

import os
import sys

from analyze.cli import parse
from analyze.commands.answers.diagnose import diagnose_run
from analyze.commands.answers.image import image_of_run
from analyze.commands.answers.prompts import compare_wordings
from analyze.commands.card import write_card
from analyze.commands.compare import compare_runs
from analyze.commands.heads.maps import map_run
from analyze.commands.heads.prune import prune_run
from analyze.commands.legacy import export_pt, import_pt
from analyze.commands.plots import draw_plots
from analyze.commands.report import report_run
from analyze.commands.runs import merge_runs, subset_run, validate_run
from analyze.commands.summary import summarise_run
from analyze.commands.verify import verify_run

COMMANDS = {
    "plots": draw_plots,
    "summary": summarise_run,
    "verify": verify_run,
    "compare": compare_runs,
    "diagnose": diagnose_run,
    "image": image_of_run,
    "prompts": compare_wordings,
    "prune": prune_run,
    "maps": map_run,
    "report": report_run,
    "validate": validate_run,
    "subset": subset_run,
    "merge": merge_runs,
    "card": write_card,
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
