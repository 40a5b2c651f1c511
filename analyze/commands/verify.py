"""`verify`: a run compared with published figures."""

from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from analyze.commands.shared_settings import PictureSettings, Prefix, PromptSettings, RunSettings
from analyze.opening import opened, output_folder
from analyze.published.reference import LLAVA_MME, read_reference
from analyze.results import Result, Shown
from schemas.cli import USAGE
from schemas.commands.settings import Flag

if TYPE_CHECKING:
    from analyze.published.verify import Verification


@dataclass(frozen=True)
class VerifySettings(PictureSettings, PromptSettings, RunSettings):
    """Settings of `verify`."""

    _: KW_ONLY
    prefix: Prefix = "mme"
    reference: Annotated[Path | None, "the figures (default: LLaVA-1.5-7B on MME)", Flag(metavar="FILE")] = None


def verify_run(settings: VerifySettings) -> Result:
    """`verify`: the exit code is 0 if the run matches, 1 if it differs, 2 if it cannot be compared, as `diff` does."""
    from analyze.drawing.results.verification import verification_figure
    from analyze.pictures.of_run import subject
    from analyze.published.verify import verify

    file = settings.reference or LLAVA_MME
    reference = read_reference(file)
    heads = opened(settings.run, settings.prompt)
    folder = output_folder(settings.output_dir, heads, check=False)
    found = verify(heads, reference)
    verdict, *why = found.verdict()
    of = (*subject(heads), f"compared with {file.name}")
    return Result(
        heads.run.path,
        folder,
        about=[f"{settings.run} against {reference.what}", f"source: {reference.source}"],
        statements=[verdict, *(f"  {each}" for each in why)],
        shown=list(_shown(found)),
        tables={"verify.csv": found.figures},
        figures=[(f"{settings.prefix}_verify", partial(verification_figure, found.figures, verdict, of))],
        code=0 if found.matches else USAGE if found.obstacles else 1,
    )


def _shown(found: "Verification") -> Iterator[Shown]:
    import pandas as pd

    settings = pd.DataFrame(found.settings).rename(columns={"name": "setting"})
    yield Shown("settings", settings.replace({True: "yes", False: "no"}), 4)
    for group, figures in found.figures.groupby("group", sort=False):
        yield Shown("overall" if group == "overall" else f"by {group}", figures.drop(columns="group"), 5)
