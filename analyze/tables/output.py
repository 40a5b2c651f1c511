"""Results: a verdict in words, tables as CSV files, pictures."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from schemas.errors import HeadflowError
from schemas.files.locations import Location
from schemas.files.writing import publishing
from schemas.store.directory import record_outputs
from schemas.text import counted, fitted, printable


def present(
    verdict: Sequence[str],
    tables: Mapping[str, pd.DataFrame],
    folder: Path,
    run: Location,
    *,
    show: Callable[[], None],
    draw: Callable[[], list[Path]],
) -> None:
    """Write tables as CSV and draw, then print a verdict and what `show` prints of the tables.

    Files come first, as whoever reads what is printed may stop reading.

    Args:
        tables: by the names of their files in `folder`.
        run: the run that the files are recorded in.
        draw: writes pictures; returns their paths.

    Raises:
        HeadflowError: the tables cannot be written; the result is printed before.
    """
    try:
        if unwritten := write_csv(tables, folder):
            raise unwritten
        paths = draw()
        record_outputs(run, [*(folder / name for name in tables), *paths])
    finally:
        print("\n" + "\n".join(fitted(printable(line)) for line in verdict))
        show()
    made = f"{counted(len(tables), 'table')} and {counted(len(paths), 'picture')}"
    print("\n" + fitted(printable(f"written: {made} in {folder}")))


def write_csv(tables: Mapping[str, pd.DataFrame], folder: Path) -> HeadflowError | None:
    """Write tables into a folder, by the names of their files.

    Returns:
        What kept them from being written; the caller raises it when the result has been printed.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, table in tables.items():
            with publishing(folder / name) as aside:
                table.to_csv(aside, index=False)
    except OSError as error:
        return unwritable(", ".join(tables), folder, error)
    return None


def unwritable(what: str, folder: Path, error: OSError) -> HeadflowError:
    """The error of a result that has no place on the disk."""
    why = "it is a file, not a directory" if isinstance(error, FileExistsError) else error.strerror or error
    return HeadflowError(f"{what} cannot be written to {folder}: {why}", setting="output_dir")
