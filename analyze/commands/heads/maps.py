"""`maps`: where in the image heads look."""

from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated

from analyze.commands.shared_settings import PictureSettings, PromptSettings, ResampleSettings, RunSettings
from analyze.opening import opened, output_folder
from analyze.results import Result, Shown
from schemas.commands.settings import Between, Flag, Needs
from schemas.files.locations import Location
from schemas.text import counted

if TYPE_CHECKING:
    from analyze.maps.results import Localisation
    from analyze.pictures.overlays import Overlays
    from analyze.results import Figures

_SHOWN = 10  # heads on the terminal
_DRAWN = 6  # samples that are drawn unless others are asked for
_PRINTED = [
    "layer",
    "head",
    "mass",
    "entropy",
    "spatial_entropy",
    "sink_share",
    "chosen",
    "pointing",
    "inside",
    "effect",
]
_FOLDER = "localisation"  # `maps` is a table's


@dataclass(frozen=True)
class MapsSettings(ResampleSettings, PictureSettings, PromptSettings, RunSettings):
    """Settings of `maps`."""

    _: KW_ONLY
    samples: Annotated[
        tuple[str, ...] | None, "samples that are drawn (default: the first of six categories)", Flag(metavar="ID")
    ] = None
    samples_only: Annotated[bool, "draw a picture of each of these samples, and nothing else"] = False
    heads: Annotated[
        tuple[str, ...] | None,
        "heads that are drawn (default: the three that localise best, then those of largest mass)",
        Flag(metavar="L3H5"),
    ] = None
    top: Annotated[int, "how many heads are drawn, where none is named", Between(1, 100), Needs("heads", (None,))] = 6
    image_folder: Annotated[
        Location | None, "where the images are (default: where the run had them, else its thumbnails)"
    ] = None
    picture: Annotated[
        int,
        "of questions with several images, the image whose maps count, from 0 in the order of the prompt; boxes are of "
        "the first",
        Between(0, 1000),
    ] = 0
    categories: Annotated[tuple[str, ...] | None, "samples that count (default: all)"] = None
    above_mean: Annotated[
        float,
        "attention above the mean from which on a patch counts in spatial entropy; LocalizationHeads' code has 0.001",
        Between(0, 1),
    ] = 0.0
    effects: Annotated[
        tuple[str, ...] | None, "the job of single heads (default: the only one, or edge)", Flag(metavar="JOB")
    ] = None


def map_run(settings: MapsSettings) -> Result:
    """`maps`: the verdict, tables and pictures."""
    from analyze.maps.reading import of_picture, of_several
    from analyze.maps.results import localise
    from analyze.pictures.images import PictureImages
    from analyze.pictures.overlays import Overlays, chosen_heads, chosen_samples
    from analyze.tables.frames import chosen_categories

    heads = opened(settings.run, settings.prompt)
    heads = of_picture(heads.of(chosen_categories(settings.categories, heads.categories)), settings.picture)
    folder = output_folder(settings.output_dir, heads, _FOLDER)
    images = PictureImages(heads, settings.image_folder)
    found = localise(
        heads,
        effects=settings.effects,
        above=settings.above_mean,
        resamples=settings.resamples,
        seed=settings.seed,
    )
    places = chosen_heads(settings.heads, found, settings.top)
    overlays = Overlays.of(found, places, chosen_samples(settings.samples, found, _DRAWN), images)
    warnings = images.warnings(f"{len(overlays.maps)} samples")
    if settings.samples_only:
        warnings += filter(None, [of_several(heads)])  # no verdict says so
        return Result(heads.run.path, folder, warnings=warnings, figures=_of_samples(overlays))
    return Result(
        heads.run.path,
        folder,
        about=[f"{heads.run.path}, {heads.run.manifest.model}, maps of {overlays.whose}"],
        warnings=warnings,
        statements=found.verdict(),
        shown=list(_shown(found, settings.seed)),
        tables=found.tables(),
        figures=_figures(found, overlays),
    )


def _shown(found: "Localisation", seed: int) -> Iterator[Shown]:
    table = found.tables()["heads.csv"].sort_values("mass", ascending=False, kind="stable")
    shown = [column for column in _PRINTED if column in table]
    title = f"heads with the largest mass; 95% intervals by image are in heads.csv, seed {seed}"
    yield Shown(title, table[shown].head(_SHOWN).dropna(axis="columns", how="all"), 3)
    if "pointing" in table:
        best = table.sort_values("pointing", ascending=False, kind="stable")
        columns = [*shown[:3], *shown[-2 - ("effect" in shown) :], "p_centre", "p_chance"]
        title = "heads that point best on all images; inside: share of the map in the boxes over that of the area"
        yield Shown(title, best[columns].head(_SHOWN), 3)


def _of_samples(overlays: "Overlays") -> "Figures":
    from analyze.drawing.results.maps import overlays_figure

    yield from ((picture.name, partial(overlays_figure, picture)) for picture in overlays.of_samples())


def _figures(found: "Localisation", overlays: "Overlays") -> "Figures":
    from analyze.drawing.results.maps import looks_figure, overlays_figure, sinks_figure
    from analyze.pictures.of_run import subject

    of = (counted(len(found.samples), "sample"), *subject(found.heads))
    yield "looks", partial(looks_figure, found.looks.table, found.looks.threshold, of, told=found.looks.told)
    if found.looks.layers["sink"].any():
        yield "sinks", partial(sinks_figure, found.looks.layers, of)
    for picture in overlays.all():
        yield picture.name, partial(overlays_figure, picture)
