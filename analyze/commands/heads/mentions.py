"""`mentions`: what texts name, true and made up, and where heads look meanwhile."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from analyze.commands.shared_settings import PictureSettings, PromptSettings, ResampleSettings, RunSettings
from analyze.opening import opened, output_folder
from analyze.results import Result, Shown

if TYPE_CHECKING:
    from analyze.mentions.results import Mentions
    from analyze.results import Figures
    from analyze.tables.frames import Heads

_SHOWN = 10  # rows on the terminal
_FOLDER = "mentions"


@dataclass(frozen=True)
class MentionsSettings(ResampleSettings, PictureSettings, PromptSettings, RunSettings):
    """Settings of `mentions`."""


def find_in_run(settings: MentionsSettings) -> Result:
    """`mentions`: the verdict, tables and pictures."""
    from analyze.maps.reading import of_several
    from analyze.mentions.results import mentions_of

    heads = opened(settings.run, settings.prompt)
    folder = output_folder(settings.output_dir, heads, _FOLDER)
    found = mentions_of(heads, resamples=settings.resamples, seed=settings.seed)
    about = f"{heads.run.path}, {heads.run.manifest.model}: {found.texts} texts on {found.images} images with objects"
    return Result(
        heads.run.path,
        folder,
        about=[about],
        warnings=[line for line in [of_several(heads)] if line is not None],
        statements=list(found.verdict()),
        shown=list(_shown(found)),
        tables=found.tables(),
        figures=_figures(found, heads),
    )


def _shown(found: "Mentions") -> Iterator[Shown]:
    if found.rows.empty:
        return
    yield Shown("objects that are named most", found.objects.head(_SHOWN), 0)
    yield Shown("made up, by the step at which the object is named; 95% intervals by image", found.steps, 3)
    if len(found.told.table):
        table = found.told.table.sort_values("p", kind="stable").head(_SHOWN)
        yield Shown("heads with the smallest p; adjusted_p: false discovery rate", table, 3)
    if len(found.pointing):
        table = found.pointing.sort_values("pointing", ascending=False, kind="stable").head(_SHOWN)
        columns = ["layer", "head", "pointing", "low", "high", "centre", "chance", "elsewhere", "points"]
        yield Shown("pointing at the object as it is named; elsewhere: at the other words", table[columns], 3)


def _figures(found: "Mentions", heads: "Heads") -> "Figures":
    from analyze.drawing.results.signed import signed_figure
    from analyze.pictures.of_run import subject

    if found.told.table.empty:
        return
    table = found.told.table
    shape = heads.shape
    yield (
        "heads",
        partial(
            signed_figure,
            table["auroc"].to_numpy().reshape(shape) - 0.5,
            "Image mass at true against made-up mentions",
            [f"{found.told.mentions} mentions on {found.told.images} images", *subject(heads)],
            label="AUROC - 0.5, within words and bins of steps",
            shown=table["tells"].to_numpy().reshape(shape),
            layers=heads.run.manifest.attending,
            none="No head tells true mentions from made-up ones by its image mass, as far as can be told.",
        ),
    )
