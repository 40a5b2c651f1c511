"""A Ray cluster on this machine, which tests share as it takes seconds to start; and what stands for one."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import psutil

# Nothing is reported, and no worker is started before there is a task for it
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_enable_worker_prestart": "0",
    "RAY_prestart_worker_first_driver": "0",
}


@contextmanager
def started(cpus: int, environment: dict[str, str]) -> Iterator[str]:
    """A cluster that ends with the context, and its processes' environment variables; yields its address."""
    from ray.cluster_utils import Cluster

    unneeded = {"include_dashboard": False, "include_log_monitor": False, "no_monitor": True}
    with patch.dict(os.environ, QUIET | environment):
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": cpus, **unneeded})
    try:
        yield cluster.address
    finally:
        cluster.shutdown()


def actors(name: str) -> list[int]:
    """The processes below this one that are a Ray actor of a class, or wait to be one."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            found += [process.pid] if "".join(process.cmdline()).startswith(f"ray::{name}") else []
        except psutil.Error:  # it has ended meanwhile
            continue
    return found


class LostError(Exception):
    """What Ray raises of an actor that is lost."""


@dataclass
class _Method:
    """A method of an actor; `remote` calls it at once, and what it returns or raises is kept for `RayHere.get`."""

    ray: "RayHere"
    actor: int
    kind: str
    name: str
    call: Callable[..., Any]

    def remote(self, *arguments: Any) -> "_Reference":
        self.ray.calls.append((self.kind, self.name, self.actor))
        if self.name == "run" and self.actor in self.ray.lost:
            return _Reference(error=LostError("the actor died"))
        return _Reference(self.call(*arguments))


class _Reference(SimpleNamespace):
    """What comes of a call."""

    def __init__(self, value: Any = None, error: Exception | None = None) -> None:
        super().__init__(value=value, error=error)

    __hash__ = object.__hash__  # type: ignore[assignment]
    __eq__ = object.__eq__


class _Actor:
    """An object that is used as an actor."""

    def __init__(self, ray: "RayHere", number: int, own: Any) -> None:
        self._ray, self._number, self._own = ray, number, own

    def __getattr__(self, name: str) -> _Method:
        return _Method(self._ray, self._number, type(self._own).__name__, name, getattr(self._own, name))


class RayHere:
    """What the pool of chunks uses of the package `ray`, with actors that are objects of this process.

    Attributes:
        lost: the numbers of the actors, by kind from 0, that are lost when they are to run something.
        calls: the kind of actor, the method and the number of the actor of each call.
    """

    exceptions = SimpleNamespace(RayError=LostError)

    def __init__(self) -> None:
        self.lost: Sequence[int] = []
        self.calls: list[tuple[str, str, int]] = []
        self._made: Counter[str] = Counter()

    def called(self, kind: str, name: str) -> dict[int, int]:
        """How often a method was called, by the number of the actor."""
        return dict(Counter(actor for *what, actor in self.calls if what == [kind, name]))

    def cluster_resources(self) -> dict[str, int]:
        return {"CPU": 2}

    def remote(self, kind: type) -> Any:
        def make(*arguments: Any) -> _Actor:
            self._made[kind.__name__] += 1
            return _Actor(self, self._made[kind.__name__] - 1, kind(*arguments))

        return SimpleNamespace(options=lambda **_: SimpleNamespace(remote=make))

    def wait(self, references: list[_Reference], timeout: float) -> tuple[list[_Reference], list[_Reference]]:
        return references[:1], references[1:]

    def get(self, reference: _Reference) -> Any:
        if reference.error is not None:
            raise reference.error
        return reference.value

    def kill(self, actor: _Actor) -> None: ...
