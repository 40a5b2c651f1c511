"""Which rows a sample has in a table with a grid: one for each cell.

Most tables have the same cells for each sample, such as all layers x heads. A table of generated tokens has them for
each of the sample's steps, whose number `samples` says, or for every so many of them; a table of maps for each of its
images.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from schemas.columns import AXES, N_GENERATED, N_IMAGES, PICTURE, STEP, TABLES
from schemas.files.locations import Location
from schemas.store.run import Run
from schemas.text import counted, listed

# Of one sample, by table: float32 [*rows, columns], see `Grid.shape`, NaN for null; and by name of `Run.apart`, the
# values of a column that is not of float32: [rows], or of lists, for each image float32 [rows that have one, values]
Grids = Mapping[str, Any]
_Ints = npt.NDArray[np.int64]
_MOST_PICTURES = 2**15  # what the column holds


@dataclass(frozen=True)
class Grid:
    """The cells of a table.

    Attributes:
        values: those of each axis, without `STEP` and `PICTURE`, in order, by name; of `layer`, in a table of heads,
            they are the layers that attend.
        kept: bool, of each axis its values, which cells have rows.
        listed: bool like `kept`, which of these have a list, where the table has a column of lists.
        every: how far apart the steps are that have rows; 0: the table has no steps.
        steps: most steps that a sample may have.
        pictured: whether each image of a sample has rows of its own.
    """

    values: Mapping[str, Sequence[int]]
    kept: npt.NDArray[np.bool_]
    listed: npt.NDArray[np.bool_]
    every: int
    steps: int
    pictured: bool = False

    @classmethod
    def of(cls, run: Run, table: str) -> Self:
        """That of a table of a run."""
        declared, manifest = TABLES[table], run.manifest
        values, cells = _values_and_cells(run, table)
        kept = _marked(values, cells)
        lists = declared.list_column
        listed = kept & _marked(values, manifest.cells(lists.field) if lists is not None and lists.field else [])
        every = 0 if STEP not in declared.axes else manifest.every if declared.thinned else 1
        return cls(values, kept, listed, every, manifest.generate or 0, PICTURE in declared.axes)

    @property
    def limits(self) -> dict[str, int]:
        """Of each axis, in order, the number that its values are below."""
        own = ({STEP: self.steps} if self.every else {}) | ({PICTURE: _MOST_PICTURES} if self.pictured else {})
        return own | {axis: values[-1] + 1 for axis, values in self.values.items()}

    @cached_property
    def cells(self) -> int:
        """How many rows a sample has, or each of its steps and images."""
        return int(self.kept.sum())

    @cached_property
    def numbers(self) -> list[_Ints | None]:
        """Of each axis of `values` the place of each number below its limit, -1: none; None: each number is its own."""
        return [_number_of(each) for each in self.values.values()]

    def blocks(self, samples: Iterable[Mapping[str, Any]]) -> _Ints:
        """How many steps of each sample have rows, and how many images, int64 [samples, 2]; 1 of what is no axis.

        Args:
            samples: rows of `samples`.
        """
        found = [
            (
                -(-(sample.get(N_GENERATED) or 0) // self.every) if self.every else 1,
                sample.get(N_IMAGES) or 1 if self.pictured else 1,
            )
            for sample in samples
        ]
        return np.array(found, np.int64).reshape(-1, 2)

    def shape(self, steps: int = 1, pictures: int = 1) -> tuple[int, ...]:
        """The shape of a sample's values in one column: steps with rows, images, then the axes or the cells kept."""
        own = self.kept.shape if self.kept.all() else (self.cells,)
        return (*([steps] if self.every else []), *([pictures] if self.pictured else []), *own)

    def places(self, blocks: _Ints) -> dict[str, npt.NDArray[np.int16]]:
        """The values of each axis in the rows of some samples, by what `blocks` says of these; int16 [rows]."""
        found: dict[str, npt.NDArray[np.int16]] = {}
        each = [np.mgrid[:steps, :pictures].reshape(2, -1) for steps, pictures in blocks.tolist()]
        step, picture = np.concatenate([np.empty((2, 0), np.int64), *each], axis=1).repeat(self.cells, axis=1)
        if self.every:
            found[STEP] = (step * self.every).astype(np.int16)
        if self.pictured:
            found[PICTURE] = picture.astype(np.int16)
        for axis, own in self.named(np.argwhere(self.kept)).items():
            found[axis] = np.tile(own, int(blocks.prod(axis=1).sum()))
        return found

    def named(self, places: _Ints) -> dict[str, npt.NDArray[np.int16]]:
        """The values of each axis of some cells, by their places in `kept`, int64 [cells, axes]; int16 [cells]."""
        pairs = zip(self.values.items(), places.T, strict=True)
        return {axis: np.asarray(values, np.int16)[place] for (axis, values), place in pairs}


