"""Two things at once, in threads, such as what is computed of answers while the rows of heads are read and tested."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from threading import Thread
from typing import TypeVar

_Found = TypeVar("_Found")
_Other = TypeVar("_Other")


@contextmanager
def beside(function: Callable[[], _Found]) -> Iterator[Callable[[], _Found]]:
    """Begin a function; what is yielded waits for its result, or raises what it raised.

    Drawing, products of matrices and reading leave the interpreter to other threads, so two cores are used. Where the
    block ends early, by an error or Ctrl-C, nothing waits for the function.
    """
    found: Future[_Found] = Future()

    def run() -> None:
        try:
            found.set_result(function())
        except BaseException as error:  # goes to whoever asks for the result
            found.set_exception(error)

    Thread(target=run, daemon=True).start()
    yield found.result


def both(one: Callable[[], _Found], other: Callable[[], _Other]) -> tuple[_Found, _Other]:
    """The results of two functions that are done at once; raises what the first raised, or else the second."""
    with beside(other) as result:
        found = one()
        return found, result()
