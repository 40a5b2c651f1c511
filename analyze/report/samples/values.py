"""The values of heads for single samples in the page: what its table of samples is sorted by, and tiles of heads show.

Values are in 16 bits: steps from 0 for `low` to 65534 for `high`, 65535 for none (types: `app/src/data.ts`).

The piece `values` has the values of some heads for all samples: `data` has, by the key of a measure, `cells`, `low`
and `high`, and the array of that name is [cells, samples]. The piece `evidence` has, for the samples in `rows`, the
values of all heads: `values` in its data has `low` and `high` by measure, and the array `values/KEY` is [rows, cells].
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from analyze.report.measures import Measure, Measured
from analyze.report.packing import Arrays, Piece
from analyze.report.samples.choice import by_standing, in_turn, of_image
from analyze.statistics.clusters import Codes
from analyze.tables.kept import NONE, KeptValues, Steps

VALUES = "values"
MOST_BYTES = 150_000  # of either piece
MOST_OF_HEADS = 250_000  # bytes of a piece with the values of some heads for all samples, before it is packed
_BYTES = 2  # of a value


def choose_values(measures: Sequence[Measure], of: str | None, samples: int) -> dict[str, list[int]]:
    """The heads of each measure, by its key, whose values for all samples are in the page; in order.

    They are those that stand out, a measure in turn; measures that say little of the image are one of them together.
    """
    first = of_image(measures, of)
    others = [each for each in measures if each not in first]
    size = max((each.found.cells for each in measures), default=0)
    numbers = {one.key: place * size for place, one in enumerate(measures)}
    groups = [[numbers[one.key] + cell for cell in by_standing(one)] for one in (*first, *others)]
    turns = in_turn(*groups[: len(first)], in_turn(*groups[len(first) :]))
    chosen = np.array([*turns], np.int64)[: MOST_BYTES // (_BYTES * samples)]
    found = {one.key: np.sort(chosen[chosen // size == place] % size).tolist() for place, one in enumerate(measures)}
    return {key: cells for key, cells in found.items() if cells}


def values_piece(
    measures: Sequence[Measure],
    chosen: Mapping[str, Sequence[int]],
    pairs: tuple[int, Codes, Codes],
    name: str = VALUES,
) -> Piece:
    """The piece with the values of some heads for all samples.

    Args:
        chosen: the heads, by the key of a measure.
        pairs: how many samples the page has, the places of those that have values, and their rows in the measures.
    """
    arrays, data = Arrays(), {}
    samples, places, rows = pairs
    for one in measures:
        if one.key not in chosen or one.kept is None:
            continue
        cells = list(chosen[one.key])
        found = np.full((len(cells), samples), NONE, np.uint16)
        for place, cell in enumerate(cells):
            found[place, places] = one.kept.of_cells(cell, cell + 1)[0, rows]
        arrays.add(one.key, found)
        data[one.key] = {"cells": cells, **_ends(one.kept)}
    return Piece(name, data, arrays)


def cells_of(piece: Piece) -> dict[str, list[int]]:
    """The heads of each measure, by its key, whose values a piece has."""
    return {key: one["cells"] for key, one in piece.data.items()}


def of_first_measures(measures: Sequence[Measure], of: str | None, rows: int) -> list[Measure]:
    """The measures whose values of all heads are in the page for so many rows: those that say most of the image."""
    first = of_image(measures, of)
    size = _BYTES * rows * max((each.found.cells for each in measures), default=0)
    return [*first, *(each for each in measures if each not in first)][: MOST_BYTES // max(1, size)]


def with_values(piece: Piece, measures: Sequence[Measure], rows: Sequence[int]) -> Piece:
    """A piece with the values of all heads for some samples added."""
    return _added(piece, rows, [(one.key, one.kept, one.kept.of_samples(rows)) for one in measures if one.kept])


def with_values_of_each(pieces: Sequence[tuple[int, Piece]], measures: Sequence[Measure]) -> Iterator[Piece]:
    """Some pieces, each of one row, with the values of all heads for that row added."""
    rows = [row for row, _ in pieces]
    known = [(one.key, one.kept, one.kept.of_samples(rows)) for one in measures if one.kept] if rows else []
    for place, (row, piece) in enumerate(pieces):
        yield _added(piece, [row], [(key, kept, steps[[place]]) for key, kept, steps in known])


def _added(piece: Piece, rows: Sequence[int], known: Iterable[tuple[str, KeptValues, Steps]]) -> Piece:
    piece.data["rows"], piece.data["values"] = list(rows), {}
    for key, kept, steps in known:
        piece.arrays.add(f"values/{key}", steps)
        piece.data["values"][key] = _ends(kept)
    return piece


def write_values(measured: Measured, shape: tuple[int, int], write: Callable[[Piece], None]) -> int:
    """Write the values of all heads for all samples: pieces of each measure, of as many heads as fit, at most a layer.

    Returns:
        How many heads a piece has.
    """
    layers, heads = shape
    each = max(1, min(heads, MOST_OF_HEADS // (_BYTES * max(1, len(measured.samples)))))
    for number, one in enumerate(measured.measures):
        if one.kept is None:
            continue
        for place, first in enumerate(range(0, layers * heads, each)):
            cells, arrays = range(first, min(first + each, layers * heads)), Arrays()
            arrays.add(one.key, one.kept.of_cells(cells.start, cells.stop))
            write(Piece(f"{VALUES}-{number}-{place}", {one.key: {"cells": list(cells), **_ends(one.kept)}}, arrays))
    return each


def _ends(kept: KeptValues) -> dict[str, Any]:
    return {"low": kept.low, "high": kept.high}
