"""The maps of a run: the attention of heads on the patches of the image."""

from collections.abc import Iterator, Sequence, Set

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from analyze.tables.frames import Heads
from analyze.tables.rows import part_rows
from schemas.columns import MAP, MAPS
from schemas.errors import HeadflowError
from schemas.store.ledger import Part
from schemas.store.parts import has_map
from schemas.store.run import Run

Maps = npt.NDArray[np.float32]


def part_maps(run: Run, part: Part, samples: Sequence[str]) -> list[Maps]:
    """The maps of the samples of one part, each float32 [heads that have one, patches]; heads by layer and head.

    Args:
        samples: ids of the part's samples that were observed.

    Raises:
        HeadflowError: as `part_rows`; or a head has a map that should have none, or none, or one of another size, or
            with a null in it.
    """
    path, kept = run.path / MAPS / part.name, has_map(run)
    number = np.cumsum(kept).reshape(kept.shape) - 1
    found: list[list[Maps]] = [[np.empty(0, np.float32)] * int(kept.sum()) for _ in samples]
    for place, batch in part_rows(run, path, samples, [MAP]):
        layer, head, column = batch["layer"].to_numpy(), batch["head"].to_numpy(), batch[MAP]
        if (pc.is_valid(column).to_numpy(zero_copy_only=False) != kept[layer, head]).any():
            raise HeadflowError(f"{path}: other heads have maps than its run.json says; run validate")
        if column.values.null_count:
            raise HeadflowError(f"{path}: `map` has null in its lists; run validate")
        ends, values = column.offsets.to_numpy(), column.values.to_numpy()
        for row in np.flatnonzero(kept[layer, head]):
            found[place[row]][number[layer[row], head[row]]] = values[ends[row] : ends[row + 1]]
    if any(len({len(each) for each in maps}) > 1 for maps in found):
        raise HeadflowError(f"{path}: maps of one sample have several sizes; run validate")
    return [np.stack(maps) for maps in found]


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
