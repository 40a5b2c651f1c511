"""The pieces of a page that is a folder: written one after the other, so that memory does not grow with the run.

`samples-N`      images and the maps of the chosen heads, of `EACH` consecutive rows
`sample-ROW`     the maps of all heads that have one, and the values of all heads by all measures, of a row in `whole`
`values-M-N`     the values of a measure for all samples, of the heads of a layer, or of fewer where samples are many

Their content is that of the pieces `evidence` and `values` of a page that is one file.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from analyze.maps.reading import Maps, has_map
from analyze.report.measures import Measured
from analyze.report.packing import Piece
from analyze.report.samples.choice import first_images
from analyze.report.samples.maps import ChosenMaps, Evidence, Unread, choose_maps, read_maps, sizes_of
from analyze.report.samples.values import with_values_of_each, write_values
from analyze.statistics.clusters import Codes
from analyze.tables.frames import Heads
from analyze.tables.values import observed_rows
from schemas.store.thumbnails import read_thumbnail

EACH = 16  # samples of a piece
MOST_WHOLE = 1000  # samples that have pieces of their own


@dataclass(frozen=True)
class SamplesHeld:
    """What a page holds of samples.

    Attributes:
        pictures: the place of the image of each row in its piece, or None.
        images: how many there are.
        chosen: the maps; None: there are none. `top`: the end of their scale.
        values: the heads whose values for all samples are in the page, by measure; None: all.
        layout: of a folder, how many rows a piece has, the rows that have one of their own, and how many heads a piece
            with the values of all samples has.
    """

    pictures: list[int | None]
    images: int
    chosen: ChosenMaps | None
    top: float
    values: dict[str, list[int]] | None
    layout: dict[str, Any] | None = None


def write_folder(
    heads: Heads,
    measured: Measured,
    order: Sequence[int],
    images: int,
    budget: float,
    write: Callable[[Piece], None],
    unread: Unread,
) -> SamplesHeld:
    """Write the pieces of samples.

    Args:
        order: rows, those first whose images and maps are needed most.
        images: how many thumbnails there are, at most.
        budget: bytes of maps: half of them for chosen heads, half for rows with the maps of all heads.
        unread: is told of parts that cannot be read.
    """
    chosen = choose_maps(heads, measured, order, budget / 2)
    there = np.flatnonzero(has_map(heads.run).ravel()) if chosen is not None else np.empty(0, np.int64)
    whole = _whole(measured, order, budget / 2, len(there))
    shas = first_images(measured.samples)
    thumbnails = _Thumbnails(heads, set(islice(dict.fromkeys(shas.iloc[list(order)].dropna()), images)))
    pictures: list[int | None] = []
    top, maps = 1.0, _Maps(heads, chosen, there, whole, unread)
    for first in range(0, len(shas), EACH):
        piece = Evidence(f"samples-{first // EACH}", [] if chosen is None else chosen.cells)
        pictures += thumbnails.add(piece, shas.iloc[first : first + EACH])
        alone: list[tuple[int, Piece]] = []
        for row, position, own, masses in maps.before(first + EACH):
            if row in maps.rows:
                top = max(top, piece.add_maps(row, heads, position, own[maps.places], masses[maps.places]))
            if row in whole:
                one = Evidence(f"sample-{row}", there.tolist())
                top = max(top, one.add_maps(row, heads, position, own, masses))
                alone.append((row, one.piece()))
        write(piece.piece())
        for each in with_values_of_each(alone, measured.measures):
            write(each)
    layout = {"each": EACH, "whole": sorted(whole), "heads": write_values(measured, heads.shape, write)}
    return SamplesHeld(pictures, len(thumbnails.there), chosen, top, None, layout)


def _whole(measured: Measured, order: Sequence[int], budget: float, heads: int) -> set[int]:
    """The first rows whose maps of all heads fit, at most `MOST_WHOLE`."""
    if not heads:
        return set()
    rows = np.array(order, np.int64)[:MOST_WHOLE]
    sizes = sizes_of(measured.samples)[rows] * heads
    return set(rows[(sizes > 0) & (np.cumsum(sizes) <= budget)].tolist())


class _Thumbnails:
    """Adds thumbnails to pieces, each once in a piece; `there` are the hashes of those that the run has."""

    def __init__(self, heads: Heads, allowed: set[str]) -> None:
        self._heads, self._allowed = heads, allowed
        self.there: set[str] = set()

    def add(self, piece: Evidence, shas: Iterable[str]) -> list[int | None]:
        """Add the images of some rows; returns the place of each."""
        places: dict[str, int | None] = {}
        own = list(shas)
        for sha in dict.fromkeys(own):
            content = read_thumbnail(self._heads.run.path, sha) if sha in self._allowed else None
            if content is not None:
                places[sha] = piece.add_image(content)
                self.there.add(sha)
        return [places.get(sha) for sha in own]


class _Maps:
    """The maps of the rows that are taken, in order: of all heads where some rows have those, else of chosen ones.

    Attributes:
        rows: those with the maps of chosen heads; `places`: of these heads, among those that are read.
    """

    def __init__(self, heads: Heads, chosen: ChosenMaps | None, there: Codes, whole: set[int], unread: Unread) -> None:
        self.rows: set[int] = set() if chosen is None else set(chosen.rows.tolist())
        own = [] if chosen is None else chosen.cells
        cells = there.tolist() if whole else own
        self.places = np.searchsorted(cells, own)
        self._rows = observed_rows(heads)
        taken = np.array(sorted(self.rows | whole), np.int64)
        self._maps = read_maps(heads, taken, cells, unread) if len(taken) else iter(())
        self._next = next(self._maps, None)

    def before(self, row: int) -> Iterator[tuple[int, int, Maps, Maps]]:
        """Those of the rows before one that were not given yet: the row, its position, maps and masses."""
        while self._next is not None and (own := int(self._rows[self._next[0]])) < row:
            yield own, *self._next
            self._next = next(self._maps, None)
