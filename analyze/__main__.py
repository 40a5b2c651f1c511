"""`python -m analyze`: pictures, tables and the legacy `.pt` from a run."""

from schemas.cli import at_work, leave_at_interrupt, naming, run_command

if __name__ == "__main__":
    leave_at_interrupt()

import os
import sys
from importlib import import_module

from analyze.cli import parse

# The function of each command in `analyze.commands`, imported when it is called: pandas takes half a second
COMMANDS = {
    "plots": "plots.draw_plots",
    "summary": "summary.summarise_run",
    "verify": "verify.verify_run",
    "compare": "compare.compare_runs",
    "diagnose": "answers.diagnose.diagnose_run",
    "image": "answers.image.image_of_run",
    "prompts": "answers.prompts.compare_wordings",
    "prune": "heads.prune.prune_run",
    "maps": "heads.maps.map_run",
    "report": "report.report_run",
    "validate": "runs.validate_run",
    "subset": "runs.subset_run",
    "merge": "runs.merge_runs",
    "card": "card.write_card",
    "export-pt": "legacy.export_pt",
    "import-pt": "legacy.import_pt",
}


def run(argv: list[str] | None) -> int:
    """Parse the command line and run a command."""
    arguments = parse(sys.argv[1:] if argv is None else argv)
    module, _, function = COMMANDS[arguments.command].rpartition(".")
    place = "OUT" if "output" in arguments else "RUN"  # of commands without --output-dir
    called = {} if "output_dir" in arguments else {"output_dir": place}
    with naming(vars(arguments), called), at_work(arguments.command):
        code: int = getattr(import_module(f"analyze.commands.{module}"), function)(arguments)
    return code


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and run; returns the exit code."""
    return run_command(lambda: run(argv))


if __name__ == "__main__":
    # Pictures are files, of one style: a notebook's backend need not be installed here, and no matplotlibrc is read
    os.environ |= {"MPLBACKEND": "agg", "MATPLOTLIBRC": os.devnull}
    sys.exit(main())
