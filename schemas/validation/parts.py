"""The parts of a table, read some at a time by workers, so that memory does not grow with the run."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import pyarrow as pa

from schemas.errors import HeadflowError
from schemas.store.ledger import Part
from schemas.store.run import Run
from schemas.text import counted
from schemas.workers.work import Workers, divided

_Returned = TypeVar("_Returned")


@dataclass(frozen=True)
class PartTask:
    """One part of a table.

    Attributes:
        run: without its ledgers, which may be large.
        own: the samples of the part that were observed, with their categories; None: not known.
    """

    run: Run
    table: str
    part: Part
    own: Mapping[str, str] | None = None

    def read(self, lines: list[str]) -> pa.Table | None:
        """The part, read whole; None if it cannot be read. What is wrong with it goes into `lines`."""
        path = self.run.path / self.table / self.part.name
        try:
            content = self.run.read_part(path, checked=False)
        except HeadflowError as error:
            lines.append(str(error))
            return None
        expected = self.part.rows.get(self.table, 0)
        if content.num_rows != expected:
            lines.append(f"{path} has {counted(content.num_rows, 'row')}, its ledger says {expected}")
        return content


@dataclass(frozen=True)
class _Several:
    check: Callable[[PartTask], object]
    parts: Sequence[PartTask]


def _check_several(task: _Several) -> list[object]:
    """Check the parts of a task: what a worker does."""
    return [task.check(part) for part in task.parts]


def each_part(
    check: Callable[[PartTask], _Returned],
    run: Run,
    table: str,
    parts: Sequence[Part],
    workers: Workers,
    own: Mapping[str, Mapping[str, str]] | None = None,
) -> Iterator[_Returned]:
    """The results of a check of each part of a table, in the order of the parts.

    Args:
        check: at the top level of a module.
        own: by part, see `PartTask`.
    """
    bare, known = replace(run, ledgers={}), own or {}
    tasks = (
        _Several(check, [PartTask(bare, table, part, known.get(part.name)) for part in some]) for some in divided(parts)
    )
    for found in workers.map(_check_several, tasks):
        yield from found  # type: ignore[misc]  # of `check`
