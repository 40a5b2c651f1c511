"""All that the page says and holds of single samples."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analyze.diagnose import with_texts_of_options
from analyze.report.measures import Measured
from analyze.report.packing import Piece
from analyze.report.samples.choice import chosen_images, first_images, linked
from analyze.report.samples.folder import SamplesHeld, write_folder
from analyze.report.samples.maps import Unread, choose_maps, evidence, of_all
from analyze.report.samples.rows import NUMBERS, numbers_of_images, prompt_of, rows_of, state_names, state_values
from analyze.report.samples.second import Chosen, second_run
from analyze.report.samples.texts import choose_texts, has_texts, write_texts
from analyze.report.samples.values import choose_values, of_first_measures, values_piece, with_values
from analyze.tables.frames import Heads

MEGABYTE = 10**6


@dataclass(frozen=True)
class Held:
    """How much a page holds, at most.

    Attributes:
        images: thumbnails; None: 24 in a file, all in a folder.
        maps_mb: MB of maps, before they are compressed, half of them for tokens in a run that has some; None: 1 in a
            file, 500 in a folder.
    """

    images: int | None = None
    maps_mb: float | None = None

    def number(self, *, folder: bool) -> int:
        """How many images."""
        return self.images if self.images is not None else sys.maxsize if folder else 24

    def bytes_of_maps(self, *, folder: bool) -> float:
        """How many bytes of maps."""
        return (self.maps_mb if self.maps_mb is not None else 500 if folder else 1) * MEGABYTE


def pieces_of_samples(
    heads: Heads,
    other: Heads | None,
    measured: Measured,
    measured_second: Measured | None,
    held: Held,
    write: Callable[[Piece], None] | None,
    unread: Sequence[Unread],
) -> tuple[list[Piece], dict[str, Any]]:
    """The pieces with images, maps and values of heads that are in the page, and what it says of samples.

    Args:
        other: a run to compare with; `measured_second`: its measures.
        write: takes the pieces that the page loads from its folder; None: all are in the page.
        unread: is told of parts that cannot be read, of either run.
    """
    samples, of = measured.samples, heads.run.manifest.maps_of
    states, (names, stateless) = state_values(samples, heads.task), state_names(heads.task)
    category = np.array([heads.categories.index(name) for name in samples["category"].astype(str)])
    order = linked(measured, states, category, of)
    scored = bool(samples["right"].notna().any())
    numbers = NUMBERS[heads.task.opposite] if scored else {}
    spelled = samples if heads.task.opposite else with_texts_of_options(samples)
    columns = list(dict.fromkeys([*numbers, "lead"])) if scored else []
    rows = rows_of(spelled, heads.categories, states, columns) | {"images": numbers_of_images(samples)}
    if not heads.task.options:
        rows["options"] = [None if each is None else list(each) for each in samples["options"]]
    pieces: list[Piece] = []
    folder = write is not None
    budget = held.bytes_of_maps(folder=folder) / (2 if has_texts(heads) else 1)
    if write is None:
        found, shown = _in_the_page(heads, measured, order, held, budget, pieces.append, unread[0])
    else:
        found = write_folder(heads, measured, order, held.number(folder=True), budget, write, unread[0])
        shown = []
    second, top, texts = None, found.top, None
    order_of_texts = list(dict.fromkeys([*shown, *order]))
    taken = choose_texts(heads, measured, order_of_texts, len(shown), budget, folder=folder)
    if taken is not None:
        texts, top_of_steps = write_texts(heads, taken, write or pieces.append, unread[0], folder=folder)
        top = max(top, top_of_steps)
    if other is not None and measured_second is not None:
        values = choose_values(measured.measures, of, len(samples))
        chosen = Chosen(found.chosen, values, taken, order_of_texts, len(shown))
        budget = held.bytes_of_maps(folder=False)
        second, more, top_b = second_run(heads, other, measured_second, chosen, columns, budget, unread[1])
        top = max(top, top_b)
        if second["texts"] is not None:
            second["texts"]["top"] = top
        for piece in more:
            (write or pieces.append)(piece)
    return pieces, {
        "samples": rows | {"picture": found.pictures},
        "prompt": prompt_of(heads, samples),
        "scored": scored,
        "states": list(names),
        "stateless": stateless,
        "opposite": heads.task.opposite,
        "numbers": numbers,
        "images": found.images,
        "maps": None if found.chosen is None else of_all(found.chosen, top),
        "texts": None if texts is None else texts | {"top": top},
        "values": found.values,
        "folder": found.layout,
        "second": second,
    }


def _in_the_page(
    heads: Heads,
    measured: Measured,
    order: Sequence[int],
    held: Held,
    budget: float,
    add: Callable[[Piece], None],
    unread: Unread,
) -> tuple[SamplesHeld, list[int]]:
    """Add the pieces of a page that is one file; returns the rows that have an image, too."""
    samples, of = measured.samples, heads.run.manifest.maps_of
    images = chosen_images(heads.run.path, samples, order, held.number(folder=False))
    places = {sha: place for place, sha in enumerate(images)}
    pictures = [places.get(sha) for sha in first_images(samples)]
    shown = [row for row in order if pictures[row] is not None]
    chosen = choose_maps(heads, measured, shown, budget)
    piece, top = evidence(heads, chosen, list(images.values()), unread)
    add(with_values(piece, of_first_measures(measured.measures, of, len(shown)), shown))
    values, everyone = choose_values(measured.measures, of, len(samples)), np.arange(len(samples))
    add(values_piece(measured.measures, values, (len(samples), everyone, everyone)))
    return SamplesHeld(pictures, len(images), chosen, top, values), shown