def _values_and_cells(run: Run, table: str) -> tuple[dict[str, Sequence[int]], Sequence[Sequence[int]]]:
    """The values of a table's axes, see `Grid.values`, and the cells that have rows; none: all have."""
    declared, manifest = TABLES[table], run.manifest
    values: dict[str, Sequence[int]] = {
        axis: range(getattr(manifest, AXES[axis])) for axis in declared.axes if axis in AXES
    }
    if "head" in values:
        values["layer"] = manifest.attending
    return values, manifest.cells(declared.kept) if declared.kept else []


def _marked(values: Mapping[str, Sequence[int]], cells: Sequence[Sequence[int]]) -> npt.NDArray[np.bool_]:
    """Some cells of a grid, bool, of each axis its values; if none are named, all."""
    marked = np.zeros([len(each) for each in values.values()], np.bool_)
    axes = zip(values.values(), zip(*cells, strict=True), strict=True) if cells else ()
    marked[tuple(np.searchsorted(each, chosen) for each, chosen in axes) or ...] = True
    return marked


def read_blocks(run: Run, path: Location, samples: Sequence[str]) -> _Ints:
    """What `Grid.blocks` says of some samples of a part, int64 [samples, 2].

    Args:
        path: the part, of a table with a grid.

    Raises:
        HeadflowError: the part of `samples` cannot be read.
    """
    grid = Grid.of(run, path.parent.name)
    if not grid.every and not grid.pictured:
        return np.ones((len(samples), 2), np.int64)
    rows = run.read_part(run.path / "samples" / path.name, ["sample_id", N_GENERATED, N_IMAGES], checked=False)
    known = {row["sample_id"]: row for row in rows.to_pylist()}
    return grid.blocks(known.get(name, {}) for name in samples)


def too_few_rows(run: Run, observed: int, table: str = "heads") -> str:
    """What is wrong if a table cannot have all rows of so many samples, by the ledgers; empty if it can."""
    values, cells = _values_and_cells(run, table)
    shape = [len(cells)] if cells else [len(each) for each in values.values()]
    rows = sum(part.rows.get(table, 0) for part in run.parts)
    if observed * prod(shape) <= rows:  # each sample has one step and one image at least
        return ""
    there, each = f"{counted(rows, 'row')} of `{table}`", " x ".join(map(str, shape))
    return f"{run.path}: its ledgers name {there}, not {each} for each of {counted(observed, 'sample')}"


def _number_of(values: Sequence[int]) -> _Ints | None:
    """The place of each value of an axis, -1 of what is none; None: each is its own place."""
    if isinstance(values, range) or list(values) == list(range(len(values))):
        return None
    number = np.full(values[-1] + 1, -1, np.int64)
    number[values] = np.arange(len(values))
    return number


