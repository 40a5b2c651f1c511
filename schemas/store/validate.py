"""What is wrong with a run, a line each. Reads part by part, so memory does not grow with the run."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.columns import CONTRIBUTION_COLUMNS, CONTRIBUTIONS, EXTRAS, OK, PARTITIONS, PARTS, REASONS, SKIPPED
from schemas.errors import HeadflowError
from schemas.jobs.validate import validate_jobs
from schemas.manifest import IMPORTED, Manifest
from schemas.roles import ROLES, TEXT
from schemas.store.ledger import mostly_other_images
from schemas.store.parts import Cells, too_few_rows
from schemas.store.run import MANIFEST, Run, open_run
from schemas.text import listed

# Of a sum of float32 masses: a partition from 1, a mass beyond 0..1; means over thousands of tokens are off by 1e-5
TOLERANCE = 2e-5
# In half precision masses carry the error of the kernel's logsumexp, about 5e-5 of themselves
TOLERANCE_OF_HALF = 5e-4
HALF = ("float16", "bfloat16")


def validate(path: str | Path) -> Iterator[str]:
    """Yield what is wrong with the run in a directory; nothing when all is well.

    Checks the manifest and the ledgers, that the parts are those that ledgers name with their numbers of rows, the
    columns, values (that the contract's types can hold, no null, no NaN, 0..1, partitions that sum to 1 within a
    tolerance, `v2t` that equals its parts, contributions that add up to the margin), that each `ok` sample has every
    cell of each table's grid once, in the part that has it in `samples`, and no other sample has any, and that all
    chunks had the same weights and images; and the jobs on the run, see `validate_jobs`.
    """
    try:
        run = open_run(path)
    except HeadflowError as error:
        yield str(error)
        return
    yield from _check_ledgers(run)
    yield from _stray_files(run)
    ok: dict[str, dict[str, str]] = {}
    yield from _check_samples(run, ok)
    for table in run.grids:
        yield from _check_table(run, table, ok)
    yield from validate_jobs(run, {name: category for names in ok.values() for name, category in names.items()})


def _check_ledgers(run: Run) -> Iterator[str]:
    """That each chunk is complete, with as many samples as it was asked for, and that chunks fit each other."""
    chunks = range(run.manifest.num_chunks)
    incomplete = [chunk for chunk in chunks if chunk not in run.ledgers or not run.ledgers[chunk].complete]
    if incomplete:
        which = f": chunks {listed(incomplete)} of {len(chunks)}" if len(chunks) > 1 else ""
        yield f"{run.path}: the run is not complete, but interrupted or still running{which}"
    for chunk, ledger in run.ledgers.items():
        written = ledger.rows("samples")
        if ledger.complete and written != ledger.samples:
            yield f"{run.path}: chunk {chunk} is complete with {written} samples, and {ledger.samples} were asked for"
    asked = {ledger.samples_in_run for ledger in run.ledgers.values()}
    observed = {chunk: ledger for chunk, ledger in run.ledgers.items() if ledger.rows("heads")}
    weights = {ledger.weights for ledger in observed.values()} - {None}
    for chunk, ledger in observed.items():
        first = next(iter(observed.values()))
        if changed := mostly_other_images(first, ledger):
            yield f"{run.path}: chunk {chunk} was computed on other images of the same names: {listed(changed)}"
    if len(asked) > 1:
        yield f"{run.path}: chunks are parts of {listed(sorted(asked))} samples, so that they do not make one run"
    if len(weights) > 1:
        yield f"{run.path}: chunks were computed with {len(weights)} different sets of weights"


def _stray_files(run: Run) -> Iterator[str]:
    for table in ("samples", "heads", *EXTRAS):
        folder = run.path / table
        if not folder.is_dir():
            if table in ("samples", *run.grids):
                yield f"{folder} is missing"
            continue
        named = {path.name for path in run.part_paths(table)}
        stray = sorted({file.name for file in folder.glob("*.parquet") if not file.name.startswith(".")} - named)
        if stray:
            yield f"{folder} has parts that no ledger names: {listed(stray)}"


def _tables(run: Run, table: str) -> Iterator[tuple[Path, pa.Table | str]]:
    """Each part of a table, read whole, or the one line that says why it could not be."""
    for part in run.parts:
        path = run.path / table / part.name
        try:
            content = run.read_part(path)
        except HeadflowError as error:
            yield path, str(error)
            continue
        expected = part.rows.get(table, 0)
        if content.num_rows != expected:
            yield path, f"{path} has {content.num_rows} rows, its ledger says {expected}"
        yield path, content


def _check_samples(run: Run, ok: dict[str, dict[str, str]]) -> Iterator[str]:
    """Check the table `samples`, and fill `ok`: by part, each sample that was observed with its category."""
    seen: Counter[str] = Counter()
    for path, content in _tables(run, "samples"):
        if isinstance(content, str):
            yield content
            continue
        ids, categories = (content[name].to_pylist() for name in ("sample_id", "category"))
        statuses, reasons = (content[name].to_pylist() for name in ("status", "reason"))
        seen.update(ids)
        rows = zip(ids, categories, statuses, strict=True)
        ok[path.name] = {key: category for key, category, status in rows if status == OK}
        odd = [key for key, status in zip(ids, statuses, strict=True) if status not in (OK, SKIPPED)]
        if odd:
            yield f"{path}: `status` is neither `{OK}` nor `{SKIPPED}` for {listed(odd)}"
        unexplained = [
            key
            for key, status, why in zip(ids, statuses, reasons, strict=True)
            if status == SKIPPED and why not in REASONS
        ]
        if unexplained:
            yield f"{path}: skipped without a reason of the contract: {listed(unexplained)}"
        unknown = set(content["prompt"].drop_null().to_pylist()) - set(run.manifest.prompts)
        if unknown:
            yield f"{path}: `prompt` names wordings that {MANIFEST} does not have: {listed(sorted(unknown))}"
        for name in ("p_yes", "p_no"):
            yield from _outside(path, name, content[name].drop_null().to_numpy())
        for column in (column for column in run.columns("samples") if column.unit == "logits"):
            yield from _not_finite(path, column.name, content[column.name].drop_null().to_numpy())
        if CONTRIBUTIONS in run.manifest.tables:
            yield from _check_parts(path, content)
        for name in (f"n_{role.name}" for role in ROLES):
            if (pc.min(content[name]).as_py() or 0) < 0:
                yield f"{path}: `{name}` is negative"
    double = [key for key, count in seen.items() if count > 1]
    if double:
        yield f"{run.path / 'samples'}: `sample_id` is not unique: {listed(double)}"


def _check_parts(path: Path, samples: pa.Table) -> Iterator[str]:
    """That `d_embedding`, `d_heads` and the others are there for each observed sample, and add up to its margin."""
    names = [column.name for column in PARTS]
    observed = samples.filter(pc.equal(samples["status"], OK))
    if missing := [name for name in ("margin", *names) if observed[name].null_count]:
        yield f"{path}: {', '.join(missing)} is null in rows of observed samples, though contributions were asked for"
        return
    margin = observed["margin"].to_numpy().astype(np.float64)
    parts = np.array([observed[name].to_numpy().astype(np.float64) for name in names])
    size = np.maximum(1, np.abs(parts).max(axis=0, initial=0))
    what = "the sum of d_embedding, d_heads, d_mlp, d_bias and d_rest"
    yield from _differs(path, what, "is not `margin`", parts.sum(axis=0) / size, margin / size)


def _check_contributions(run: Run, path: Path, content: pa.Table) -> Iterator[str]:
    """That the rows of each sample in `contributions` add up to its `d_heads`."""
    samples = run.read_part(run.path / "samples" / path.name)
    total = sum(content[column.name].to_numpy().astype(np.float64) for column in CONTRIBUTION_COLUMNS)
    size = sum(np.abs(content[column.name].to_numpy().astype(np.float64)) for column in CONTRIBUTION_COLUMNS)
    ids = content["sample_id"].combine_chunks()
    names, codes = ids.dictionary.to_pylist(), ids.indices.to_numpy()
    sums, sizes = (np.bincount(codes, each, minlength=len(names)) for each in (total, size))
    expected = dict(zip(samples["sample_id"].to_pylist(), samples["d_heads"].to_pylist(), strict=True))
    known = np.array([expected.get(name) is not None for name in names])
    heads = np.array([expected.get(name) or 0.0 for name in names])
    sizes = np.maximum(1, sizes)
    yield from _differs(
        path, "the sum of a sample's rows", "is not its `d_heads`", *((each / sizes)[known] for each in (sums, heads))
    )


def _check_table(run: Run, table: str, ok: dict[str, dict[str, str]]) -> Iterator[str]:
    """Check a table with a grid against the samples that were observed."""
    seen: set[str] = set()
    part_of = {name: part for part, names in ok.items() for name in names}
    if wrong := too_few_rows(run, len(part_of), table):
        yield wrong
        return
    for path, content in _tables(run, table):
        if isinstance(content, str):
            yield content
            seen.update(ok.get(path.name, {}))  # what it has is not known
            continue
        content = content.combine_chunks().unify_dictionaries()
        yield from _check_values(run, table, path, content)
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
    path: Path, content: pa.Table, codes: npt.NDArray[np.int32], names: list[str], run: Run
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


def _check_values(run: Run, table: str, path: Path, content: pa.Table) -> Iterator[str]:
    """Check what a table has beside its grid."""
    if table == "heads":
        yield from _check_flows(path, content, run.manifest)
        return
    for column in run.columns(table):
        if pa.types.is_floating(column.type):
            yield from _not_finite(path, column.name, content[column.name].to_numpy())
    if table == CONTRIBUTIONS:
        yield from _check_contributions(run, path, content)


def _check_flows(path: Path, content: pa.Table, manifest: Manifest) -> Iterator[str]:
    """Values finite and in 0..1, partitions that sum to 1, `v2t` equal to the masses it is made of."""
    flows = manifest.flows
    half = manifest.dtype in HALF or manifest.source == IMPORTED  # the records of an imported run may be of such a run
    tolerance = TOLERANCE_OF_HALF if half else TOLERANCE
    values = {name: content[name].to_numpy().astype(np.float64) for name in flows}
    for name, value in values.items():
        yield from _outside(path, name, value, tolerance)
    for group, columns in PARTITIONS.items():
        names = [column.name for column in columns]
        if set(names) <= set(flows):
            total = sum(values[name] for name in names)
            what = f"the partition {group}2*"
            yield from _differs(path, what, "does not sum to 1", total, np.ones_like(total), tolerance)
    names = [f"v2{ROLES[role].short}" for role in TEXT]
    if {"v2t", *names} <= set(flows):
        yield from _differs(path, "v2t", "is not the sum of its parts", values["v2t"], sum(values[n] for n in names))


def _not_finite(path: Path, name: str, value: npt.NDArray[np.floating]) -> Iterator[str]:
    if infinite := int((~np.isfinite(value)).sum()):
        yield f"{path}: `{name}` is not finite in {infinite} rows"


def _outside(path: Path, name: str, value: npt.NDArray[np.floating], tolerance: float = TOLERANCE) -> Iterator[str]:
    bad = int(np.isnan(value).sum())
    if bad:
        yield f"{path}: `{name}` is NaN in {bad} rows"
    beyond = int(((value < -tolerance) | (value > 1 + tolerance)).sum())
    if beyond:
        yield f"{path}: `{name}` is outside 0..1 in {beyond} rows ({np.nanmin(value):.6g} to {np.nanmax(value):.6g})"


def _differs(
    path: Path, what: str, how: str, value: npt.NDArray, expected: npt.NDArray, tolerance: float = TOLERANCE
) -> Iterator[str]:
    error = np.abs(value - expected)
    bad = int((error > tolerance).sum())
    if bad:
        yield f"{path}: {what} {how} in {bad} rows (off by up to {np.nanmax(error):.3g})"


def _listed(path: Path, what: str, names: list[str]) -> Iterator[str]:
    if names:
        yield f"{path}: {listed(names)} {what}"
