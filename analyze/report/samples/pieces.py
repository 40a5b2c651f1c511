"""All that the page says and holds of single samples."""

from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from analyze.diagnose import with_texts_of_options
from analyze.report.measures import Measured
from analyze.report.packing import Piece
from analyze.report.samples.choice import chosen_images, first_images, linked
from analyze.report.samples.maps import choose_maps, evidence, of_all
from analyze.report.samples.rows import NUMBERS, numbers_of_images, rows_of, state_names, state_values
from analyze.report.samples.second import Chosen, second_run
from analyze.report.samples.values import add_values, cells_of, choose_values, values_piece
from analyze.tables.frames import Heads

MEGABYTE = 10**6


@dataclass(frozen=True)
class Held:
    """How much a page holds, at most.

    Attributes:
        images: thumbnails; `maps_mb`: MB of maps, before they are compressed.
    """

    images: int = 24
    maps_mb: float = 1.0


def pieces_of_samples(
    heads: Heads, other: Heads | None, measured: Measured, held: Held, text_scope: str | None, file: BinaryIO
) -> tuple[list[Piece], dict[str, Any]]:
    """The pieces with images, maps and values of heads, and what the page says of samples.

    Args:
        other: a run to compare with.
        file: where the values of samples are kept.
    """
    samples = measured.samples
    states, (names, stateless) = state_values(samples, heads.task), state_names(heads.task)
    category = np.array([heads.categories.index(name) for name in samples["category"].astype(str)])
    order = linked(measured, states, category, heads.run.manifest.maps_of)
    images = chosen_images(heads.run.path, samples, order, held.images)
    places = {sha: place for place, sha in enumerate(images)}
    numbers = NUMBERS[heads.task.opposite]
    spelled = samples if heads.task.opposite else with_texts_of_options(samples)
    rows = rows_of(spelled, heads.categories, states, numbers)
    rows["picture"] = [places.get(sha) for sha in first_images(samples)]
    rows["images"] = numbers_of_images(samples)
    shown = [row for row in order if rows["picture"][row] is not None]
    budget, of, everyone = held.maps_mb * MEGABYTE, heads.run.manifest.maps_of, np.arange(len(samples))
    chosen = choose_maps(heads, measured, shown, budget)
    own = evidence(heads, chosen, list(images.values()))
    add_values(own, measured.measures, of, shown)
    values = choose_values(measured.measures, of, len(samples))
    pieces = [own, values_piece(measured.measures, values, (len(samples), everyone, everyone))]
    second = None
    if other is not None:
        scope = other.scope(text_scope)
        second, more = second_run(heads, other, scope, Chosen(chosen, values), list(numbers), budget, file)
        pieces += more
    return pieces, {
        "samples": rows,
        "states": list(names),
        "stateless": stateless,
        "opposite": heads.task.opposite,
        "numbers": numbers,
        "images": len(images),
        "maps": None if chosen is None else of_all(chosen, pieces),
        "values": cells_of(pieces[1]),
        "second": second,
    }
