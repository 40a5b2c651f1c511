"""Whether the values of tables with a grid can be, by the declarations of `schemas.columns`."""

from collections.abc import Generator, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.columns import PICTURE, PICTURES, TABLES, Column, Sum
from schemas.files.locations import Location
from schemas.files.pictures import pictures_of
from schemas.files.ranges import SLACK
from schemas.manifest import IMPORTED
from schemas.store.grids import Grid
from schemas.store.run import Run
from schemas.text import counted, listed
from schemas.validation.limits import HALF, TOLERANCE, TOLERANCE_OF_HALF, differs, outside

Numbers = npt.NDArray[np.float64]


def check_values(run: Run, table: str, path: Location, content: pa.Table) -> Iterator[str]:
    """Check what a table has beside its grid: ranges, texts that the manifest has, lists, and sums."""
    half = run.manifest.dtype in HALF or run.manifest.source == IMPORTED  # records may be of a run in half precision
    tolerance = TOLERANCE_OF_HALF if half else TOLERANCE
    columns = run.columns(table)
    yield from outside(path, content, columns, SLACK if TABLES[table].loose else tolerance)
    unsound = set()
    for column in columns:
        if column.length:
            if not (yield from _check_lists(run, path, content, column)):
                unsound.add(column.name)
        elif column.choices:
            known = getattr(run.manifest, column.field)
            if others := set(content[column.name].to_pylist()) - {known}:
                yield f"{path}: `{column.name}` is {listed(sorted(others))}, and the manifest's {table} are of {known}"
    there = {column.name for column in columns} - unsound
    for each in TABLES[table].sums:
        if each.of_sample:
            samples = run.read_part(run.path / "samples" / path.name, ["sample_id", str(each.total)], checked=False)
            yield from _check_sums_of_samples(path, content, samples, each)
        elif there.issuperset(names_of(each)):
            yield from check_sum(path, content, each, tolerance)


def names_of(each: Sum) -> list[str]:
    """The columns that a sum is about."""
    return [*each.parts, *([each.total] if isinstance(each.total, str) else [])]


def check_sum(path: Location, content: pa.Table, each: Sum, tolerance: float) -> Iterator[str]:
    """Rows in which columns do not add up to another.

    Args:
        tolerance: where they are to add up to a number, as an attention's masses to 1, which carry the error of its
            softmax; sums of numbers that were written carry that of rounding only.
    """
    names = names_of(each)
    if any(content[name].null_count for name in names):
        known = [pc.is_valid(content[name]).to_numpy() for name in names]
        content = content.filter(pa.array(np.logical_and.reduce(known)))
    parts = [_row_sums(content[name]) for name in each.parts]
    total, error = sum_of(parts), TOLERANCE if isinstance(each.total, str) else tolerance
    expected = content[each.total].to_numpy() if isinstance(each.total, str) else each.total
    if each.relative:
        size = np.maximum(1, np.abs(parts).max(axis=0, initial=0))
        total, expected = total / size, expected / size
    yield from differs(path, each.what, each.how, total, expected, error)


def sum_of(columns: Sequence[npt.NDArray[np.floating]]) -> Numbers:
    """The sum of several columns, float64 [rows]."""
    total = columns[0].astype(np.float64)
    for column in columns[1:]:
        total += column
    return total


def _row_sums(column: pa.ChunkedArray) -> npt.NDArray[np.floating]:
    """A column, none of whose values is null; of lists, which are not empty, their sums."""
    if not pa.types.is_list(column.type):
        return column.to_numpy()
    lists = column.combine_chunks()
    lengths = pc.list_value_length(lists).to_numpy()
    starts = np.cumsum(lengths, dtype=np.int64) - lengths
    values = lists.flatten().to_numpy()
    return np.add.reduceat(values, starts, dtype=np.float64) if len(starts) else np.empty(0)


def _check_sums_of_samples(path: Location, content: pa.Table, samples: pa.Table, each: Sum) -> Iterator[str]:
    """Samples whose rows do not add up to a column of `samples`."""
    parts = [content[name].to_numpy().astype(np.float64) for name in each.parts]
    ids = content["sample_id"].combine_chunks()
    names, codes = ids.dictionary.to_pylist(), ids.indices.to_numpy()
    sums, sizes = (
        np.bincount(codes, sum_of(some), minlength=len(names)) for some in (parts, [np.abs(part) for part in parts])
    )
    expected = dict(zip(samples["sample_id"].to_pylist(), samples[str(each.total)].to_pylist(), strict=True))
    known = np.array([expected.get(name) is not None for name in names])
    totals = np.array([expected.get(name) or 0.0 for name in names])
    with np.errstate(invalid="ignore"):  # what is infinite was said above
        scale = np.maximum(1, sizes[known]) if each.relative else 1.0
        yield from differs(path, each.what, each.how, sums[known] / scale, totals[known] / scale)


def _check_lists(run: Run, path: Location, content: pa.Table, column: Column) -> Generator[str, None, bool]:
    """Check that cells have lists which are to have them, as long as `samples` says; returns whether sums can be."""
    table, lists = path.parent.name, content[column.name].combine_chunks()
    grid = Grid.of(run, table)
    asked, inside, places = grid.listed, np.ones(len(lists), np.bool_), []
    for axis, number in zip(grid.values, grid.numbers, strict=True):
        place, limit = content[axis].to_numpy(), grid.limits[axis]
        own = (place >= 0) & (place < limit)
        place = np.where(own, place, 0)
        places.append(place if number is None else number[place])
        inside &= own & (places[-1] >= 0)
    there = pc.is_valid(lists).to_numpy(zero_copy_only=False)
    expected = asked[tuple(np.where(inside, place, 0) for place in places)]
    if wrong := int((inside & (there != expected)).sum()):
        rows = counted(wrong, "row")
        field = column.field or TABLES[table].kept
        yield f"{path}: `{column.name}` is null, or not, in {rows} against `{field}` of the manifest"
    if nulls := lists.drop_null().flatten().null_count:
        yield f"{path}: `{column.name}` has null in its lists, {counted(nulls, 'time')}"
        return False
    names = ["sample_id", *column.length, PICTURES]
    samples = run.read_part(run.path / "samples" / path.name, names, checked=False)
    known = {row["sample_id"]: pictures_of(row) for row in samples.to_pylist()}
    ids = content["sample_id"].combine_chunks()
    sizes = [
        [int(np.prod([each.get(part) or 0 for part in column.length])) for each in known.get(name, ())]
        for name in ids.dictionary.to_pylist()
    ]
    most = max(map(len, sizes), default=0)
    table_of_sizes = np.array([[*each, *[0] * (most - len(each))] for each in sizes]).reshape(len(sizes), most)
    picture = content[PICTURE].to_numpy() if grid.pictured else np.zeros(content.num_rows, np.int64)
    within = (picture >= 0) & (picture < most)
    size = np.where(within, table_of_sizes[ids.indices.to_numpy(), np.where(within, picture, 0)], 0) if most else 0
    lengths = pc.list_value_length(lists).drop_null().to_numpy()
    if wrong := int(((lengths != np.broadcast_to(size, len(lists))[there]) | (lengths == 0)).sum()):
        product = " times ".join(f"`{name}`" for name in column.length)
        yield f"{path}: `{column.name}` has another length than {product} in {counted(wrong, 'row')}"
        return False
    return True
