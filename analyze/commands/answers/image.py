"""`image`: what the answers of a run owe to the image, from a run without it."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from analyze.opening import files_of, make_folder, name_with, opened, output_folder
from analyze.printing.terminal import as_text
from analyze.tables.output import present
from schemas.cli import at_work, say
from schemas.text import counted

if TYPE_CHECKING:
    from analyze.image.gain import Gain
    from analyze.image.pairs import ImagePairs

SHOWN = 5  # heads on the terminal


def image_of_run(arguments: argparse.Namespace) -> int:
    """`image`: the verdict, then tables, CSV files and a picture."""
    from analyze.image.content import content_by_head
    from analyze.image.gain import find_gain

    pairs = opened_pair(arguments)
    folder = output_folder(arguments.output_dir, pairs.run, name_with("image_over", pairs.run, pairs.without))
    make_folder(folder)
    found, content = find_gain(pairs), content_by_head(pairs)
    say(f"{pairs.run.run.path}, {pairs.run.manifest.model}")
    say_pairs(pairs)
    tables = {"image.csv": found.table} | ({"scores.csv": found.scores} if len(found.scores) else {})
    tables |= {} if content is None else {"heads.csv": content}
    present(
        found.verdict(),
        tables,
        folder,
        pairs.run.run.path,
        show=lambda: _print(found, content, arguments),
        draw=lambda: _draw(found, pairs, folder, arguments),
    )
    return 0


def opened_pair(arguments: argparse.Namespace) -> "ImagePairs":
    """A run and the one without its images, as the flags name them."""
    from analyze.image.pairs import pair_runs

    run, without = (opened(path, arguments.prompt) for path in (arguments.run, arguments.without))
    return pair_runs(run, without, resamples=arguments.resamples, seed=arguments.seed)


def say_pairs(pairs: "ImagePairs") -> None:
    """Say which run is without the images, and how many questions both have."""
    say(f"without the image: {pairs.without.run.path}, {pairs.without.manifest.images} images")
    say(pairs.in_words())
    if pairs.few:
        say("warning: fewer than half of the samples of a run are paired; the results are of these alone", error=True)


def _print(found: "Gain", content: pd.DataFrame | None, arguments: argparse.Namespace) -> None:
    print(
        f"\nwith the image and without; 95% intervals, {arguments.resamples} resamples of images, seed {arguments.seed}"
    )
    habits = ["frequent", "unchanged", "yes", "yes_without"]
    print(as_text(found.table.drop(columns=habits), 2))
    print("\n%: right by the more frequent answer of a category, unchanged without the image, yes with it and without")
    print(as_text(found.table[["category", *habits]], 1))
    if len(found.scores):
        print(f"\nMME score\n{as_text(found.scores, 1)}")
    if content is not None:
        print(
            f"\nheads whose maps differ most between the images, {SHOWN} of {len(content)}: Jensen-Shannon "
            "divergence, from 0, the same, to 1, apart; 95% intervals by image, of each head alone: the largest of "
            "many are too large by chance"
        )
        print(as_text(content.head(SHOWN), 3))


def _draw(found: "Gain", pairs: "ImagePairs", folder: Path, arguments: argparse.Namespace) -> list[Path]:
    from analyze.drawing.results.image import gain_figure
    from analyze.pictures.of_run import subject

    of = (*subject(pairs.run), f"without the image: {found.images}", counted(pairs.clusters.images, "image"))
    with at_work("drawing"), files_of(arguments) as files:
        return [files.save(gain_figure(found.table, found.images, of), folder / "image")]
