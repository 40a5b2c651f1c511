"""`python -m extract look`: one image and one question, from nothing to an overlay and a table.

It writes a run of one sample, which all commands of `python -m analyze` read; its picture is drawn by one of them.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from extract.cli import parser as extract_parser
from extract.look.cli import NAME, parser
from schemas.cli import naming, say
from schemas.columns import MAP, MAPS, OK
from schemas.errors import HeadflowError
from schemas.store.directory import holds_run, refuse_other_files, remove_begun
from schemas.store.run import Run, open_run
from schemas.text import short

SMALLEST_CROP = 0.99  # share of the image that is read; where it is larger, nothing is said
# Flags of `python -m extract` that this command sets: what is asked of the user in their place
OF_ITS_OWN = {"image_folder": "--image", "question_file": "--question", "maps": "", "thumbnails": ""}
SHOWN = ("mass", "sink", "entropy", "centre_x", "centre_y")


def look(argv: Sequence[str], extract: Callable[[argparse.Namespace], int]) -> int:
    """Parse the command line and run; returns the exit code.

    Args:
        extract: the body of `python -m extract`.

    Raises:
        HeadflowError: the image cannot be used, or as `python -m extract`.
    """
    flags = parser()
    own, others = flags.parse_known_args(argv)
    known = vars(extract_parser().parse_args(["--model-path", own.model_path, "--question-file", "-"])) | vars(own)
    with naming(known, OF_ITS_OWN):
        return _look(own, others, flags.format_usage(), extract)


def _look(
    own: argparse.Namespace, others: Sequence[str], usage: str, extract: Callable[[argparse.Namespace], int]
) -> int:
    if not own.image.is_file():
        what = "is not a file" if own.image.exists() else "does not exist"
        raise HeadflowError(f"{own.image} {what}", setting="image")
    out = own.output_dir or _default_output(own, others)
    with tempfile.TemporaryDirectory() as folder:
        arguments = _arguments(own, others, usage, Path(folder) / "question.json", out)
        _check_output(own, out, overwrite=arguments.overwrite)
        begun = not holds_run(out)
        try:
            code = extract(arguments)
        except HeadflowError:
            if begun:
                remove_begun(out)
            raise
    run = open_run(out)
    page = [f"--{own.page}"] * bool(own.page) + ["--no-title"] * (not own.titles)
    return code or _draw(run, _print(run, own.top), page)


def _arguments(own: argparse.Namespace, others: Sequence[str], usage: str, file: Path, out: Path) -> argparse.Namespace:
    """The flags of `python -m extract`, with the question in a file that is written here.

    Raises:
        HeadflowError: several wordings are asked for.
    """
    question = {"question_id": own.image.stem, "image_file": own.image.name, "question": own.question}
    file.write_text(json.dumps([question]), encoding="utf-8")
    flags = extract_parser()
    flags.prog, flags.usage = f"python -m extract {NAME}", usage.removeprefix("usage: ")
    given = ["--model-path", own.model_path, "--question-file", file, "--image-folder", own.image.parent]
    given += ["--output-dir", out, "--maps", "--thumbnails", "--num-workers", "0"]
    arguments = flags.parse_args([*map(str, given), *others])
    if arguments.prompts:
        raise HeadflowError("one question is asked in one wording", setting="prompts")
    arguments.command = NAME  # recorded, so that it is known later which runs may be overwritten
    return arguments


def _check_output(own: argparse.Namespace, out: Path, *, overwrite: bool) -> None:
    """Check that there is no run in a directory but one of this command, and of this question unless that is replaced.

    Raises:
        HeadflowError: there is another one.
    """
    refuse_other_files(out)
    if not holds_run(out):
        return
    run = open_run(out)
    sessions = [session for ledger in run.ledgers.values() for session in ledger.sessions]
    if not sessions or any(session.arguments.get("command") != NAME for session in sessions):
        raise HeadflowError(
            f"{out} holds a run that is not of {NAME}, and stays as it is; choose another directory",
            setting="output_dir",
        )
    if overwrite:
        return
    for sample in run.samples().to_pylist():
        if (sample["image"], sample["question"]) != (own.image.name, own.question):
            raise HeadflowError(
                f"{out} holds the answer to {short(sample['question'])} about {sample['image']}; choose another "
                "directory, or overwrite it",
                setting="overwrite",
            )


def _default_output(own: argparse.Namespace, others: Sequence[str]) -> Path:
    """A directory of its own for each image, question and model."""
    asked = json.dumps([str(own.image.resolve()), own.question, own.model_path, *others])
    return Path("runs") / "looks" / f"{own.image.stem}-{hashlib.sha256(asked.encode()).hexdigest()[:8]}"


def _print(run: Run, top: int) -> list[str]:
    """Print the answer, and the heads that look most at the image; returns the names of these.

    Raises:
        HeadflowError: the sample was skipped.
    """
    (sample,) = run.samples().to_pylist()
    if sample["status"] != OK:
        raise HeadflowError(f"{sample['image']} was not observed: {sample['detail'] or sample['reason']}")
    say(
        f"{sample['question']} {sample['prediction']} (p_yes {sample['p_yes']:.3f}, p_no {sample['p_no']:.3f}, margin "
        f"{sample['margin']:+.2f})"
    )
    _say_cropped(sample)
    rows: list[dict[str, Any]] = [row for path in run.part_paths(MAPS) for row in run.read_part(path).to_pylist()]
    say(f"{'head':<8}" + "".join(f"{name:>10}" for name in (f"{run.manifest.maps_of}2v", *SHOWN[1:])))
    shown = sorted((row for row in rows if row[MAP] is not None), key=lambda row: -row["mass"])[:top]
    names = [f"L{row['layer']}H{row['head']}" for row in shown]
    for name, row in zip(names, shown, strict=True):
        values = ["-" if row[name] is None else f"{row[name]:.3f}" for name in SHOWN]
        say(f"{name:<8}" + "".join(f"{value:>10}" for value in values))
    return names


def _say_cropped(sample: dict[str, Any]) -> None:
    """Say which part of the image the model reads, if that is not all of it."""
    box, width, height = sample["grid_box"], sample["image_width"], sample["image_height"]
    inside = [min(max(edge, 0), most) for edge, most in zip(box, [width, height] * 2, strict=True)]
    share = (inside[2] - inside[0]) * (inside[3] - inside[1]) / (width * height)
    if share < SMALLEST_CROP:
        x0, y0, x1, y1 = (f"{edge:.0f}" for edge in inside)
        say(
            f"the model reads {share:.0%} of the image, from {x0}, {y0} to {x1}, {y1} of {width} x {height} pixels; "
            "the rest is cropped"
        )


def _draw(run: Run, heads: Sequence[str], page: Sequence[str]) -> int:
    """Let `python -m analyze` draw where some heads look, with the flags of a page; returns its exit code."""
    sys.stdout.flush()  # before what the other process prints
    command = [sys.executable, "-m", "analyze", "maps", str(run.path), "--samples-only", *page, "--heads", *heads]
    return subprocess.run(command, check=False).returncode
