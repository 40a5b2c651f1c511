"""`python -m extract`: run a vision-language model over a question file and write a run."""

from schemas.cli import begin, run_command

if __name__ == "__main__":
    begin()

import sys

from schemas.commands.command_line import Command, run_program

STAGE_COMMANDS = {
    "extract": Command(
        "run a model over questions; one row per (sample, layer, head)",
        "extract.command:extract",
        settings_at="extract.settings:Extract",
    ),
    "knock-out": Command(
        "run a run's model again with parts of it knocked out; one row per (sample, knock-out)",
        "extract.knockouts.command:knock_out",
        settings_at="extract.knockouts.settings:KnockOut",
    ),
    "look": Command(
        "ask about one image; print the answer and the heads that look most at it, and draw where they look",
        "extract.look.command:look",
        settings_at="extract.look.settings:LookSettings",
    ),
    "families": Command(
        "the model families and what each offers; or what would happen to a model, by its config files",
        "extract.survey.command:families",
        settings_at="extract.survey.settings:Families",
    ),
}


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and run; returns the exit code."""
    words = sys.argv[1:] if argv is None else argv
    others = {name: command for name, command in STAGE_COMMANDS.items() if name != "extract"}
    itself = STAGE_COMMANDS["extract"]
    return run_command(lambda: run_program("python -m extract", itself.help, others, words, itself))


if __name__ == "__main__":
    sys.exit(main())
