"""Workers on a Ray cluster, or on one that is started on this machine. The only module that loads Ray."""

import logging
import os
import signal
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from schemas.errors import HeadflowError
from schemas.text import one_line
from schemas.workers.tasks import AHEAD, Result, Task, attempt, result_of

LOCAL = "local"  # the address of a cluster that is started here, and ends with this process
ANSWER = 10  # seconds that a cluster has to answer
RETRIES = 3  # of a task whose worker was killed
ROOT = Path(__file__).parents[2]


class Cluster:
    """Workers on Ray; see `Workers`. A task whose worker is killed is done again, up to `RETRIES` times."""

    def __init__(self, address: str, number: int | None, packages: Sequence[str]) -> None:
        """Connect to a cluster.

        Args:
            address: as `ray.init` takes it; `LOCAL`: start one here.
            number: how many tasks may be done at once; None: as many as the cluster has CPUs.
            packages: those of this repository that the tasks are in; other machines get them from here.

        Raises:
            HeadflowError: Ray is not installed, or there is no cluster at this address.
        """
        _check_answers(address)
        self._ray, self._interrupt = _ray(), signal.getsignal(signal.SIGINT)
        options: dict[str, Any] = {"num_cpus": number, "include_dashboard": False} if address == LOCAL else {}
        options["runtime_env"] = {"py_modules": [str(ROOT / name) for name in packages]}
        if callable(self._interrupt):  # so that Ctrl-C ends the cluster's processes as well; see `__exit__`
            signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            self._ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **options)
            self._number = number or max(1, int(self._ray.cluster_resources().get("CPU", 1)))
        except (OSError, RuntimeError, ValueError) as error:
            self.__exit__()
            raise HeadflowError(f"no Ray cluster at {address}: {one_line(error)[:300]}", setting="ray") from None
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *error: object) -> None:
        self._ray.shutdown()
        signal.signal(signal.SIGINT, self._interrupt)

    def map(self, function: Callable[[Task], Result], tasks: Iterable[Task]) -> Iterator[Result]:
        """See `Workers.map`."""
        remote = self._ray.remote(attempt).options(max_retries=RETRIES)
        coming: deque[Any] = deque()
        for task in tasks:
            coming.append(remote.remote(function, task))
            if len(coming) >= AHEAD * self._number:
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


def _check_answers(address: str) -> None:
    """Raise `HeadflowError` if nobody answers at `host:port`, for which Ray would wait without end."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        try:
            socket.create_connection((host, int(port)), ANSWER).close()
        except (OSError, OverflowError) as error:
            raise HeadflowError(f"no Ray cluster at {address}: {one_line(error)}", setting="ray") from None


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent to Ray's makers
    try:
        import ray
    except ModuleNotFoundError:
        raise HeadflowError("Ray is not installed: pip install -e '.[cluster]'") from None
    return ray
