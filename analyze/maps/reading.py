"""The maps of a run: the attention of heads on the patches of the image."""

from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from analyze.tables.frames import Heads
from analyze.tables.rows import part_cells, part_lists
from schemas.columns import MAPS, N_IMAGES, PICTURE, PLACES
from schemas.errors import HeadflowError
from schemas.files.locations import Location
from schemas.files.pictures import pictures_of
from schemas.store.grids import Grid
from schemas.store.ledger import Part
from schemas.store.run import Run
from schemas.text import counted

Maps = npt.NDArray[np.float32]


def has_map(run: Run) -> npt.NDArray[np.bool_]:
    """Which heads have a map, bool [layers, heads]."""
    return Grid.of(run, MAPS).listed


def of_picture(heads: Heads, picture: int) -> Heads:
    """A run whose maps are those of the images with this place in their questions, from 0.

    In `samples`, the columns of a map's image are those of this image; null where a question has none there. Boxes are
    of the first image.

    Raises:
        HeadflowError: no question has so many images.
    """
    if picture == 0:
        return heads
    samples, images = heads.samples.copy(), [pictures_of(row) for row in heads.samples.to_dict("records")]
    if not any(len(own) > picture for own in images):
        raise HeadflowError(f"no question has {picture + 1} images; the first one is 0", setting="picture")
    for name in (column.name for column in PLACES):
        samples[name] = [own[picture][name] if len(own) > picture else None for own in images]
    samples["boxes"] = samples["objects"] = None
    return replace(heads, samples=samples, picture=picture)


def has_picture(heads: Heads) -> npt.NDArray[np.bool_]:
    """Which rows of `samples` were observed and have the image whose maps are read, bool [samples]."""
    number = heads.samples[N_IMAGES].fillna(1).to_numpy() if N_IMAGES in heads.samples else np.ones(len(heads.samples))
    found: npt.NDArray[np.bool_] = heads.observed.to_numpy() & (number > heads.picture)
    return found


def several_images(heads: Heads) -> int:
    """How many observed questions have several images."""
    return int(has_picture(replace(heads, picture=1)).sum())


def of_several(heads: Heads) -> str | None:
    """A line that says to which image maps belong, where some questions have several; None where none has."""
    several = several_images(heads)
    if not several:
        return None
    which = "and boxes are of the first" if heads.picture == 0 else f"are of image {heads.picture + 1}"
    return f"{counted(several, 'question has', 'questions have')} several images: maps {which}"


def which_image(sample: pd.Series, picture: int) -> str | None:
    """Which image of a sample maps are of, such as `image 1 of 3`; None where its question has one image.

    Args:
        picture: the place of the image in the question, from 0.
    """
    number = sample.get(N_IMAGES)
    return f"image {picture + 1} of {int(number)}" if number is not None and number > 1 else None


def part_maps(run: Run, part: Part, samples: Sequence[str], picture: int = 0) -> list[Maps]:
    """The maps of the samples of one part, each float32 [heads that have one, patches], see `part_lists`.

    Args:
        picture: the place of the image among those of a question; the maps of one that has none there are empty.
    """
    lists = part_lists(run, MAPS, part, samples)
    return [own[picture] if picture < len(own) else np.empty((len(own[0]), 0), np.float32) for own in lists]


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
    maps = part_maps(heads.run, heads.run.parts[number], [*names, *others], heads.picture)
    return positions, maps[: len(positions)]


def chosen_maps(
    heads: Heads,
    wanted: npt.NDArray[np.bool_],
    chosen: npt.NDArray[np.bool_],
    damaged: Callable[[Part, HeadflowError], None] | None = None,
) -> Iterator[tuple[int, Maps, Maps]]:
    """The maps of some heads for some samples, part by part; what is not asked for is neither copied nor held.

    Args:
        wanted: bool [rows of `samples`], those that were observed.
        chosen: bool [layers, heads], heads that have a map.
        damaged: is told of a part that cannot be read, which is then left out; None: an error is raised.

    Yields:
        The position in `samples`, in order; float32 [heads chosen, patches]; and the mass of each, float32 [heads].

    Raises:
        HeadflowError: as `part_maps`.
    """
    for part, own, ids in heads.each_part():
        if wanted[own].any():
            taken = np.concatenate([wanted[own], np.zeros(len(ids) - len(own), np.bool_)])
            try:
                found = _maps_of_part(heads, part, ids, taken, chosen)
            except HeadflowError as error:
                if damaged is None:
                    raise
                damaged(part, error)
                continue
            yield from ((int(own[place]), *found[place]) for place in sorted(found))


def _maps_of_part(
    heads: Heads, part: Part, ids: Sequence[str], taken: npt.NDArray[np.bool_], chosen: npt.NDArray[np.bool_]
) -> dict[int, tuple[Maps, Maps]]:
    """The maps and masses of the samples of a part that are taken, by their place among `ids`."""
    path, grid, number = heads.run.path / MAPS / part.name, Grid.of(heads.run, MAPS), np.cumsum(chosen.ravel()) - 1
    found: dict[int, list[tuple[npt.NDArray[np.int64], Maps, Maps]]] = {}
    for sample, _, batch in part_cells(heads.run, path, ids, ["mass", "map"]):
        layer, head = (
            batch[axis].to_numpy() if places is None else places[batch[axis].to_numpy()]
            for axis, places in zip(grid.values, grid.numbers, strict=True)
        )
        kept = taken[sample] & chosen[layer, head] & (batch[PICTURE].to_numpy() == heads.picture)
        if not kept.any():
            continue
        place = number[layer[kept] * heads.heads + head[kept]]
        for each, at, maps, mass in maps_in_batch(path, sample, batch, kept):
            found.setdefault(each, []).append((place[at], maps, mass))
    made = {}
    for each, blocks in found.items():
        check_one_size(path, [maps.shape[1] for _, maps, _ in blocks])
        places, maps, mass = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
        order = np.argsort(places)
        made[each] = (maps[order], mass[order])
    return made


def maps_in_batch(
    path: Location, sample: npt.NDArray[np.int32], batch: pa.RecordBatch, kept: npt.NDArray[np.bool_]
) -> Iterator[tuple[int, npt.NDArray[np.int64], Maps, Maps]]:
    """The maps in some rows of a batch, those of a sample together.

    Args:
        sample: of each row of the batch; `kept`: the rows that are read.

    Yields:
        The sample, the places of its rows among those kept, its maps, float32 [rows, patches], and the mass of each.

    Raises:
        HeadflowError: a map is null, has null in it, or is of another size than the sample's others.
    """
    rows, own = batch.filter(pa.array(kept)), sample[kept]
    if rows["map"].null_count or rows["map"].values.null_count:
        raise HeadflowError(f"{path}: `map` is null, or has null in its lists; run validate")
    mass = rows["mass"].to_numpy(zero_copy_only=False)
    for each in np.unique(own).tolist():
        at = np.flatnonzero(own == each)
        lists = rows["map"].take(pa.array(at))
        check_one_size(path, lists.value_lengths().to_pylist())
        yield each, at, lists.flatten().to_numpy(zero_copy_only=False).reshape(len(at), -1), mass[at]


def check_one_size(path: Location, sizes: Sequence[int]) -> None:
    """Raise `HeadflowError` if the maps of an image have several sizes."""
    if len(set(sizes)) > 1:
        raise HeadflowError(f"{path}: `map` of one image has several sizes; run validate")
