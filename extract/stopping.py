"""Ctrl-C and SIGTERM: the first is a wish, which the loop grants between batches; the second acts at once."""

import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
PR_SET_PDEATHSIG = 1  # of Linux
STDERR, SAID = 2, b"\nstopping after the batch at hand; once more to leave at once\n"


@dataclass
class Wish:
    """The signal that asked to stop, once there is one."""

    signal: int | None = None


@contextmanager
def stopping() -> Iterator[Wish]:
    """Take the first signal as a wish to stop; needs the main thread."""
    wish = Wish()

    def ask(number: int, _: FrameType | None) -> None:
        wish.signal = number
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.write(STDERR, SAID)  # sys.stderr may be in the middle of a write

    before = {number: signal.signal(number, ask) for number in SIGNALS}
    try:
        yield wish
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def end_with(owner: int, _: int) -> None:
    """For worker processes: end when their owner does, however it ends, and not at Ctrl-C.

    A terminal sends that to them too, and it is for their owner to follow. Left to themselves, workers of a killed
    owner would wait for ever to hand over what they hold.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != owner:  # which ended before
            os._exit(1)
