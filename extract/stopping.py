"""Ctrl-C and SIGTERM: the first one asks the loop to stop after the current batch, the second one acts at once."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
STDERR, MESSAGE = 2, b"\nstopping after the current batch; interrupt again to exit at once\n"


@dataclass
class StopRequest:
    """The signal that asked the loop to stop; None: there was none."""

    signal: int | None = None


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Record the first signal as a request to stop, and give signals their usual effect after it.

    Needs the main thread.
    """
    stop = StopRequest()

    def record(number: int, _: FrameType | None) -> None:
        stop.signal = number
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.write(STDERR, MESSAGE)  # sys.stderr may be in the middle of a write

    before = {number: signal.signal(number, record) for number in SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
