"""The directory of a run: whether it holds one, whether it can be written to, and removing a run from it."""

import tempfile
from pathlib import Path

from schemas.columns import TABLES
from schemas.errors import HeadflowError
from schemas.store.ledger import CHUNKS, LEDGER_NAME, PART_NAME
from schemas.store.run import MANIFEST


def holds_run(path: Path) -> bool:
    """Whether a directory holds a run, or what is left of one."""
    return (path / MANIFEST).exists() or bool(_ledgers(path))


def check_directory(path: Path) -> None:
    """Check that a run can be written to a directory, and make it, before any costly work; removes nothing.

    Raises:
        HeadflowError: it cannot be written to.
    """
    if path.exists() and not path.is_dir():
        raise HeadflowError(f"{path} is a file; give a directory to write the run to")
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise HeadflowError(f"cannot write to {path}: {error.strerror or error}") from None


def refuse_foreign_parquet(path: Path) -> None:
    """Raise `HeadflowError` if there is no run, but Parquet in the folders of its tables: readers would read it too."""
    for table in TABLES:
        if any((path / table).glob("*.parquet")):
            raise HeadflowError(
                f"{path} has Parquet files in {table}/, but no {MANIFEST}: it is not a run, or its manifest is gone; "
                "choose another directory",
                setting="output_dir",
            )


def remove_run(path: Path) -> None:
    """Remove the run in a directory: its manifest, its ledgers and the files named as its parts, and nothing else."""
    files = [path / MANIFEST, *_ledgers(path)]
    for table in TABLES:
        names = [*(path / table).glob("part-*.parquet"), *(path / table).glob(".part-*.parquet.tmp")]
        files += [file for file in names if PART_NAME.fullmatch(file.name.removeprefix(".").removesuffix(".tmp"))]
    for file in files:
        file.unlink(missing_ok=True)


def _ledgers(path: Path) -> list[Path]:
    return [file for file in (path / CHUNKS).glob("*.json") if LEDGER_NAME.fullmatch(file.name)]
