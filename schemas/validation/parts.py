"""The parts of a table, read one by one, so that memory does not grow with the run."""

from collections.abc import Iterator

import pyarrow as pa

from schemas.errors import HeadflowError
from schemas.files.locations import Location
from schemas.store.run import Run


def read_parts(run: Run, table: str) -> Iterator[tuple[Location, pa.Table | str]]:
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
