"""What can be asked of a look: one image and one question."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from extract.settings import Deciding, Device
from schemas.commands.settings import Between, Checked, Flag, in_utf8, line_breaks
from schemas.commands.shared import Page
from schemas.manifest import ROWS


@dataclass(frozen=True, kw_only=True)
class LookSettings(Deciding, Device, Page):
    """A model, an image and a question."""

    image: Annotated[Path, "image file, one; a question about several stands in a question file"]
    question: Annotated[
        str,
        "the question; `\\n` is a line break; the empty `prompt_suffix` asks it as it is",
        Checked(in_utf8),
        Flag(typed=line_breaks),
    ]
    options: Annotated[
        tuple[str, ...],
        "options of the question, which is then answered by the letter of one",
        Flag(metavar="OPTION"),
        Checked(lambda options: tuple(map(in_utf8, options))),
    ] = ()
    top: Annotated[
        int,
        "how many heads are printed and drawn, those with the highest a2v, or q2v where maps are of the question",
        Between(1, ROWS),
    ] = 6
    output_dir: Annotated[
        Path | None, "where the run of one sample and its picture go (default: runs/looks/NAME-HASH)"
    ] = None
    overwrite: Annotated[bool, "remove the run in the directory, if there is one, and start anew"] = False
    maps: ClassVar[bool] = True  # type: ignore[misc]  # no setting here: they are always made
    text: ClassVar[Path | None] = None  # type: ignore[misc]  # the sample of a look has no id before
    prompts: ClassVar[tuple[str, ...]] = ()  # type: ignore[misc]  # one question is asked in one wording
