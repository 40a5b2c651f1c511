"""Workers on a Ray cluster, or on one that is started on this machine. The only module that loads Ray."""

import logging
import os
import signal
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from schemas.errors import HeadflowError
from schemas.text import one_line
from schemas.workers.work import AHEAD, LOCAL, Item, Returned, attempt, result_of

_ANSWER = 10  # seconds that a cluster has to answer
RETRIES = 3  # of a task whose worker was killed
ROOT = Path(__file__).parents[2]


class Cluster:
    """Workers on Ray; see `Workers`. A task whose worker is killed is done again, up to `RETRIES` times."""

    def __init__(self, address: str, number: int | None, packages: Sequence[str]) -> None:
        """Connect to a cluster.

        Args:
            address: see `connected`; `packages`: those of this repository that the tasks are in.
            number: how many tasks may be done at once; None: as many as the cluster has CPUs.

        Raises:
            HeadflowError: Ray is not installed, or there is no cluster at this address.
        """
        self._connection, self._number = connected(address, packages, cpus=number), number
        self._ray = self._connection.__enter__()

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *error: object) -> None:
        self._connection.__exit__(None, None, None)

    def map(self, function: Callable[[Item], Returned], tasks: Iterable[Item]) -> Iterator[Returned]:
        """See `Workers.map`."""
        number = self._number or max(1, int(self._ray.cluster_resources().get("CPU", 1)))
        remote = self._ray.remote(attempt).options(max_retries=RETRIES)
        coming: deque[Any] = deque()
        for task in tasks:
            coming.append(remote.remote(function, task))
            if len(coming) >= AHEAD * number:
                yield self._result(coming.popleft())
        while coming:
            yield self._result(coming.popleft())

    def _result(self, reference: Any) -> Any:
        try:
            outcome = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            what = f"{RETRIES} times anew" if isinstance(error, self._ray.exceptions.WorkerCrashedError) else "by Ray"
            raise HeadflowError(f"a task was not done {what}: {one_line(error)[:300]}", setting="ray") from None
        return result_of(outcome)


@contextmanager
def connected(address: str, packages: Sequence[str], *, cpus: int | None = None) -> Iterator[Any]:
    """The package `ray`, connected to a cluster. A cluster that is started here ends with the context, by Ctrl-C too.

    Args:
        address: as `ray.init` takes it; `LOCAL`: start one here.
        packages: those of this repository that run there; other machines get them from here.
        cpus: of a cluster that is started here; None: as many as this machine has.

    Raises:
        HeadflowError: Ray is not installed, or there is no cluster at this address.
    """
    _check_answers(address)
    ray, interrupt = _ray(), signal.getsignal(signal.SIGINT)
    options: dict[str, Any] = {"num_cpus": cpus, "include_dashboard": False} if address == LOCAL else {}
    options["runtime_env"] = {"py_modules": [str(ROOT / name) for name in packages]}
    if callable(interrupt):  # so that what follows is done
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        try:
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **options)
        except (OSError, RuntimeError, ValueError) as error:
            raise HeadflowError(f"no Ray cluster at {address}: {one_line(error)[:300]}", setting="ray") from None
        yield ray
    finally:
        ray.shutdown()
        signal.signal(signal.SIGINT, interrupt)


def _check_answers(address: str) -> None:
    """Raise `HeadflowError` if nobody answers at `host:port`, for which Ray would wait without end."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        try:
            socket.create_connection((host, int(port)), _ANSWER).close()
        except (OSError, OverflowError) as error:
            raise HeadflowError(f"no Ray cluster at {address}: {one_line(error)}", setting="ray") from None


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent to Ray's makers
    try:
        import ray
    except ModuleNotFoundError:
        raise HeadflowError("Ray is not installed: pip install -e '.[cluster]'") from None
    return ray
