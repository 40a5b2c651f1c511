"""Stage 2, the laptop: a run in; pictures, tables and the legacy `.pt` out. Torch for the `.pt` only.

tables/     a run as pandas
pictures/   what the pictures of a run show, from its tally
drawing/    statistics in, an Axes out
derived/    runs made of other runs: subset, merge
statistics/ intervals and tests whose unit is the image
opening     what commands share: opening a run, and the folder that files go to
commands/   one module for each command: its settings and its work; a result comes back
notebook    a run in a notebook
results     what a command found, and how it is printed, written and drawn
printing/   tables that fit the terminal
compare/    two runs compared
maps/       where in the image heads look
generated/  where heads look while the model writes
mentions/   what texts name, and where heads look then
image/      what answers owe to the image
knockouts/  what jobs of knock-outs measured
prune/      which heads or layers can be cut
report/     a run as one page for a browser
card/       a run as a folder for the Hugging Face hub
summary, diagnose (with positions), wordings, legacy   the work of one command each
scores/     the score of a task, and its interval
scorers/    what the scorers of other tools read
published/  a run compared with published figures
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # pandas is imported where a table is read
    from analyze.notebook import OpenedRun


def open_run(path: str, prompt: str | None = None) -> "OpenedRun":
    """Open a run in a notebook; see `analyze.notebook.OpenedRun`.

    Raises:
        HeadflowError: there is no run, or it cannot be read.
    """
    from analyze.notebook import OpenedRun

    return OpenedRun(path, prompt)
