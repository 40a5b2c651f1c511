"""Whether the values of tables with a grid can be."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.columns import CONTRIBUTION_COLUMNS, CONTRIBUTIONS, MAP, MAPS, PARTITIONS
from schemas.files.locations import Location
from schemas.files.ranges import SLACK
from schemas.manifest import IMPORTED
from schemas.roles import ROLES, TEXT
from schemas.store.parts import has_map
from schemas.store.run import Run
from schemas.text import counted, listed
from schemas.validation.limits import HALF, TOLERANCE, TOLERANCE_OF_HALF, differs, outside


def check_values(run: Run, table: str, path: Location, content: pa.Table) -> Iterator[str]:
    """Check what a table has beside its grid."""
    half = run.manifest.dtype in HALF or run.manifest.source == IMPORTED  # records may be of a run in half precision
    tolerance = TOLERANCE_OF_HALF if half else TOLERANCE
    yield from outside(path, content, run.columns(table), SLACK if table == MAPS else tolerance)
    if table == "heads":
        yield from _check_flows(path, content, run.manifest.flows, tolerance)
    if table == CONTRIBUTIONS:
        yield from _check_contributions(run, path, content)
    if table == MAPS:
        yield from _check_maps(run, path, content)


def _check_flows(path: Location, content: pa.Table, flows: Sequence[str], tolerance: float) -> Iterator[str]:
    """Partitions that sum to 1, `v2t` equal to the masses it is made of."""
    values = {name: content[name].to_numpy() for name in flows}
    for group, columns in PARTITIONS.items():
        names = [column.name for column in columns]
        if set(names) <= set(flows):
            total = _sum([values[name] for name in names])
            yield from differs(path, f"the partition {group}2*", "does not sum to 1", total, 1.0, tolerance)
    names = [f"v2{ROLES[role].short}" for role in TEXT]
    if {"v2t", *names} <= set(flows):
        yield from differs(path, "v2t", "is not the sum of its parts", values["v2t"], _sum([values[n] for n in names]))


def _sum(columns: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float64]:
    """The sum of several columns, float64 [rows]."""
    total = columns[0].astype(np.float64)
    for column in columns[1:]:
        total += column
    return total


def _check_contributions(run: Run, path: Location, content: pa.Table) -> Iterator[str]:
    """That the rows of each sample in `contributions` add up to its `d_heads`."""
    samples = run.read_part(run.path / "samples" / path.name, checked=False)
    total = sum(content[column.name].to_numpy().astype(np.float64) for column in CONTRIBUTION_COLUMNS)
    size = sum(np.abs(content[column.name].to_numpy().astype(np.float64)) for column in CONTRIBUTION_COLUMNS)
    ids = content["sample_id"].combine_chunks()
    names, codes = ids.dictionary.to_pylist(), ids.indices.to_numpy()
    sums, sizes = (np.bincount(codes, each, minlength=len(names)) for each in (total, size))
    expected = dict(zip(samples["sample_id"].to_pylist(), samples["d_heads"].to_pylist(), strict=True))
    known = np.array([expected.get(name) is not None for name in names])
    heads = np.array([expected.get(name) or 0.0 for name in names])
    with np.errstate(invalid="ignore"):  # what is infinite was said above
        sums, heads = (each[known] / np.maximum(1, sizes[known]) for each in (sums, heads))
    yield from differs(path, "the sum of a sample's rows", "is not its `d_heads`", sums, heads)


def _check_maps(run: Run, path: Location, content: pa.Table) -> Iterator[str]:
    """Maps of the heads that were asked for, as large as their grids, that add up to the mass."""
    if others := set(content["of"].to_pylist()) - {run.manifest.maps_of}:
        yield f"{path}: `of` is {listed(sorted(others))}, and the manifest's maps are of {run.manifest.maps_of}"
    layer, head, maps = content["layer"].to_numpy(), content["head"].to_numpy(), content[MAP].combine_chunks()
    inside = (layer >= 0) & (layer < run.manifest.layers) & (head >= 0) & (head < run.manifest.heads)
    asked = has_map(run)[np.where(inside, layer, 0), np.where(inside, head, 0)]
    there = pc.is_valid(maps).to_numpy(zero_copy_only=False)
    if wrong := int((inside & (there != asked)).sum()):
        yield f"{path}: `map` is null, or not, in {counted(wrong, 'row')} against `maps_heads` of the manifest"
    samples = run.read_part(run.path / "samples" / path.name, checked=False)
    patches = pc.multiply(samples["grid_rows"], samples["grid_columns"]).to_pylist()
    sizes = dict(zip(samples["sample_id"].to_pylist(), patches, strict=True))
    ids = content["sample_id"].combine_chunks()
    expected = np.array([sizes.get(name) or 0 for name in ids.dictionary.to_pylist()])[ids.indices.to_numpy()][there]
    weights = maps.drop_null().flatten()
    if weights.null_count:
        yield f"{path}: `map` has null in its lists, {counted(weights.null_count, 'time')}"
        return
    lengths = pc.list_value_length(maps).drop_null().to_numpy()
    if wrong := int(((lengths != expected) | (lengths == 0)).sum()):
        yield f"{path}: `map` has another length than `grid_rows` times `grid_columns` in {counted(wrong, 'row')}"
        return
    starts = np.cumsum(lengths, dtype=np.int64) - lengths
    totals = np.add.reduceat(weights.to_numpy(), starts, dtype=np.float64) if len(starts) else np.empty(0)
    mass, rest = (content[name].to_numpy()[there] for name in ("mass", "rest"))
    yield from differs(path, "`map`, with `rest`,", "does not add up to `mass`", totals + rest, mass)
