"""The samples of a run, read with their values and written to another run."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from analyze.tables.rows import part_apart, part_lists, part_values
from schemas.columns import OK, REASONS
from schemas.errors import HeadflowError
from schemas.files.locations import Location
from schemas.files.pictures import hashes_of
from schemas.manifest import Manifest, Session
from schemas.store.directory import holds_run, remove_run
from schemas.store.grids import Grids
from schemas.store.ledger import Part
from schemas.store.run import Run
from schemas.store.thumbnails import read_thumbnail
from schemas.store.writer import RunWriter


def check_output(out: Location, runs: Sequence[Location], *, overwrite: bool) -> None:
    """Check where a run of samples of other runs is to be written.

    Raises:
        HeadflowError: it is one of these runs or lies in it, or there is a run and it is not to be replaced.
    """
    inside = out.resolve()
    if found := next((run for run in runs if run.resolve() in (inside, *inside.parents)), None):
        raise HeadflowError(f"{out} is the run {found}, which is read, or lies in it; choose another directory")
    if holds_run(out) and not overwrite:
        raise HeadflowError(f"{out} holds a run; choose another directory, or overwrite it", setting="overwrite")


def write_samples(
    out: Location,
    manifest: Manifest,
    sources: Sequence[tuple[Run, Collection[str]]],
    arguments: dict[str, Any],
    *,
    images: Mapping[str, str],
    change: Mapping[str, Any],
    overwrite: bool,
) -> Run:
    """Write a run of samples of other runs, part by part; returns it.

    Args:
        sources: runs, with the ids of the samples to take from each.
        arguments: of the command, for the session.
        images: fingerprints of images by name.
        change: values of `samples` that take the place of those read, by column.

    Raises:
        HeadflowError: a run cannot be read, or the new one not be written.
    """
    ledgers = [ledger for run, _ in sources for ledger in run.ledgers.values()]
    writer = RunWriter(
        out,
        manifest,
        Session(arguments=arguments),
        samples=sum(len(wanted) for _, wanted in sources),
        weights=next((ledger.weights for ledger in ledgers if ledger.weights and ledger.rows("heads")), None),
        images=images,
        history=[session for ledger in ledgers for session in ledger.sessions],
        overwrite=overwrite,
    )
    try:
        for run, wanted in sources:
            for part in run.parts:
                for sample, values in _samples(run, part, wanted):
                    if values is None:
                        writer.skip({**sample, **change}, sample["reason"], sample["detail"] or "")
                    else:
                        writer.add({**sample, **change}, values, _thumbnails(run, sample))
        writer.finish()
    except BaseException:  # what is written cannot be gone on with
        writer.close()
        remove_run(out)
        raise
    return writer.run


def _thumbnails(run: Run, sample: Mapping[str, Any]) -> dict[str, bytes]:
    """The thumbnails that a run has of the images of a sample, by the hashes of these."""
    found = {sha256: read_thumbnail(run.path, sha256) for sha256 in hashes_of(sample)}
    return {sha256: content for sha256, content in found.items() if content is not None}


def _samples(run: Run, part: Part, wanted: Collection[str]) -> Iterator[tuple[dict[str, Any], Grids | None]]:
    """The rows of `samples` that are wanted of one part, each with its values, `None` if it was skipped."""
    path = run.path / "samples" / part.name
    rows = run.read_part(path).to_pylist()
    if not any(row["sample_id"] in wanted for row in rows):
        return
    ids = [row["sample_id"] for row in rows if row["status"] == OK]
    values: dict[str, Iterator[Any]] = {table: iter(part_values(run, table, part, ids)) for table in run.grids}
    for name, (table, column) in run.apart.items():
        lists = part_lists(run, table, part, ids) if column.length else part_apart(run, table, part, ids, column)
        values[name] = iter(lists)
    for row in rows:
        observed = {table: next(each) for table, each in values.items()} if row["status"] == OK else None
        if observed is None and row["reason"] not in REASONS:
            raise HeadflowError(f"{path}: {row['sample_id']} is neither observed nor has a reason; run validate")
        if row["sample_id"] in wanted:
            yield row, observed
