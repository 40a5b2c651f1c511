"""What workers do: a function of one argument, done for each task; and doing it in this process, without workers.

A task covers a fixed number of consecutive parts of a run, whatever the number of workers, and results come in the
order of the tasks. So sums of results are the same to the last bit, wherever the tasks are done.
"""

import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol, TypeVar

from schemas.errors import HeadflowError

Item = TypeVar("Item")
Returned = TypeVar("Returned")
_Part = TypeVar("_Part")
_PARTS = 8  # of one task: about a million rows of `heads`
LOCAL = "local"  # the address of a Ray cluster that is started here, and ends with this process
AHEAD = 2  # tasks for each worker that are begun before the result of the first of them is taken

TaskOutcome = tuple[Returned | None, Exception | None]  # a result, or what was raised instead


class Workers(Protocol):
    """Where tasks are done."""

    def map(self, function: Callable[[Item], Returned], tasks: Iterable[Item]) -> Iterator[Returned]:
        """The results of a function, in the order of the tasks; a few of them are done ahead.

        Args:
            function: at the top level of a module. Tasks and results are pickled, so they are plain and small.

        Raises:
            HeadflowError: a worker was killed.
            Exception: what the function raises for the first task that fails.
        """
        ...


class Here:
    """No workers: this process does the tasks, each when its result is taken."""

    def map(self, function: Callable[[Item], Returned], tasks: Iterable[Item]) -> Iterator[Returned]:
        """See `Workers.map`."""
        return map(function, tasks)


HERE = Here()


def divided(parts: Sequence[_Part]) -> Iterator[Sequence[_Part]]:
    """Consecutive parts, `_PARTS` for each task."""
    return (parts[first : first + _PARTS] for first in range(0, len(parts), _PARTS))


def attempt(function: Callable[[Item], Returned], task: Item) -> TaskOutcome[Returned]:
    """Do a task in a worker; where it fails, what was raised is the outcome, to be raised in the process that asks."""
    try:
        return function(task), None
    except Exception as error:
        if not isinstance(error, HeadflowError):  # a defect: the traceback would be lost
            error.add_note(f"in a worker:\n{traceback.format_exc()}")
        return None, error


def result_of(outcome: TaskOutcome[Returned]) -> Returned:
    """The result of a task; raises what was raised instead."""
    result, error = outcome
    if error is not None:
        raise error
    return result  # type: ignore[return-value]  # `None` may be a result
