"""`headflow`: all commands of both stages in one program."""

import sys
from importlib import import_module

from schemas.cli import begin, run_command

# Where each stage has its commands by name; neither imports the other
STAGES = {"extract.__main__": "STAGE_COMMANDS", "analyze.commands": "COMMANDS"}


def main() -> int:
    """Parse the command line and run; returns the exit code."""
    begin()
    from schemas.commands.command_line import run_program

    commands = {
        name: command
        for stage, registry in STAGES.items()
        for name, command in getattr(import_module(stage), registry).items()
    }
    about = "Which attention heads of a vision-language model look at the image, and does it matter?"
    return run_command(lambda: run_program("headflow", about, commands, sys.argv[1:]))
