"""Where a run lies: whether there is one, whether it can be written there, and what is removed with a run."""

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from schemas.columns import TABLES
from schemas.errors import HeadflowError
from schemas.files.json_objects import read_object
from schemas.files.locations import Location, ObjectPath
from schemas.files.writing import write_text
from schemas.store.ledger import CHUNKS, JOB_NAME, JOBS, LEDGER_NAME, MANIFEST, PART_NAME, TABLE_NAME
from schemas.store.thumbnails import find_thumbnails
from schemas.text import one_line, short

PROBE = ".probe"  # the object that is put to see whether one can be
LEVELS = 3  # folders above a run that are looked at
OUTPUTS = ".outputs.json"  # names and hashes of the files that were made from a run and lie in its directory


def holds_run(path: Location) -> bool:
    """Whether a directory holds a run, or what is left of one."""
    return (path / MANIFEST).exists() or bool(_ledgers(path))


def job_folders(path: Location) -> list[Location]:
    """The folders of the jobs on a run, or of what is left of them, in order."""
    folders: list[Location] = [*(path / JOBS).glob("*")]
    return [job for job in sorted(folders, key=str) if JOB_NAME.fullmatch(job.name) and holds_run(job)]


def check_directory(path: Location) -> None:
    """Check that a run can be written to a directory, and make it, before any costly work; removes nothing.

    On an object store a small object is put there and removed.

    Raises:
        HeadflowError: it cannot be written to.
    """
    try:
        if path.exists() and not path.is_dir():
            raise HeadflowError(f"{path} is a file, not a directory; choose another directory")
        if isinstance(path, ObjectPath):
            (path / PROBE).write_bytes(b"")
            (path / PROBE).unlink(missing_ok=True)
            return
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise HeadflowError(f"cannot write to {path}: {one_line(error.strerror or error)}") from None


def refuse_inside_run(path: Location) -> None:
    """Raise `HeadflowError` for a new run inside an existing one: readers of the outer run would take up its files."""
    if holds_run(path) and not _read_ours(path / MANIFEST).get("parent"):
        return
    parents: Iterable[Location] = path.resolve().parents
    for parent in islice(parents, LEVELS):
        if _read_ours(parent / MANIFEST):
            raise HeadflowError(
                f"{path} lies in the run {parent}, and a run in a run is read with it; choose another directory",
                setting="output_dir",
            )


def refuse_other_files(path: Location) -> None:
    """Raise `HeadflowError` if a run is to be begun in a directory of other files; hidden ones are no matter."""
    if not path.is_dir():
        return
    # Folders that hold Parquet are looked into when the run is begun: see `refuse_foreign_parquet`
    names = sorted(file.name for file in path.glob("*") if file.name[0] != "." and file.name not in (*TABLES, CHUNKS))
    if names and not holds_run(path):  # asked last: another process may have begun the same run meanwhile
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        raise HeadflowError(
            f"{path} holds {short(names[0])}{more}, and no run; choose a new or empty directory", setting="output_dir"
        )


def refuse_foreign_parquet(path: Location) -> None:
    """Raise `HeadflowError` if there is no run, but Parquet in the folders of its tables: readers would read it too."""
    for table in TABLES:
        if any((path / table).glob("*.parquet")) and not holds_run(path):  # as above
            raise HeadflowError(
                f"{path} has Parquet files in {table}/, but no {MANIFEST}: it is not a run, or its manifest is gone; "
                "choose another directory",
                setting="output_dir",
            )


def refuse_foreign_run(path: Location) -> None:
    """Raise `HeadflowError` if a directory has files with the names of a manifest and ledgers, but none is one."""
    files = [*_ledgers(path), *([path / MANIFEST] if (path / MANIFEST).exists() else [])]
    if files and not any(_read_ours(file) for file in files):
        raise HeadflowError(
            f"{files[-1]} was not written by headflow, so {path} is not a run; choose another directory",
            setting="output_dir",
        )


def record_outputs(run: Location, files: Iterable[Path]) -> None:
    """Record files that were made from a run and lie in its directory, so that they are removed with it.

    Files in other directories are left out, so all of a run on an object store.
    """
    if isinstance(run, ObjectPath):
        return
    inside = [path for file in files if (path := file.resolve()).is_relative_to(run.resolve())]
    if inside:
        names = {path.relative_to(run.resolve()).as_posix(): _digest(path) for path in inside}
        write_text(run / OUTPUTS, json.dumps(_outputs(run) | names, indent=1, sort_keys=True) + "\n")


