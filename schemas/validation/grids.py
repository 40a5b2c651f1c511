"""Whether each observed sample has all rows of a table with a grid, and no other sample has any."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.columns import OK
from schemas.files.locations import Location
from schemas.store.parts import Cells, too_few_rows
from schemas.store.run import Run
from schemas.text import listed
from schemas.validation.parts import read_parts
from schemas.validation.values import check_values


def check_table(run: Run, table: str, ok: dict[str, dict[str, str]]) -> Iterator[str]:
    """Check a table with a grid against the samples that were observed."""
    seen: set[str] = set()
    part_of = {name: part for part, names in ok.items() for name in names}
    if wrong := too_few_rows(run, len(part_of), table):
        yield wrong
        return
    for path, content in read_parts(run, table):
        if isinstance(content, str):
            yield content
            seen.update(ok.get(path.name, {}))  # what it has is not known
            continue
        content = content.combine_chunks().unify_dictionaries()
        yield from check_values(run, table, path, content)
        ids = content["sample_id"].combine_chunks()
        names = ids.dictionary.to_pylist()
        codes = ids.indices.to_numpy()
        present = [names[code] for code in np.unique(codes)]
        yield from _listed(path, "is split over several parts", [name for name in present if name in seen])
        seen.update(present)
        if path.name in ok:  # otherwise it is not known which of its samples were observed
            unknown = [name for name in present if name not in part_of]
            yield from _listed(path, f"has rows, but is not `{OK}` in `samples`", unknown)
        moved = [name for name in present if part_of.get(name, path.name) != path.name]
        yield from _listed(path, f"has its row of `samples` in another part than {path.name}", moved)
        yield from _check_grid(path, content, codes, names, run)
        categories = content["category"].combine_chunks()
        own = ok.get(path.name, {})
        expected = np.array([own.get(name, "") for name in names], object)[codes]
        given = np.array(categories.dictionary.to_pylist(), object)[categories.indices.to_numpy()]
        other = np.unique(codes[(given != expected) & np.isin(codes, [i for i, n in enumerate(names) if n in own])])
        yield from _listed(path, "has another category than in `samples`", [names[code] for code in other])
    lost = [name for name in part_of if name not in seen]
    yield from _listed(run.path / table, f"is `{OK}` in `samples`, but has no rows", lost)


def _check_grid(
    path: Location, content: pa.Table, codes: npt.NDArray[np.int32], names: list[str], run: Run
) -> Iterator[str]:
    """Each sample must have every cell of the grid exactly once."""
    present, sample = np.unique(codes, return_inverse=True)
    cells = Cells.of(run, path.parent.name, [names[code] for code in present])
    places = [content[axis].to_numpy() for axis in cells.sizes]
    inside = [(place >= 0) & (place < size) for place, size in zip(places, cells.sizes.values(), strict=True)]
    if outside := int((~np.logical_and.reduce(inside)).sum()):
        grid = " x ".join(map(str, cells.sizes.values()))
        yield f"{path}: {outside} rows have a {' or '.join(cells.sizes)} beyond the manifest's {grid}"
        return
    cells.add(sample, *places)
    if wrong := cells.wrong():
        yield f"{path} {wrong}"


def _listed(path: Location, what: str, names: list[str]) -> Iterator[str]:
    if names:
        yield f"{path}: {listed(names)} {what}"
