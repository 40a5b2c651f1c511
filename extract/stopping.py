"""Ctrl-C and SIGTERM: the first is a wish, which the loop grants between batches; the second acts at once."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
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
