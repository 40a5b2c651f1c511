"""What is read of generated texts for the page: tokens, the image mass of each step, and maps of steps; part by part.

A row of a step says where the model looked when it chose the token of that step; its query is the token before.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from analyze.maps.grids import read_grid
from analyze.maps.measures import check_size
from analyze.maps.reading import Maps, check_one_size, maps_in_batch
from analyze.report.samples.maps import Unread
from analyze.statistics.clusters import Codes
from analyze.tables.frames import Heads
from analyze.tables.rows import part_apart, part_cells
from analyze.tables.values import observed_rows
from schemas.columns import PICTURE, STEP_MAPS, STEPS, TOKEN_TEXT, TOKENS
from schemas.errors import HeadflowError
from schemas.store.grids import Grid, read_blocks
from schemas.store.ledger import Part

Kept = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class MapsOfSteps:
    """Maps of the steps of one text.

    Attributes:
        maps: float32 [heads, steps, patches]; `masses`: float32 [heads, steps].
    """

    maps: Maps
    masses: Maps


@dataclass(frozen=True)
class ReadText:
    """One text.

    Attributes:
        position: in `samples` of the run; `row`: in `observed_samples`.
        pieces: the text of each token.
        masses: on the image, of all heads that have rows, float32 [heads, steps]; of every so many steps.
        mapped: None: no maps were asked for, there are none, or they could not be read.
    """

    position: int
    row: int
    pieces: Sequence[str]
    masses: Maps
    mapped: MapsOfSteps | None


def read_texts(heads: Heads, rows: Codes, mapped: Codes, cells: Sequence[int], unread: Unread) -> Iterator[ReadText]:
    """Some texts of a run, in order; those of a part that cannot be read are left out.

    Args:
        rows: of `observed_samples`; `mapped`: those of them whose maps are read, of the heads `cells`.
        unread: is told of parts that cannot be read.
    """
    of_position = observed_rows(heads)
    chosen = np.zeros(heads.shape, np.bool_)
    chosen.ravel()[list(cells)] = True
    for part, own, ids in heads.each_part():
        there = of_position[own]
        taken, with_maps = (np.isin(there, each) for each in (rows, mapped))
        if not taken.any():
            continue
        try:
            pieces = part_apart(heads.run, TOKENS, part, ids, TOKEN_TEXT)
            masses = _masses(heads, part, ids, taken)
        except HeadflowError as error:
            unread.add(TOKENS, part.name, int(taken.sum()), error)
            continue
        maps: dict[int, MapsOfSteps] = {}
        try:
            maps = _maps(heads, part, ids, with_maps, chosen) if with_maps.any() and chosen.any() else {}
            for place, each in maps.items():
                check_size(heads, int(own[place]), each.maps[0], read_grid(heads.samples.iloc[own[place]]))
        except HeadflowError as error:
            maps = {}
            unread.add(STEP_MAPS, part.name, int(with_maps.sum()), error)
        for place in np.flatnonzero(taken).tolist():
            yield ReadText(int(own[place]), int(there[place]), pieces[place], masses[place], maps.get(place))


def _masses(heads: Heads, part: Part, ids: Sequence[str], taken: Kept) -> dict[int, Maps]:
    """The image masses of the samples of a part that are taken, by their place in it; float32 [heads, steps]."""
    path, grid = heads.run.path / STEPS / part.name, Grid.of(heads.run, STEPS)
    sizes = read_blocks(heads.run, path, ids)[:, 0] * grid.cells
    starts = np.cumsum(sizes) - sizes
    wanted = _over(taken, len(ids))
    own = np.where(wanted, sizes, 0)
    values, begin = np.empty(int(own.sum()), np.float32), np.cumsum(own) - own
    for sample, cell, batch in part_cells(heads.run, path, ids, ["g2v"]):
        kept = wanted[sample]
        place = sample[kept]
        values[cell[kept] - starts[place] + begin[place]] = batch["g2v"].to_numpy(zero_copy_only=False)[kept]
    ends = [*begin.tolist(), len(values)]
    bounds = list(pairwise(ends))
    return {place: values[slice(*bounds[place])].reshape(-1, grid.cells).T for place in np.flatnonzero(taken).tolist()}


def _maps(heads: Heads, part: Part, ids: Sequence[str], taken: Kept, chosen: Kept) -> dict[int, MapsOfSteps]:
    """The maps of steps of the samples of a part that are taken, of some heads, by their place in it."""
    path, grid = heads.run.path / STEP_MAPS / part.name, Grid.of(heads.run, STEP_MAPS)
    blocks, wanted = read_blocks(heads.run, path, ids), _over(taken, len(ids))
    sizes = blocks.prod(axis=1) * grid.cells
    starts, of_head = np.cumsum(sizes) - sizes, chosen[grid.kept]
    number = np.cumsum(of_head) - 1
    found: dict[int, MapsOfSteps] = {}
    for sample, cell, batch in part_cells(heads.run, path, ids, ["mass", "map"]):
        step, rest = np.divmod(cell - starts[sample], blocks[sample, 1] * grid.cells)
        head = rest % grid.cells
        kept = wanted[sample] & of_head[head] & (batch[PICTURE].to_numpy() == heads.picture)
        for each, at, maps, mass in maps_in_batch(path, sample, batch, kept):
            if each not in found:
                shape = (int(of_head.sum()), int(blocks[each, 0]))
                empty = np.zeros((*shape, maps.shape[1]), np.float32)
                found[each] = MapsOfSteps(empty, np.zeros(shape, np.float32))
            own = found[each]
            check_one_size(path, [own.maps.shape[2], maps.shape[1]])
            place = number[head[kept][at]], step[kept][at]
            own.maps[place], own.masses[place] = maps, mass
    return found


def _over(taken: Kept, number: int) -> Kept:
    """Which of so many samples of a part are taken: the first ones as said, the others not."""
    return np.concatenate([taken, np.zeros(number - len(taken), np.bool_)])
