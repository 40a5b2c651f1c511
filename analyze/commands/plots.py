"""`plots`: tally, then draw."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from analyze.cli import chosen_categories, chosen_layers
from analyze.opening import files_of, make_folder, opened, output_folder, workers_of
from analyze.pictures.kinds import Picture
from analyze.tables.frames import ANSWERS, TOKENS, Heads, check_flows
from schemas.cli import PATIENCE, end_clock, say
from schemas.columns import CONTRIBUTION_COLUMNS, CONTRIBUTIONS
from schemas.errors import HeadflowError
from schemas.store.directory import record_outputs
from schemas.text import counted, listed

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 20  # letters that are named
MOST_CATEGORIES = 100  # that get pictures unless they are named


def draw_plots(arguments: argparse.Namespace) -> int:
    """`plots`: tally, then draw."""
    from analyze.pictures.of_run import Pictures, subject
    from analyze.pictures.signed import contribution_maps, effect_maps
    from analyze.tables.bins import bin_edges
    from analyze.tables.tallies import tally

    edges = bin_edges(arguments.bins, tuple(arguments.range) if arguments.range else None)
    with workers_of(arguments) as workers:
        heads = opened(arguments.run, arguments.prompt, columns=[*TOKENS, *ANSWERS], workers=workers)
        scope = heads.scope(arguments.text_scope)
        flows, added = _columns(arguments.metrics, heads)
        layers = chosen_layers(arguments.layers, heads.layers)
        categories = chosen_categories(arguments.categories, heads.categories)
        folder = output_folder(arguments.output_dir, heads)
        make_folder(folder)
        found = tally(heads, flows, scope, edges, spread=False, workers=workers) if flows else None
    of, drawn = subject(heads, scope if flows else None), []
    if found is not None:
        for flow, share in found.outside().items():
            if share:
                say(f"warning: {share:.2%} of {flow} lies outside the bins and is not drawn", error=True)
        if arguments.categories is None and len(categories) > MOST_CATEGORIES:
            categories = _largest(found.samples())
        drawn += Pictures(found, of, arguments.prefix, layers, categories, arguments.ymax, arguments.vmax).all()
    drawn += contribution_maps(heads, added, subject(heads), arguments.prefix)
    drawn += effect_maps(heads, arguments.effects or (), subject(heads), arguments.prefix)
    _warn(drawn, [*categories, *of])
    size = tuple(arguments.figsize)
    paths = _write(drawn, folder, size, arguments)
    record_outputs(heads.run.path, paths)
    say(f"{counted(len(paths), 'picture')} in {folder}, {paths[0].name} first")
    return 0


def _largest(samples: "pd.Series") -> list[str]:
    """The categories with the most samples, in the order of the run; it says that others get no picture."""
    largest = samples[samples.index.isin(samples.nlargest(MOST_CATEGORIES).index)].index
    say(
        f"warning: pictures of {len(largest)} of {len(samples):,} categories, those with the most samples; "
        "--categories names others",
        error=True,
    )
    return list(map(str, largest))


def _columns(asked: Sequence[str], heads: Heads) -> tuple[tuple[str, ...], list[str]]:
    """The mass columns that are asked for, and those of `contributions`.

    Raises:
        HeadflowError: the run does not have one of them.
    """
    manifest, names = heads.run.manifest, [column.name for column in CONTRIBUTION_COLUMNS]
    if (added := [name for name in dict.fromkeys(asked) if name in names]) and CONTRIBUTIONS not in manifest.tables:
        raise HeadflowError(f"this run has no {listed(added)}: it has no table {CONTRIBUTIONS}", setting="metrics")
    return check_flows([name for name in asked if name not in names], manifest), added


def _write(
    pictures: Sequence[Picture], folder: Path, figsize: tuple[float, float], arguments: argparse.Namespace
) -> list[Path]:
    """Draw pictures into a folder, with a progress bar; returns the paths of the files."""
    from tqdm import tqdm

    from analyze.drawing.panels import draw

    end_clock()
    shown = tqdm(pictures, unit="picture", dynamic_ncols=True, disable=None, delay=PATIENCE, leave=False)
    with files_of(arguments) as files, shown as progress:
        return [files.save(draw(picture, figsize), folder / picture.name) for picture in progress]


def _warn(pictures: Sequence[Picture], names: Sequence[str]) -> None:
    """Say which letters of names cannot be drawn, and whether bars or colours are cut."""
    from analyze.drawing.fonts import undrawable

    if letters := undrawable(names):
        shown = "".join(letters[:SHOWN]) + ("..." if len(letters) > SHOWN else "")
        code = letters[0].encode("unicode_escape").decode()
        say(
            f"warning: no font here has {shown}; pictures have codes in their place, such as {code}; install a font, "
            "such as Noto Sans CJK",
            error=True,
        )
    if cut := [picture.name for picture in pictures if picture.cut]:
        say(
            f"warning: {len(cut)} of {len(pictures)} pictures cut what lies above --ymax or --vmax, {cut[0]} first",
            error=True,
        )
