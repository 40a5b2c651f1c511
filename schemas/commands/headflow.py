"""`headflow`: all commands of both stages in one program."""

import sys
from importlib import import_module

from schemas.cli import begin, run_command


def main() -> int:
    """Parse the command line and run; returns the exit code."""
    begin()
    from schemas.commands.command_line import run_program

    stages = import_module("extract.__main__"), import_module("analyze.commands")  # neither imports the other
    commands = stages[0].STAGE_COMMANDS | stages[1].COMMANDS
    about = "Which attention heads of a vision-language model look at the image, and does it matter?"
    return run_command(lambda: run_program("headflow", about, commands, sys.argv[1:]))
