"""Samples, and which of their images and maps are in the page.

Images are taken in turn from each category and each state of a pair, so that a few of them show all kinds. Maps are of
these images, of the heads that look most and of those that matter most, up to `MOST_MAPS` bytes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from analyze.diagnose import pairs_of_questions
from analyze.maps.reading import has_map, sample_maps
from analyze.positions import CHOICE_STATES, choice_states
from analyze.report.measures import LOOKING, MATTERING, Measured
from analyze.report.packing import Arrays, shortest
from analyze.statistics.clusters import Clusters
from analyze.statistics.contrasts import STATES
from analyze.tables.frames import Heads
from analyze.tables.values import answered, observed_rows
from schemas.columns import MAPS, N_IMAGES, PICTURES
from schemas.files.pictures import hashes_of
from schemas.store.thumbnails import read_thumbnail
from schemas.tasks import P_OPTIONS, Task

MOST_MAPS = 2**20  # bytes before they are compressed
_STEPS, TINY = 255, np.finfo(np.float32).tiny  # steps of a map, of the square root from 0 to its largest value
# Numbers of a card, with the names of their words, by whether answers are opposite
NUMBERS = {True: {"margin": "margin", "p_yes": "p_yes"}, False: {"lead": "lead_of_answer", P_OPTIONS: "p_options"}}


def state_names(task: Task) -> tuple[tuple[str, ...], str]:
    """The states that `state_values` counts, and what a sample without one is called."""
    return (STATES, "no pair") if task.opposite else (CHOICE_STATES, "not scored")


def state_values(samples: pd.DataFrame, task: Task) -> npt.NDArray[np.int64]:
    """The state of each sample's pair, or of its answer where answers are not opposite; -1 where it has none.

    Args:
        samples: rows of `observed_samples`.

    Returns:
        Places in `state_names`, [samples].
    """
    known = answered(samples)
    found = np.full(len(samples), -1)
    if len(known) and not task.opposite:
        found[known.index] = [CHOICE_STATES.index(str(state)) for state in choice_states(known)]
    elif len(known):
        rows = known.index.to_numpy()
        for state, pairs in pairs_of_questions(known, Clusters.of(known), task).groupby("state"):
            for side in ("first", "second"):
                found[rows[pairs[side]]] = STATES.index(str(state))
    return found


def rows_of(
    samples: pd.DataFrame, categories: Sequence[str], states: npt.NDArray[np.int64], numbers: Iterable[str]
) -> dict[str, list[Any]]:
    """The samples by column, as the page has them, with some columns of numbers."""
    texts = {name: samples[name].astype(object).where(samples[name].notna(), None).tolist() for name in (
        "question", "answer", "prediction", "image")}  # fmt: skip
    return texts | {
        "id": samples["sample_id"].astype(str).tolist(),
        "category": [categories.index(name) for name in samples["category"].astype(str)],
        "state": states.tolist(),
        "right": [None if each is None else int(each) for each in samples["right"]],
        **{name: [shortest(value) for value in samples[name].astype(float)] for name in numbers},
    }


def first_images(samples: pd.DataFrame) -> pd.Series:
    """The hash of the image of each sample; of several images, that of the first."""
    if PICTURES not in samples or samples[PICTURES].isna().all():
        return samples["image_sha256"]
    return pd.Series([next(iter(hashes_of(row)), None) for row in samples.to_dict("records")], samples.index)


def numbers_of_images(samples: pd.DataFrame) -> list[int]:
    """How many images the question of each sample has."""
    if N_IMAGES not in samples:
        return [1] * len(samples)
    numbers: list[int] = samples[N_IMAGES].fillna(1).astype(int).tolist()
    return numbers


def chosen_images(heads: Heads, samples: pd.DataFrame, states: npt.NDArray[np.int64], most: int) -> dict[str, bytes]:
    """The thumbnails that are in the page, by the hash of the image."""
    frame = pd.DataFrame({"sha": first_images(samples), "kind": samples["category"].astype(str), "state": states})
    frame = frame[frame["sha"].notna()].drop_duplicates("sha")
    frame["turn"] = frame.groupby(["kind", "state"]).cumcount()
    found: dict[str, bytes] = {}
    for sha in frame.sort_values("turn", kind="stable")["sha"]:
        if len(found) >= most:
            break
        if (content := read_thumbnail(heads.run.path, sha)) is not None:
            found[sha] = content
    return found


@dataclass(frozen=True)
class _Overlays:
    """The maps that are in the page.

    Attributes:
        of: whose attention they are of, `a` or `q`.
        cells: the heads, layer x heads + head.
        there: how many heads have maps in the run.
        grids: of each sample, by its row, `rows columns x0 y0 x1 y1` of its grid (of the image, 0 to 1) and where its
            maps begin.
    """

    of: str
    cells: list[int]
    there: int
    grids: dict[int, list[float]]


def add_maps(arrays: Arrays, heads: Heads, measured: Measured, shas: Sequence[str]) -> _Overlays | None:
    """Add the maps of the samples on some images; None where the run has no maps, or none of these samples."""
    of, samples = heads.run.manifest.maps_of, measured.samples
    wanted = np.flatnonzero(first_images(samples).isin(list(shas)).to_numpy())
    if MAPS not in heads.run.manifest.tables or of is None or not len(wanted):
        return None
    patches = int((samples["grid_rows"] * samples["grid_columns"]).iloc[wanted].sum())
    there = np.flatnonzero(has_map(heads.run).ravel())
    cells = _heads_to_show(measured, f"{of}2v", there, max(1, MOST_MAPS // max(1, patches)))
    places = np.searchsorted(there, cells)
    found, grids, size = [], {}, 0
    rows = observed_rows(heads)
    for position, maps in sample_maps(heads, set(np.flatnonzero(np.isin(rows, wanted)).tolist())):
        own, row = maps[places], int(rows[position])
        grids[row] = [*_grid(samples.iloc[row]), size]
        shares = own / np.maximum(own.max(axis=1, keepdims=True), TINY)
        found.append(np.rint(np.sqrt(shares) * _STEPS).astype(np.uint8).ravel())
        size += own.size
    arrays.add("maps", np.concatenate(found))
    return _Overlays(of, cells, len(there), grids)


def _heads_to_show(measured: Measured, flow: str, there: npt.NDArray[np.int64], number: int) -> list[int]:
    """The heads with the highest means of a column and with the largest effects, in turn."""
    named = [each for each in measured.measures if each.name == flow and each.kind == LOOKING]
    named += [each for each in measured.measures if each.kind == MATTERING][:1]
    orders = [there[np.argsort(-np.nan_to_num(each.found.means()[0][there]), kind="stable")] for each in named]
    turns = np.stack(orders, axis=1).ravel() if orders else there
    return sorted([*dict.fromkeys(turns.tolist())][:number])


def _grid(sample: pd.Series) -> list[float]:
    """`rows columns x0 y0 x1 y1` of the grid of a sample, the rectangle in shares of the image."""
    sizes = (sample["image_width"], sample["image_height"])
    box = [float(end) / float(sizes[place % 2]) for place, end in enumerate(sample["grid_box"])]
    return [int(sample["grid_rows"]), int(sample["grid_columns"]), *(round(end, 5) for end in box)]
