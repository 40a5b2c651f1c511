"""Whether each observed sample has all rows of a table with a grid, and no other sample has any."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.columns import OK, TOKENS
from schemas.errors import HeadflowError
from schemas.files.locations import Location
from schemas.store.grids import Cells, too_few_rows
from schemas.store.run import Run
from schemas.text import counted, listed
from schemas.validation.parts import PartTask, each_part
from schemas.validation.values import check_values
from schemas.workers.work import Workers


@dataclass(frozen=True)
class PartOfGrid:
    """What a part of a table with a grid has.

    Attributes:
        before: what is wrong with its values, or why it could not be read.
        read: whether it could be read.
        present: the samples that have rows; None: those that should have, or not known.
        after: what is wrong with its grid.
    """

    before: list[str]
    read: bool = False
    present: list[str] | None = None
    after: list[str] = field(default_factory=list)


def check_table(run: Run, table: str, ok: Mapping[str, Mapping[str, str]], workers: Workers) -> Iterator[str]:
    """Check a table with a grid against the samples that were observed: by part, each with its category."""
    seen: set[str] = set()
    part_of = {name: part for part, names in ok.items() for name in names}
    if wrong := too_few_rows(run, len(part_of), table):
        yield wrong
        return
    for part, found in zip(run.parts, each_part(_check_part, run, table, run.parts, workers, ok), strict=True):
        yield from found.before
        path, own = run.path / table / part.name, ok.get(part.name, {})
        present = list(own) if found.present is None else found.present
        if found.read:
            yield from _listed(path, "is split over several parts", [name for name in present if name in seen])
        seen.update(present)
        if found.present is not None:
            if part.name in ok:  # otherwise it is not known which of its samples were observed
                unknown = [name for name in present if name not in part_of]
                yield from _listed(path, f"has rows, but is not `{OK}` in `samples`", unknown)
            moved = [name for name in present if part_of.get(name, part.name) != part.name]
            yield from _listed(path, f"has its row of `samples` in another part than {part.name}", moved)
        yield from found.after
    lost = [name for name in part_of if name not in seen]
    yield from _listed(run.path / table, f"is `{OK}` in `samples`, but has no rows", lost)


def _check_part(task: PartTask) -> PartOfGrid:
    """Check a part of a table with a grid."""
    lines: list[str] = []
    content = task.read(lines)
    if content is None:
        return PartOfGrid(lines)
    content = content.combine_chunks().unify_dictionaries()
    path, own = task.run.path / task.table / task.part.name, task.own or {}
    lines += check_values(task.run, task.table, path, content)
    ids = content["sample_id"].combine_chunks()
    names, codes = ids.dictionary.to_pylist(), ids.indices.to_numpy()
    there = np.flatnonzero(np.bincount(codes, minlength=len(names)))
    present = [names[code] for code in there]
    categories = content["category"].combine_chunks()
    after = [*_check_grid(path, content, codes, names, there, task.run), *_check_categories(path, ids, categories, own)]
    return PartOfGrid(lines, True, None if set(present) == own.keys() else present, after)


def _check_categories(
    path: Location, ids: pa.DictionaryArray, categories: pa.DictionaryArray, own: Mapping[str, str]
) -> Iterator[str]:
    """Each sample must have the category that it has in `samples`."""
    names, given = ids.dictionary.to_pylist(), categories.dictionary.to_pylist()
    pairs = ids.indices.to_numpy().astype(np.int64) * len(given) + categories.indices.to_numpy()
    code, category = np.divmod(np.flatnonzero(np.bincount(pairs)), len(given) or 1)
    other = [names[i] for i, j in zip(code, category, strict=True) if own.get(names[i], given[j]) != given[j]]
    yield from _listed(path, "has another category than in `samples`", list(dict.fromkeys(other)))


def _check_grid(
    path: Location,
    content: pa.Table,
    codes: npt.NDArray[np.int32],
    names: list[str],
    there: npt.NDArray[np.int64],
    run: Run,
) -> Iterator[str]:
    """Each sample must have every cell of the grid exactly once; `there` are the codes of those that have any."""
    samples, place = [names[code] for code in there], np.empty(len(names), np.int32)
    place[there] = np.arange(len(there))
    try:
        cells = Cells.of(run, path, samples)
    except HeadflowError:  # of `samples`, and said there
        return
    limits = cells.grid.limits
    places = [content[axis].to_numpy() for axis in limits]
    inside = [(place >= 0) & (place < limit) for place, limit in zip(places, limits.values(), strict=True)]
    if outside := int((~np.logical_and.reduce(inside)).sum()):
        grid = " x ".join(map(str, limits.values()))
        rows = counted(outside, "row has", "rows have")
        yield f"{path}: {rows} a {' or '.join(limits)} beyond the manifest's {grid}"
        return
    order = cells.add(place[codes], *places)
    if wrong := cells.wrong():
        yield f"{path} {wrong}"
    elif path.parent.name == TOKENS:
        yield from _check_texts(path, content["text"].take(pa.array(np.argsort(order))), cells.ends, samples, run)


def _check_texts(
    path: Location, pieces: pa.ChunkedArray, ends: npt.NDArray[np.int64], samples: list[str], run: Run
) -> Iterator[str]:
    """The tokens of each sample must concatenate to its text: pieces in order, those of a sample end at `ends`."""
    rows = run.read_part(run.path / "samples" / path.name, ["sample_id", "text"], checked=False)
    texts = dict(zip(rows["sample_id"].to_pylist(), rows["text"].to_pylist(), strict=True))
    other = []
    for name, first, last in zip(samples, ends[:-1].tolist(), ends[1:].tolist(), strict=True):
        text = texts.get(name)  # where it is null, that is said there
        if text is not None and "".join(pieces.slice(first, last - first).to_pylist()) != text:
            other.append(name)
    yield from _listed(path, "has tokens that do not concatenate to its `text` in `samples`", other)


def _listed(path: Location, what: str, names: list[str]) -> Iterator[str]:
    if names:
        yield f"{path}: {listed(names)} {what}"
