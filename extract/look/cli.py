"""The flags of `python -m extract look`."""

import argparse

from schemas.cli import number, path
from schemas.manifest import ROWS

NAME = "look"
SHOWN = 6  # heads


def parser() -> argparse.ArgumentParser:
    """The command's own flags; all others are those of `python -m extract`."""
    flags = argparse.ArgumentParser(
        prog=f"python -m extract {NAME}",
        description="Ask a model about one image; print its answer and the heads that look most at the image, and draw "
        "where they look.",
        epilog="All flags of python -m extract that say how a model is loaded and asked are taken too: --model-path "
        "(required), --dtype, --device, --conv-mode, --prompt-suffix ...",
        allow_abbrev=False,
    )
    flags.add_argument("--image", type=path, required=True, help="image file")
    flags.add_argument("--question", required=True, help="the question")
    flags.add_argument(
        "--top",
        type=number(int, 1, ROWS),
        default=SHOWN,
        help=f"how many heads are printed and drawn, those with the highest a2v (default {SHOWN})",
    )
    flags.add_argument(
        "--output-dir", type=path, help="where the run of one sample and its picture go (default runs/looks/NAME-HASH)"
    )
    return flags
