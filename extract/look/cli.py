"""The flags of `python -m extract look`."""

import argparse

from schemas.cli import line_breaks, number, page_flags, path
from schemas.manifest import ROWS

NAME = "look"
SHOWN = 6  # heads


def parser() -> argparse.ArgumentParser:
    """The command's own flags; all others are those of `python -m extract`."""
    flags = argparse.ArgumentParser(
        prog=f"python -m extract {NAME}",
        description="Ask a model about one image; print its answer and the heads that look most at the image, and draw "
        "where they look.",
        epilog="All other flags are those of python -m extract, see its --help: --model-base, --dtype, --device, "
        "--conv-mode, --prompt-suffix, --image-aspect-ratio, --maps-of, --maps-heads, --images, --overwrite ...",
        allow_abbrev=False,
    )
    flags.add_argument("--model-path", required=True, help="checkpoint, a directory or a hub id")
    flags.add_argument("--image", type=path, required=True, help="image file")
    flags.add_argument("--question", type=line_breaks, required=True, help="the question; \\n is a line break")
    flags.add_argument(
        "--top",
        type=number(int, 1, ROWS),
        default=SHOWN,
        help="how many heads are printed and drawn, those with the highest a2v, or with --maps-of question q2v "
        f"(default {SHOWN})",
    )
    flags.add_argument(
        "--output-dir", type=path, help="where the run of one sample and its picture go (default runs/looks/NAME-HASH)"
    )
    page_flags(flags)
    return flags
