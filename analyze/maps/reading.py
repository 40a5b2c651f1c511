"""The maps of a run: the attention of heads on the patches of the image."""

from collections.abc import Iterator, Sequence, Set

import numpy as np
import numpy.typing as npt

from analyze.tables.frames import Heads
from analyze.tables.rows import part_lists
from schemas.columns import MAPS
from schemas.store.grids import Grid
from schemas.store.ledger import Part
from schemas.store.run import Run

Maps = npt.NDArray[np.float32]


def has_map(run: Run) -> npt.NDArray[np.bool_]:
    """Which heads have a map, bool [layers, heads]."""
    return Grid.of(run, MAPS).listed


def part_maps(run: Run, part: Part, samples: Sequence[str]) -> list[Maps]:
    """The maps of the samples of one part, each float32 [heads that have one, patches], see `part_lists`."""
    return part_lists(run, MAPS, part, samples)


def sample_maps(heads: Heads, wanted: Set[int]) -> Iterator[tuple[int, Maps]]:
    """The position in `samples` of each sample that is wanted, in order, and its maps; part by part.

    Raises:
        HeadflowError: as `part_maps`.
    """
    for number, (first, last) in enumerate(heads.parts):
        if not wanted.isdisjoint(range(first, last)):
            positions, maps = wording_maps(heads, number)
            yield from ((place, each) for place, each in zip(positions, maps, strict=True) if place in wanted)


def wording_maps(heads: Heads, number: int) -> tuple[list[int], list[Maps]]:
    """The positions of the observed samples of one part, in the wording that is read, and their maps."""
    (first, last), others = heads.parts[number], heads.others[number] if heads.others else ()
    observed = heads.observed.to_numpy()
    positions = [place for place in range(first, last) if observed[place]]
    names = heads.samples["sample_id"].astype(str).iloc[positions]
    return positions, part_maps(heads.run, heads.run.parts[number], [*names, *others])[: len(positions)]
