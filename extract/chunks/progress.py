"""How far the chunks on a cluster are, and whether they are to stop."""

import signal
from time import monotonic
from typing import Any

_SECONDS = 0.5  # between two reports of one chunk


class Progress:
    """What the chunks have reported; an actor of its own, which all others reach."""

    def __init__(self) -> None:
        self._done: dict[int, int] = {}
        self._stop = False

    def report(self, chunk: int, done: int) -> bool:
        """Take down how many samples of a chunk are done; returns whether it is to stop."""
        self._done[chunk] = done
        return self._stop

    def total(self) -> int:
        """How many samples are done, of the chunks that have reported."""
        return sum(self._done.values())

    def stop(self) -> None:
        """Let all chunks stop after their current batch."""
        self._stop = True


class Reporter:
    """The progress bar of a chunk that another process shows.

    If that process wants the chunk to stop, it raises the signal that a terminal would have sent.
    """

    def __init__(self, ray: Any, progress: Any, chunk: int, initial: int) -> None:
        """Report to `progress`, an actor `Progress`, on a chunk that has `initial` samples already."""
        self._ray, self._progress, self._chunk, self._done = ray, progress, chunk, initial
        self._since, self._answer = 0.0, None
        self._report()

    def __enter__(self) -> "Reporter":
        return self

    def __exit__(self, *error: object) -> None:
        self._report()

    def update(self) -> None:
        """See `Bar`."""
        self._done += 1
        if monotonic() - self._since >= _SECONDS:
            self._report()

    def set_postfix(self, *, skipped: int, refresh: bool) -> None:
        """Nothing: the other process shows only samples."""

    def _report(self) -> None:
        """Report, and act on the answer to the report before, without waiting for one."""
        before, self._answer = self._answer, self._progress.report.remote(self._chunk, self._done)
        self._since = monotonic()
        if before is None or not self._ray.wait([before], timeout=0)[0]:
            return
        try:
            stop = self._ray.get(before)
        except self._ray.exceptions.RayError:  # the other process has lost its actor; it starts another one
            return
        if stop:
            signal.raise_signal(signal.SIGTERM)
