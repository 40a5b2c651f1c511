"""`python -m extract look`: one image and one question, from nothing to an overlay and a table, or a text.

It writes a run of one sample, which all commands of `python -m analyze` read; its pictures are drawn by two of them.
"""

import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

from extract.command import extract
from extract.look.settings import LookSettings
from extract.settings import ALL, Deciding, Device, Extract
from schemas.cli import say
from schemas.columns import MAP, MAPS, OK
from schemas.commands.settings import settings_of
from schemas.commands.shared import Page
from schemas.errors import HeadflowError
from schemas.jobs.head_sets import head_name
from schemas.store.directory import holds_run, refuse_other_files, remove_begun
from schemas.store.run import Run, open_run
from schemas.tasks import OPTION_LETTERS, TASKS
from schemas.text import counted, short

SMALLEST_CROP = 0.99  # share of the image that is read; where it is larger, nothing is said
_SHOWN = ("mass", "sink", "entropy", "centre_x", "centre_y")


@dataclass(frozen=True, kw_only=True)
class _Looking(Extract):
    """The run that a look is; recorded, so that it is known later which runs may be overwritten."""

    COMMAND: ClassVar[str] = "look"


def look(settings: LookSettings) -> int:
    """Ask about an image; returns the exit code.

    Raises:
        HeadflowError: the image cannot be used, or as `extract`.
    """
    if not settings.image.is_file():
        what = "is not a file" if settings.image.exists() else "does not exist"
        one = "; a look takes one image, not several by commas" if "," in str(settings.image) else ""
        raise HeadflowError(f"{settings.image} {what}{one}", setting="image")
    out = settings.output_dir or _default_output(settings)
    _check_output(settings, out)
    begun = not holds_run(out)
    with tempfile.TemporaryDirectory() as folder:
        try:
            code = extract(_asked(settings, Path(folder) / "question.json", out))
        except HeadflowError as error:
            if begun:
                remove_begun(out)
            if error.setting in ("question_file", "image_folder"):
                raise HeadflowError(str(error), setting="image") from None
            raise
    run = open_run(out)
    heads = _print(run, settings.top)
    code = code or _draw(run, ["maps", "--samples-only", "--heads", ",".join(heads)], settings)
    return code or (_draw(run, ["text"], settings) if settings.generate else 0)


def _asked(settings: LookSettings, file: Path, out: Path) -> _Looking:
    """What is asked of `extract`, with the question in a file that is written here."""
    question: dict[str, Any] = {
        "question_id": settings.image.stem,
        "image_file": settings.image.name,
        "question": settings.question,
    }
    if settings.options:
        question["options"] = list(settings.options)
    file.write_text(json.dumps([question]), encoding="utf-8")
    same = {each.name: getattr(settings, each.name) for base in (Deciding, Device) for each in settings_of(base)}
    if settings.generate:
        same["step_maps"] = settings.step_maps or (ALL,)
        same["prompt_suffix"] = settings.prompt_suffix or ""  # MME's asks for one word
    return _Looking(
        **same | {"num_workers": 0},
        question_file=str(file),
        image_folder=settings.image.parent,
        output_dir=out,
        overwrite=settings.overwrite,
        thumbnails=True,
    )


def _check_output(settings: LookSettings, out: Path) -> None:
    """Check that there is no run in a directory but one of this command, and of this question unless that is replaced.

    Raises:
        HeadflowError: there is another one.
    """
    refuse_other_files(out)
    if not holds_run(out):
        return
    run = open_run(out)
    sessions = [session for ledger in run.ledgers.values() for session in ledger.sessions]
    if not sessions or any(session.arguments.get("command") != _Looking.COMMAND for session in sessions):
        raise HeadflowError(
            f"{out} holds a run that is not of {_Looking.COMMAND}, and stays as it is; choose another directory",
            setting="output_dir",
        )
    if settings.overwrite:
        return
    for sample in run.samples().to_pylist():
        own = () if TASKS[run.manifest.task].options else sample["options"]
        asked = (settings.image.name, settings.question, settings.options)
        if (sample["image"], sample["question"], tuple(own)) != asked:
            raise HeadflowError(
                f"{out} holds the answer to {short(sample['question'])} about {sample['image']}; choose another "
                "directory, or overwrite it",
                setting="overwrite",
            )


def _default_output(settings: LookSettings) -> Path:
    """A directory of its own for each image, and whatever decides what is seen in it."""
    values = [getattr(settings, each.name) for each in fields(Deciding)]
    asked = json.dumps([str(settings.image.resolve()), settings.question, *settings.options, *values], default=str)
    name = hashlib.sha256(asked.encode()).hexdigest()[:8]
    return Path("runs") / "looks" / f"{settings.image.stem}-{name}"


def _print(run: Run, top: int) -> list[str]:
    """Print the answer, and the heads that look most at the image; returns the names of these.

    Raises:
        HeadflowError: the sample was skipped.
    """
    (sample,) = run.samples().to_pylist()
    if sample["status"] != OK:
        raise HeadflowError(f"{sample['image']} was not observed: {sample['detail'] or sample['reason']}")
    say(f"{sample['question']} {sample['prediction']} ({_numbers(run, sample)})")
    if sample.get("text") is not None:
        say(f"text ({counted(sample['n_generated'], 'token')}, ended: {sample['ended']}): {sample['text']}")
    _say_cropped(sample)
    rows: list[dict[str, Any]] = [row for path in run.part_paths(MAPS) for row in run.read_part(path).to_pylist()]
    crossing = run.manifest.crossing
    if crossing:
        say("heads of cross-attention see only the image: those whose maps are the least even come first")
    say(f"{'head':<8}" + "".join(f"{name:>10}" for name in (f"{run.manifest.maps_of}2v", *_SHOWN[1:])))
    shown = sorted(
        (row for row in rows if row[MAP] is not None and (not crossing or row["layer"] in crossing)),
        key=lambda row: row["entropy"] if crossing else -row["mass"],
    )[:top]
    names = [head_name(row["layer"], row["head"]) for row in shown]
    for name, row in zip(names, shown, strict=True):
        values = ["-" if row[name] is None else f"{row[name]:.3f}" for name in _SHOWN]
        say(f"{name:<8}" + "".join(f"{value:>10}" for value in values))
    return names


def _numbers(run: Run, sample: dict[str, Any]) -> str:
    """The probabilities and the margin of an answer; of options of the question, the logits of their letters."""
    task = TASKS[run.manifest.task]
    found = [f"{name} {sample[name]:.3f}" for name in task.probabilities]
    if task.options:
        return ", ".join([*found, f"margin {sample['margin']:+.2f}"])
    options = zip(OPTION_LETTERS, sample["options"], sample["option_logits"], strict=False)
    return ", ".join([*found, *(f"{letter} {option}: logit {logit:+.2f}" for letter, option, logit in options)])


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


def _draw(run: Run, asked: Sequence[str], page: Page) -> int:
    """Let a command of `python -m analyze` draw a run for a page, `asked` with its flags; returns its exit code."""
    sys.stdout.flush()  # before what the other process prints
    flags = {"--column": page.column, "--two-columns": page.two_columns, "--no-title": page.no_title}
    command = [sys.executable, "-m", "analyze", asked[0], str(run.path), *asked[1:]]
    command += [flag for flag, given in flags.items() if given]
    return subprocess.run(command, check=False).returncode
