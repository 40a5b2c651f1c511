"""What is wrong with a run, a line each. Reads part by part, so memory does not grow with the run."""

from collections.abc import Iterator

from schemas.columns import TABLES
from schemas.errors import HeadflowError
from schemas.files.locations import Location
from schemas.store.directory import job_folders
from schemas.store.jobs import open_job
from schemas.store.ledger import mostly_other_images
from schemas.store.run import Run, open_run
from schemas.text import counted, listed
from schemas.validation.grids import check_table
from schemas.validation.jobs import check_job
from schemas.validation.samples import check_samples
from schemas.workers.work import HERE, Workers


def validate(path: str | Location, workers: Workers = HERE) -> Iterator[str]:
    """Yield what is wrong with the run in a directory; nothing when all is well.

    Checks the manifest and the ledgers, that the parts are those that ledgers name with their numbers of rows, the
    columns, values (that the contract's types can hold, no null, no NaN, 0..1, partitions that sum to 1 within a
    tolerance, `v2t` that equals its parts, contributions that add up to the margin), that each `ok` sample has every
    cell of each table's grid once, in the part that has it in `samples`, and no other sample has any, and that all
    chunks had the same weights and images; and the same of each job on the run, see `check_job`.

    Raises:
        HeadflowError: see `Workers.map`.
    """
    try:
        run = open_run(path)
    except HeadflowError as error:
        yield str(error)
        return
    yield from _check_ledgers(run)
    yield from _stray_files(run)
    ok: dict[str, dict[str, str]] = {}
    yield from check_samples(run, ok, workers)
    for table in run.grids:
        yield from check_table(run, table, ok, workers)
    for folder in job_folders(run.path):
        try:
            job = open_job(run, folder.name)
        except HeadflowError as error:
            yield str(error)
            continue
        yield from _check_ledgers(job.own)
        yield from _stray_files(job.own)
        yield from check_job(job, ok, workers)


def _check_ledgers(run: Run) -> Iterator[str]:
    """That each chunk is complete, with as many samples as it was asked for, and that chunks fit each other."""
    chunks = range(run.manifest.num_chunks)
    incomplete = [chunk for chunk in chunks if chunk not in run.ledgers or not run.ledgers[chunk].complete]
    if incomplete:
        which = f": chunks {listed(incomplete)} of {len(chunks)}" if len(chunks) > 1 else ""
        yield f"{run.path}: the run is not complete, but interrupted or still running{which}"
    for chunk, ledger in run.ledgers.items():
        written = run.samples_in(ledger)
        if ledger.complete and written != ledger.samples:
            there = counted(written, "sample")
            yield f"{run.path}: chunk {chunk} is complete with {there}, and {ledger.samples} were asked for"
    asked = {ledger.samples_in_run for ledger in run.ledgers.values()}
    observed = {chunk: ledger for chunk, ledger in run.ledgers.items() if run.observed_in(ledger)}
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
    for table in TABLES:
        folder = run.path / table
        named = {path.name for path in run.part_paths(table)}
        stray = sorted({file.name for file in folder.glob("*.parquet") if not file.name.startswith(".")} - named)
        if stray:
            yield f"{folder} has parts that no ledger names: {listed(stray)}"
