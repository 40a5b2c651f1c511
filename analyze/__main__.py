"""`python -m analyze`: pictures, tables and the legacy `.pt` from a run."""

from schemas.cli import begin, run_command

if __name__ == "__main__":
    begin()

import sys

from analyze.commands import COMMANDS
from schemas.commands.command_line import run_program

_HELP = "Pictures, tables and .pt from a run."


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and run; returns the exit code."""
    words = sys.argv[1:] if argv is None else argv
    return run_command(lambda: run_program("python -m analyze", _HELP, COMMANDS, words))


if __name__ == "__main__":
    sys.exit(main())
