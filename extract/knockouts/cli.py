"""The flags of `python -m extract knock-out`."""

import argparse

from extract.cli import workers
from extract.knockouts.sets import ALL, EACH, LAYER_SETS, WINDOWS
from schemas.cli import number, path, place
from schemas.columns import EDGE, KEY_ROLES, KINDS, QUERY_ROLES
from schemas.manifest import ROWS
from schemas.store.ledger import JOB_NAME

NAME = "knock-out"
TOKENS = 32768  # of a model of 7B, 34 tokens of a question each: about 5 GB in half precision
REFERENCE_IMAGES = 64
# Flags that a run's own command had too: those that are given here take the place of what the run was made with
OF_THE_RUN = ("model_path", "model_base", "question_file", "image_folder", "device", "num_workers")


def parser() -> argparse.ArgumentParser:
    """The command's flags."""
    flags = argparse.ArgumentParser(
        prog=f"python -m extract {NAME}",
        description="Run a run's model over its samples again with parts of it knocked out; write one row per (sample, "
        "knock-out).",
    )
    flags.add_argument("run", type=place, help="the run; its model, questions, prompts and images are taken")
    what = flags.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--heads", nargs="+", metavar="HEAD", help=f"single heads, each by itself: {ALL}, or names such as L3H5"
    )
    what.add_argument(
        "--layers",
        nargs="*",
        choices=LAYER_SETS,
        help="layers with all of their heads: each one (default), windows of them, or all from each one onward",
    )
    what.add_argument(
        "--sets",
        type=path,
        metavar="FILE",
        help='named sets, a JSON file of {"NAME": {"heads": [[layer, head], ...], "layers": [...]}}, or a plan',
    )
    flags.add_argument("--window", type=number(int, 1, ROWS), default=9, help="layers of a window (default 9)")
    flags.add_argument(
        "--kind",
        choices=KINDS,
        default=EDGE,
        help="edge: some queries do not see some keys; swap: they see those of another image; mean, zero: a head's "
        "output on some tokens is its mean over other images, or 0; remove: 0 for all tokens, and layers return their "
        f"input; skip: layers return their input (default {EDGE})",
    )
    flags.add_argument("--query", choices=QUERY_ROLES, help="role of the tokens that are changed (default question)")
    flags.add_argument("--key", choices=KEY_ROLES, help="role of the tokens that they do not see (default image)")
    flags.add_argument(
        "--samples", type=path, metavar="FILE", help="the samples, a text file of one sample_id a line (default: all)"
    )
    flags.add_argument(
        "--num-samples", type=number(int, 1, ROWS), metavar="N", help="the first N of them (default: all)"
    )
    flags.add_argument("--job", type=_job, help="name of the job in the run (default: of what is knocked out, and how)")
    flags.add_argument("--overwrite", action="store_true", help="remove the job of that name, and start anew")
    flags.add_argument("--seed", type=number(int, 0, ROWS), default=0, help="of the images that are drawn (default 0)")
    flags.add_argument(
        "--reference-images",
        type=number(int, 2, ROWS),
        default=REFERENCE_IMAGES,
        help=f"images that mean averages over, at most (default {REFERENCE_IMAGES})",
    )
    flags.add_argument(
        "--tokens",
        type=number(int, 1, ROWS),
        default=TOKENS,
        help=f"tokens that go through a layer at once, about; fewer take less memory (default {TOKENS})",
    )
    flags.add_argument("--num-chunks", type=number(int, 1, ROWS), default=1, help="as of python -m extract")
    flags.add_argument("--chunk-idx", type=number(int, 0, ROWS), default=0, help="as of python -m extract")
    flags.add_argument("--model-path", help="where the run's model is now")
    flags.add_argument("--model-base", help="where its base is now")
    flags.add_argument("--question-file", help="where its question file is now")
    flags.add_argument("--image-folder", type=place, help="where its images are now")
    flags.add_argument("--device", help="as of python -m extract (default: auto)", default="auto")
    flags.add_argument(
        "--num-workers", type=workers, default="auto", help="processes that read images; 0: none (default auto)"
    )
    return flags


def _job(text: str) -> str:
    if not JOB_NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"{text[:80]} is no name of a job: write small letters, digits and _, a letter first"
        )
    return text


def job_name(arguments: argparse.Namespace) -> str:
    """The name of a job that the user does not name; it says all but which heads or sets."""
    layers = [
        f"{each}{arguments.window}" if each == WINDOWS else each for each in arguments.layers or [] if each != EACH
    ]
    what = "heads" if arguments.heads else "sets" if arguments.sets else "_".join(["layers", *layers])
    roles = [role for role in (arguments.query, arguments.key) if role is not None]
    return "_".join([what, arguments.kind, *roles])