class Cells:
    """Counts rows of one part: each sample must have one for each of its cells. Holds a byte for each.

    Attributes:
        grid: the table's.
        ends: int64 [samples + 1], where the rows of each sample begin, and end, if all rows stand in order.
    """

    def __init__(self, samples: Sequence[str], grid: Grid, blocks: _Ints) -> None:
        """Count the rows of some samples, by what `Grid.blocks` says of them."""
        self.grid = grid
        self._samples = samples
        self.ends: _Ints = np.concatenate([[0], np.cumsum(blocks.prod(axis=1) * grid.cells)]).astype(np.int64)
        self._number = np.cumsum(grid.kept.ravel()) - 1  # of the cells that have rows
        self._steps, self._pictures = blocks.T
        self._rows = np.zeros(len(samples), np.int64)
        self._strays = np.zeros(len(samples), np.int64)
        # Those with rows of steps, and of images, that they do not have
        self._beyond, self._unknown = np.zeros((2, len(samples)), np.bool_)
        self._seen = np.zeros(int(self.ends[-1]), np.bool_)

    @classmethod
    def of(cls, run: Run, path: Location, samples: Sequence[str]) -> Self:
        """Those of a part of a run; raises as `read_blocks`."""
        return cls(samples, Grid.of(run, path.parent.name), read_blocks(run, path, samples))

    def add(self, sample: npt.NDArray[np.integer], *places: npt.NDArray[np.int16]) -> _Ints:
        """Count some rows.

        Args:
            sample: the position of each row's sample in `samples`, int [rows].
            places: of each axis, int16 [rows], below `Grid.limits`.

        Returns:
            The position of each row if all rows stood in order, int64 [rows]; of a cell that its sample does not have,
            some other position.
        """
        grid = self.grid
        self._rows += np.bincount(sample, minlength=len(self._rows))
        cell = np.zeros(len(sample), np.int64)
        first = len(places) - len(grid.values)
        stray = np.zeros(len(sample), np.bool_)
        for place, values, number in zip(places[first:], grid.values.values(), grid.numbers, strict=True):
            own = place if number is None else number[place]
            stray |= own < 0
            cell = cell * len(values) + own
        if not grid.kept.all():
            stray |= ~grid.kept.ravel()[cell]
            cell = self._number[cell]
        if grid.every:
            step, between = np.divmod(places[0].astype(np.int64), grid.every)
            beyond = step >= self._steps[sample]
            self._beyond[sample[beyond]] = True
            stray |= (between > 0) | beyond
            cell += step * self._pictures[sample] * grid.cells
        if grid.pictured:
            picture = places[first - 1].astype(np.int64)
            unknown = picture >= self._pictures[sample]
            self._unknown[sample[unknown]] = True
            stray |= unknown
            cell += picture * grid.cells
        cell += self.ends[sample]
        if stray.any():
            self._strays += np.bincount(sample[stray], minlength=len(self._rows))
            self._seen[cell[~stray]] = True
            return np.where(stray, 0, cell)
        self._seen[cell] = True
        return cell

    def wrong(self) -> str:
        """What the part lacks, or has twice, for a line that begins with its name; empty if it is whole."""
        sizes = np.diff(self.ends)
        if (self._rows == sizes).all() and self._seen.all() and not self._strays.any():
            return ""
        found = np.diff(np.concatenate([[0], np.cumsum(self._seen)])[self.ends])
        none, some, twice = found == 0, (found > 0) & (found < sizes), self._rows - self._strays > found
        parts = [f"has no rows of {listed(self._named(none))}"] if none.any() else []
        if some.any():
            first = int(some.argmax())
            which = f"the first has {found[first]} of {sizes[first]}, and none for {self._first_missing(first)}"
            parts.append(f"lacks rows of {listed(self._named(some))} ({which})")
        parts += [f"repeats rows of {listed(self._named(twice))}"] if twice.any() else []
        if self._beyond.any():
            parts.append(self._more_steps())
        if self._unknown.any():
            parts.append(f"has rows of images of {listed(self._named(self._unknown))} beyond `{N_IMAGES}`")
        if (strays := (self._strays > 0) & ~self._beyond & ~self._unknown).any():
            parts.append(f"has rows of cells that {listed(self._named(strays))} should not have")
        return ", ".join(parts)

    def _more_steps(self) -> str:
        """Which samples have rows of steps beyond `N_GENERATED`."""
        names, first = self._named(self._beyond), int(self._beyond.argmax())
        if self.grid.values or self.grid.every > 1:
            return f"has rows of steps of {listed(names)} beyond `{N_GENERATED}`"
        there = counted(int(self._rows[first]), "token")
        return (
            f"has more tokens of {listed(names)} than `{N_GENERATED}` (the first has {there}, not {self._steps[first]})"
        )

    def _named(self, marked: npt.NDArray[np.bool_]) -> list[str]:
        return [self._samples[place] for place in np.flatnonzero(marked).tolist()]

    def _first_missing(self, sample: int) -> str:
        """The first cell of a sample that has no row, in words."""
        begin, end = self.ends[sample : sample + 2]
        block, cell = divmod(int(self._seen[begin:end].argmin()), self.grid.cells)
        step, picture = divmod(block, int(self._pictures[sample]))
        named = self.grid.named(np.argwhere(self.grid.kept)[[cell]])
        places = {axis: int(value) for axis, (value,) in named.items()}
        own = ({STEP: step * self.grid.every} if self.grid.every else {}) | places
        if self.grid.pictured and self._pictures[sample] > 1:
            own = {PICTURE: picture} | own
        return ", ".join(f"{axis} {place}" for axis, place in own.items())
