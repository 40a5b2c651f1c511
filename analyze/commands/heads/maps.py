"""`maps`: where in the image heads look."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from analyze.cli import chosen_categories
from analyze.opening import files_of, make_folder, opened, output_folder
from analyze.printing.terminal import as_text
from analyze.tables.output import present
from schemas.cli import at_work, say
from schemas.store.directory import record_outputs
from schemas.text import counted, listed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from analyze.maps.results import Localisation
    from analyze.pictures.images import Images
    from analyze.pictures.overlays import Overlays

SHOWN = 10  # heads on the terminal
DRAWN = 6  # samples that are drawn unless others are asked for
PRINTED = [
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
FOLDER = "localisation"  # `maps` is a table's


def map_run(arguments: argparse.Namespace) -> int:
    """`maps`: the verdict, then tables, CSV files and pictures."""
    from analyze.maps.results import localise
    from analyze.pictures.images import Images
    from analyze.pictures.overlays import Overlays, chosen_heads, chosen_samples

    heads = opened(arguments.run, arguments.prompt)
    heads = heads.of(chosen_categories(arguments.categories, heads.categories))
    folder = output_folder(arguments.output_dir, heads, FOLDER)
    images = Images(heads, arguments.image_folder)
    make_folder(folder)
    found = localise(
        heads,
        effects=arguments.effects,
        above=arguments.above_mean,
        resamples=arguments.resamples,
        seed=arguments.seed,
    )
    places = chosen_heads(arguments.heads, found, arguments.top)
    overlays = Overlays.of(found, places, chosen_samples(arguments.samples, found, DRAWN), images)
    if arguments.samples_only:
        paths = _draw(_of_samples(overlays), overlays, images, folder, arguments)
        record_outputs(heads.run.path, paths)
        say(f"written: {', '.join(map(str, paths))}")
        return 0
    say(f"{heads.run.path}, {heads.run.manifest.model}, maps of {overlays.whose}")
    present(
        found.verdict(),
        found.tables(),
        folder,
        heads.run.path,
        show=lambda: _print(found, arguments),
        draw=lambda: _draw(_figures(found, overlays), overlays, images, folder, arguments),
    )
    return 0


def _print(found: "Localisation", arguments: argparse.Namespace) -> None:
    tables = found.tables()
    table = tables["heads.csv"].sort_values("mass", ascending=False, kind="stable")
    print(f"\nheads with the largest mass; 95% intervals by image are in heads.csv, seed {arguments.seed}")
    shown = [column for column in PRINTED if column in table]
    print(as_text(table[shown].head(SHOWN).dropna(axis="columns", how="all"), 3))
    if "pointing" in table:
        print(
            "\nheads that point best on all images; inside: share of the map in the boxes over their share of the area"
        )
        best = table.sort_values("pointing", ascending=False, kind="stable")
        print(as_text(best[[*shown[:3], *shown[-2 - ("effect" in shown) :], "p_centre", "p_chance"]].head(SHOWN), 3))


def _draw(
    figures: "Iterator[tuple[str, Figure]]",
    overlays: "Overlays",
    images: "Images",
    folder: Path,
    arguments: argparse.Namespace,
) -> list[Path]:

    if images.missing:
        reasons = listed(list(dict.fromkeys(images.missing.values())), 2)
        number = f"{len(images.missing)} of {len(overlays.maps)} samples that are drawn"
        say(f"warning: {number} have no image, and grey in its place: {reasons}", error=True)
    with at_work("drawing"), files_of(arguments) as files:
        return [files.save(figure, folder / name) for name, figure in figures]


def _of_samples(overlays: "Overlays") -> "Iterator[tuple[str, Figure]]":
    from analyze.drawing.results.maps import overlays_figure

    yield from ((picture.name, overlays_figure(picture)) for picture in overlays.of_samples())


def _figures(found: "Localisation", overlays: "Overlays") -> "Iterator[tuple[str, Figure]]":
    from analyze.drawing.results.maps import looks_figure, overlays_figure, sinks_figure
    from analyze.pictures.of_run import subject

    of = (counted(len(found.samples), "sample"), *subject(found.heads))
    yield "looks", looks_figure(found.looks.table, found.looks.threshold, of, told=found.looks.told)
    if found.looks.layers["sink"].any():
        yield "sinks", sinks_figure(found.looks.layers, of)
    for picture in overlays.all():
        yield picture.name, overlays_figure(picture)
