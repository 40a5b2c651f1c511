"""Values of flags, as argparse takes them, for the commands of both stages."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

Number = TypeVar("Number", int, float)


def path(text: str) -> Path:
    """A path; the empty text, mostly a shell's variable that is not set, is none."""
    if not text:
        raise argparse.ArgumentTypeError("the path is empty")
    return Path(text)


def number(kind: Callable[[str], Number], least: float, most: float, *, auto: bool = False) -> Callable[[str], Number]:
    """What reads numbers from `least` to `most`; `auto`: what is said of others names this choice too."""

    def read(text: str) -> Number:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not least <= value <= most:
            wrong = f"{'neither auto nor' if auto else 'not'} a{' whole' if kind is int else ''} number"
            form = "d" if kind is int else "g"
            raise argparse.ArgumentTypeError(f"{text[:80]} is {wrong} from {least:{form}} to {most:{form}}")
        return value

    return read
