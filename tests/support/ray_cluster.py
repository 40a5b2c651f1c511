"""A Ray cluster on this machine, which tests share as it takes seconds to start."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import psutil


@contextmanager
def started(cpus: int, environment: dict[str, str]) -> Iterator[str]:
    """A cluster that ends with the context, and its processes' environment variables; yields its address."""
    from ray.cluster_utils import Cluster

    unneeded = {"include_dashboard": False, "include_log_monitor": False, "no_monitor": True}
    with patch.dict(os.environ, {"RAY_USAGE_STATS_ENABLED": "0", **environment}):
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
