"""The workers that a user asks for."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

from schemas.workers.work import HERE, Workers


def open_workers(
    number: int | None, ray: str | None, packages: Sequence[str] = ("schemas",)
) -> AbstractContextManager[Workers]:
    """Workers, which end with the context.

    Args:
        number: how many; None: as many as Ray has, or one. One without Ray is this process itself.
        ray: the address of a Ray cluster, see `Cluster`; None: processes on this machine.
        packages: those of this repository that the tasks are in.

    Raises:
        HeadflowError: there is no such cluster, or Ray is not installed.
    """
    if ray is not None:
        from schemas.workers.cluster import Cluster

        return Cluster(ray, number, packages)
    if number is None or number == 1:
        return nullcontext(HERE)
    from schemas.workers.processes import Processes

    return Processes(number)