def remove_run(path: Location) -> None:
    """Remove the run in a directory, see `files_of_run`, and nothing else.

    Raises:
        HeadflowError: see `refuse_foreign_run`.
    """
    refuse_foreign_run(path)
    outputs = _unchanged_outputs(path)
    for file in files_of_run(path):
        file.unlink(missing_ok=True)
    remove_empty({file.parent for file in outputs} - {path})


def files_of_run(path: Location) -> list[Location]:
    """The files that are removed with the run in a directory.

    They are its manifest, its ledgers, the files named as its parts in the folders of tables that are known or that a
    ledger names, its jobs, its thumbnails, and the recorded outputs that were not changed since.
    """
    ledgers = _ledgers(path)
    parts = [part for file in ledgers for part in _read_ours(file).get("parts", []) if isinstance(part, dict)]
    rows = [part.get("rows") for part in parts]
    named = {table for each in rows if isinstance(each, dict) for table in each if TABLE_NAME.fullmatch(table)}
    files = [path / MANIFEST, path / OUTPUTS, *ledgers, *find_thumbnails(path)]
    files += [file for job in job_folders(path) for file in files_of_run(job)]
    for table in {*TABLES, *named}:
        names = [*(path / table).glob("part-*.parquet"), *(path / table).glob(".part-*.parquet.tmp")]
        files += [file for file in names if PART_NAME.fullmatch(file.name.removeprefix(".").removesuffix(".tmp"))]
    return [*files, *_unchanged_outputs(path)]


def remove_begun(path: Location) -> None:
    """Remove a run that was begun in vain, with its locks, and the directories that are empty then."""
    jobs = job_folders(path)
    remove_run(path)
    if isinstance(path, ObjectPath):
        return
    for folder in [*(job for job in jobs if isinstance(job, Path)), path]:
        for lock in folder.glob(".chunk-*.lock"):
            lock.unlink()
        remove_empty([*(folder / name for name in (*TABLES, CHUNKS, JOBS)), folder])
    if path.parent.name == JOBS:
        remove_empty([path.parent])


def remove_empty(folders: Iterable[Path]) -> None:
    """Remove directories, one after the other, that are there and empty."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


@contextmanager
def new_directory(path: Location) -> Iterator[Callable[[], None]]:
    """Around what comes before a run: checks the directory; if it fails, what was made of it here is removed.

    Yields:
        What removes it, where a process ends at once.

    Raises:
        HeadflowError: see `check_directory`.
    """
    made = [each for each in (path, *path.parents) if not each.exists()] if isinstance(path, Path) else []
    check_directory(path)
    try:
        yield partial(remove_empty, made)
    except BaseException:
        remove_empty(made)
        raise


def _unchanged_outputs(run: Location) -> list[Path]:
    """The recorded outputs of a run that were not changed since; none on an object store."""
    if isinstance(run, ObjectPath):
        return []
    return [run / name for name, digest in _outputs(run).items() if _unchanged(run, name, digest)]


def _ledgers(path: Location) -> list[Location]:
    return [file for file in (path / CHUNKS).glob("*.json") if LEDGER_NAME.fullmatch(file.name)]


def _read_ours(file: Location) -> dict[str, Any]:
    """The object in a manifest or a ledger, empty if it is none or cannot be read."""
    try:
        content = read_object(file, str(file))
    except HeadflowError:
        return {}
    marks = {"schema_version", "layers", "heads"} if file.name == MANIFEST else {"chunk", "parts", "sessions"}
    return content if marks <= content.keys() else {}


def _outputs(run: Path) -> dict[str, str]:
    """The recorded outputs of a run: hashes by file name."""
    try:
        content = read_object(run / OUTPUTS, OUTPUTS)
    except HeadflowError:  # none were recorded
        return {}
    return {name: digest for name, digest in content.items() if isinstance(digest, str)}


def _unchanged(run: Path, name: str, digest: str) -> bool:
    """Whether a recorded output lies in the run's directory and is as it was."""
    file = run / name
    return file.is_file() and file.resolve().is_relative_to(run.resolve()) and _digest(file) == digest


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
