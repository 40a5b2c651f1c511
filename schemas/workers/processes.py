"""Workers on this machine: processes that are started anew, never forked, as pyarrow has threads.

A worker loads what its tasks need, and not the command that asks. It ends with the process that started it.
"""

import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from schemas.errors import HeadflowError
from schemas.workers.work import AHEAD, Item, Returned, TaskOutcome, attempt, result_of


class Processes:
    """A number of processes; see `Workers`. They start at once, so that they load while the caller opens a run."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._processes: dict[Connection, BaseProcess] = {}
        self._start()

    def __enter__(self) -> "Processes":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the processes, whatever they do."""
        for connection, process in self._processes.items():
            connection.close()
            process.kill()
            process.join()
        self._processes = {}

    def map(self, function: Callable[[Item], Returned], tasks: Iterable[Item]) -> Iterator[Returned]:
        """See `Workers.map`."""
        try:
            for outcome in self._outcomes(function, enumerate(tasks)):
                yield result_of(outcome)
        except BaseException:  # also if the caller takes no more results: some tasks are half done
            self.close()
            raise

    def _outcomes(
        self, function: Callable[[Item], Returned], tasks: Iterator[tuple[int, Item]]
    ) -> Iterator[TaskOutcome]:
        """The outcomes in the order of the tasks."""
        self._start()
        idle, running = list(self._processes), dict[Connection, int]()
        done: dict[int, TaskOutcome] = {}
        place = 0
        while True:
            while idle and len(running) + len(done) < AHEAD * self._number and (task := next(tasks, None)):
                running[idle[-1]] = task[0]
                self._send(idle.pop(), (function, task[1]))
            if place in done:
                yield done.pop(place)
                place += 1
                continue
            if not running:
                return
            for connection in wait(list(running)):
                assert isinstance(connection, Connection)
                done[running.pop(connection)] = self._receive(connection)
                idle.append(connection)

    def _start(self) -> None:
        context = get_context("spawn")
        while len(self._processes) < self._number:
            own, other = context.Pipe()
            process = context.Process(target=_serve, args=(other,), daemon=True)
            with _ctrl_c_later():
                process.start()
            other.close()
            self._processes[own] = process

    def _send(self, connection: Connection, content: object) -> None:
        try:
            connection.send_bytes(pickle.dumps(content, pickle.HIGHEST_PROTOCOL))
        except OSError:
            raise self._ended(connection) from None

    def _receive(self, connection: Connection) -> TaskOutcome:
        try:
            outcome: TaskOutcome = pickle.loads(connection.recv_bytes())
        except (EOFError, OSError):
            raise self._ended(connection) from None
        return outcome

    def _ended(self, connection: Connection) -> HeadflowError:
        """Why a process ended before its task was done."""
        process = self._processes[connection]
        process.join()
        code = process.exitcode or 0
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        advice = "; if memory ran out, fewer workers need less" if code == -signal.SIGKILL else ""
        return HeadflowError(f"a worker process {how} before its task was done{advice}", setting="workers")


@contextmanager
def _ctrl_c_later() -> Iterator[None]:
    """Keep Ctrl-C from a process that is being started until it can end without a traceback; see `_serve`."""
    if os.name != "posix":
        yield
        return
    resource_tracker.ensure_running()  # started with the first process, it would let Ctrl-C through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(connection: Connection) -> None:
    """Do tasks until the connection is closed: the body of a worker."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else whoever started this ignores Ctrl-C
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    if os.name == "posix":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ["OMP_NUM_THREADS"] = "1"  # of numpy and pyarrow: there is a worker for each core
    import pyarrow.compute
    import pyarrow.parquet  # noqa: F401  # what all tasks need, while the caller opens the run

    while True:
        try:
            content = connection.recv_bytes()
        except (EOFError, OSError):
            return
        outcome = attempt(_do, content)
        connection.send_bytes(pickle.dumps(outcome, pickle.HIGHEST_PROTOCOL))


def _do(content: bytes) -> Any:
    """Do a task that was pickled with its function; loads the function's module."""
    function, task = pickle.loads(content)
    return function(task)


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
