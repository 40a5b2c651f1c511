"""Generated texts in the page: their tokens, with the image mass of heads and their maps at each step.

In the page (types: `app/src/data.ts`): `texts` says which rows and heads have what, and the highest masses, where the
scale of tokens ends; the array `token_colours` is uint8 [256, RGB and 1 for white letters]. The piece `texts`, in a
folder `text-ROW` for each row, has the heads `cells` and `mapped`, and `samples`, by row: the pieces of the text, and
where its values begin in the arrays: `means` [steps], of all heads; `masses` [cells, steps], uint16, 65535 for 1;
`maps` [mapped, steps, patches], in the bytes of all maps of the page, and `masses_of_maps` [mapped, steps].
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from analyze.drawing.maps import PALE, end_of_scale
from analyze.drawing.tokens import mass_colours
from analyze.report.measures import Measured
from analyze.report.packing import Arrays, Piece
from analyze.report.samples.choice import chosen_heads, of_image
from analyze.report.samples.maps import Unread, in_steps, sizes_of
from analyze.report.samples.steps import ReadText, read_texts
from analyze.statistics.clusters import Array, Codes
from analyze.tables.frames import Heads
from analyze.tables.values import generated_tokens
from schemas.columns import STEP_MAPS, STEPS, TOKENS
from schemas.store.grids import Grid
from schemas.store.run import Run

TEXTS, TEXT = "texts", "text"
_BYTES, _ONE = 2, 2**16 - 1  # of a mass, and what stands for 1
_MOST_PIECES = 1000  # of a folder
_ARRAYS = {"means": np.float32, "masses": np.uint16, "maps": np.uint8, "masses_of_maps": np.float32}


def token_colours() -> npt.NDArray[np.uint8]:
    """The colours of tokens, uint8 [256, 4]: red, green, blue, and 1 where white letters have more contrast."""
    colours = np.rint(255 * mass_colours()(np.arange(256))).astype(np.uint8)
    linear = np.where(colours <= 10, colours / 3294, ((colours / 255 + 0.055) / 1.055) ** 2.4)
    light = linear[:, :3] @ [0.2126, 0.7152, 0.0722]
    colours[:, 3] = 1.05 / (light + 0.05) > (light + 0.05) / 0.05
    return colours


def has_texts(heads: Heads) -> bool:
    """Whether a run has tokens with masses of steps."""
    return {TOKENS, STEPS} <= set(heads.run.manifest.tables)


def _with_rows(run: Run, table: str) -> Codes:
    """The heads that have rows in a table, layer x heads + head, in order; none where the run does not have it."""
    return np.flatnonzero(Grid.of(run, table).kept) if table in run.manifest.tables else np.empty(0, np.int64)


@dataclass(frozen=True)
class ChosenTexts:
    """What the page has of texts.

    Attributes:
        rows: of `observed_samples` whose tokens are there, with the masses of the heads `cells`.
        mapped_rows: those that have maps of steps, of the heads `mapped`.
    """

    rows: Codes
    cells: list[int]
    mapped_rows: Codes
    mapped: list[int]


def choose_texts(
    heads: Heads, measured: Measured, order: Sequence[int], first: int, budget: float, *, folder: bool
) -> ChosenTexts | None:
    """The texts whose tokens fit, half of the budget or less for masses, the rest for maps; None without texts.

    Args:
        order: rows of `measured.samples`, those first that are needed most; of the `first` ones, some heads are taken
            where not all fit.
        budget: bytes.
        folder: each row has a piece of its own, with all heads.
    """
    run, samples = heads.run, measured.samples
    if not has_texts(heads):
        return None
    steps = -(-generated_tokens(samples) // run.manifest.every)
    there = [_with_rows(run, table) for table in (STEPS, STEP_MAPS) if table in run.manifest.tables]
    measures = of_image(measured.measures, run.manifest.maps_of or "a")
    wanted, left, found = np.array(order, np.int64), budget / 2, []
    for own, sizes in zip(there, (_BYTES * steps, steps * sizes_of(samples)), strict=False):
        known = wanted[sizes[wanted] > 0]
        rows, number = _fitting(sizes[known], int(np.isin(known, order[:first]).sum()), len(own), left, folder=folder)
        found.append((np.sort(known[:rows]), chosen_heads(measures, own, number) if rows else []))
        left, wanted = budget - number * int(sizes[known[:rows]].sum()), known[:rows]
    (rows_of_masses, cells), (mapped_rows, mapped) = (*found, (np.empty(0, np.int64), []))[:2]
    return ChosenTexts(rows_of_masses, cells, mapped_rows, mapped)


def _fitting(sizes: npt.NDArray[np.int64], first: int, heads: int, budget: float, *, folder: bool) -> tuple[int, int]:
    """How many rows fit, and how many heads of each: all heads, or as many as the first rows leave room for."""
    sums = np.cumsum(sizes)
    whole = int((sums * heads <= budget).sum())
    if folder or whole >= first:
        return min(whole, _MOST_PIECES) if folder else whole, heads
    rows = int((sums[:first] <= budget).sum())
    return rows, int(budget // sums[rows - 1]) if rows else 0


def with_heads_of(own: ChosenTexts, other: ChosenTexts) -> ChosenTexts:
    """What is taken of a second run, of the heads that the first one has, where no more fit than these."""
    cells = other.cells if len(other.cells) <= len(own.cells) else own.cells
    mapped = other.mapped if len(other.mapped) <= len(own.mapped) else own.mapped
    return replace(own, cells=cells, mapped=mapped)


class _Filling:
    """A piece with texts, as it is filled."""

    def __init__(self, name: str, chosen: ChosenTexts) -> None:
        self._name, self._chosen = name, chosen
        self._samples: dict[int, dict[str, Any]] = {}
        self._sizes: Counter[str] = Counter()
        self._arrays: dict[str, list[npt.NDArray[Any]]] = {name: [np.empty(0, kind)] for name, kind in _ARRAYS.items()}

    def add(self, row: int, text: ReadText, heads: Heads, own: Codes) -> float:
        """Add a text to a row; `own`: the places of the piece's heads among those that have rows.

        Returns:
            The end of the scale of its maps.
        """
        masses = np.rint(_ONE * np.clip(text.masses[own], 0, 1)).astype(np.uint16)
        one: dict[str, Any] = {
            "pieces": list(text.pieces), "masses": self._put("masses", masses),
            "means": self._put("means", text.masses.mean(axis=0, dtype=np.float64)),
        }  # fmt: skip
        top = 1.0
        if text.mapped is not None:
            flat = text.mapped.maps.reshape(-1, text.mapped.maps.shape[2])
            said, steps = in_steps(heads.samples.iloc[text.position], flat)
            masses_of_maps = self._put("masses_of_maps", text.mapped.masses)
            one["maps"] = said | {"maps": self._put("maps", steps), "masses": masses_of_maps}
            top = float(said["top"])
        self._samples[row] = one
        return top

    def _put(self, name: str, values: npt.NDArray[Any]) -> int:
        first = self._sizes[name]
        self._sizes[name] += values.size
        self._arrays[name].append(values.ravel())
        return first

    def piece(self) -> Piece:
        """The piece."""
        arrays = Arrays()
        for name, values in self._arrays.items():
            arrays.add(name, np.concatenate(values))
        data = {"cells": self._chosen.cells, "mapped": self._chosen.mapped, "samples": self._samples}
        return Piece(self._name, data, arrays)


def write_texts(
    heads: Heads,
    chosen: ChosenTexts,
    add: Callable[[Piece], None],
    unread: Unread,
    *,
    folder: bool = False,
    name: str = TEXTS,
    named: Mapping[int, int] | None = None,
) -> tuple[dict[str, Any], float]:
    """Add the piece of all texts, or of a folder one for each row; returns what the page says, and the maps' end.

    Args:
        named: by the row of a sample its row in the page; None: the same.
    """
    there = _with_rows(heads.run, STEPS)
    own = np.searchsorted(there, chosen.cells)
    highest: Array = np.zeros(1 + prod(heads.shape))
    top, rows, mapped_rows = end_of_scale(1), [], []
    filling = _Filling(name, chosen)
    for text in read_texts(heads, chosen.rows, chosen.mapped_rows, chosen.mapped, unread):
        row = text.row if named is None else named[text.row]
        if folder:
            filling = _Filling(f"{TEXT}-{row}", chosen)
        top = max(top, filling.add(row, text, heads, own))
        rows.append(row)
        mapped_rows += [row] * (text.mapped is not None)
        highest[0] = max(highest[0], float(text.masses.mean(axis=0).max(initial=0)))
        highest[1 + there] = np.maximum(highest[1 + there], text.masses.max(axis=1, initial=0))
        if folder:
            add(filling.piece())
    if not folder:
        add(filling.piece())
    run = heads.run
    said = {
        "cells": chosen.cells, "there": len(there), "mapped": chosen.mapped, "rows": rows, "mapped_rows": mapped_rows,
        "mapped_there": len(_with_rows(run, STEP_MAPS)),
        "every": run.manifest.every, "highest": [round(float(each), 4) for each in highest], "pale": PALE,
    }  # fmt: skip
    return said, top
