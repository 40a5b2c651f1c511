"""Settings that several commands of `analyze` share: each class is a group that a command's settings inherit from."""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import KW_ONLY, dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from schemas.columns import CROSSINGS, DEFAULT_FLOWS, FLOW_NAMES, STEP_NAMES, STEP_WORDS
from schemas.commands.settings import Between, Checked, Flag, Needs, OneOf, Settings
from schemas.commands.shared import Page
from schemas.files.locations import Location
from schemas.manifest import TEXT_SCOPES
from schemas.text import short
from schemas.workers.beside import beside
from schemas.workers.opening import open_workers
from schemas.workers.work import LOCAL, Workers

if TYPE_CHECKING:
    from analyze.drawing.figures import FigureFiles

ScopeName = Annotated[
    str | None,
    "what t2v and v2t count as text; no-system is refused where a model is not causal and has a system prompt "
    "(default: all, or what an imported run has)",
    OneOf(TEXT_SCOPES),
]
Related = Annotated[bool, "one model was made from the other, as by tuning: heads of the same index are the same"]
Flows = Annotated[tuple[str, ...], "mass columns", OneOf((*FLOW_NAMES, *STEP_NAMES)), Flag(metavar="FLOW")]


@dataclass(frozen=True)
class RunSettings(Settings):
    """The run that is read."""

    run: Annotated[Location, "directory of a run, or s3://BUCKET/RUN"]


@dataclass(frozen=True)
class PromptSettings(Settings):
    """The wording that is read."""

    _: KW_ONLY
    prompt: Annotated[str | None, "the wording to read, of a run that asks in several"] = None


@dataclass(frozen=True)
class WorkerSettings(Settings):
    """Who reads the run."""

    _: KW_ONLY
    workers: Annotated[
        int | None,
        "processes that read the run, or tasks at once on a Ray cluster (default: 1, or the CPUs of the cluster)",
        Between(1, 1000),
    ] = None
    ray: Annotated[
        str | None,
        "read on a Ray cluster; without an address on one that is started here",
        Flag(metavar="ADDRESS", bare=LOCAL),
    ] = None

    def open_workers(self) -> AbstractContextManager[Workers]:
        """The workers that are asked for; see `schemas.workers.opening.open_workers`."""
        return open_workers(self.workers, self.ray, packages=("schemas", "analyze"))


def step_name(text: str) -> str:
    """A step of generated tokens; raises `ValueError` if it is none."""
    if text not in STEP_WORDS and not (text.isascii() and text.isdigit()):
        raise ValueError(f"{short(text)} is no step: give {', '.join(STEP_WORDS)}, or a number from 0")
    return text


@dataclass(frozen=True)
class FlowSettings(Settings):
    """Which columns are read."""

    _: KW_ONLY
    metrics: Flows = DEFAULT_FLOWS
    text_scope: Annotated[ScopeName, Needs("metrics", tuple(each.name for each in CROSSINGS))] = None
    step: Annotated[
        str | None,
        "of generated tokens, the step whose columns g2* are read: answer (the answer's first token), first, last, "
        "mean (of all, step 0 included), or a number from 0; samples whose text lacks it are left out (default: mean)",
        Checked(step_name),
        Needs("metrics", STEP_NAMES),
    ] = None


@dataclass(frozen=True)
class FolderSettings(Settings):
    """Where files go."""

    _: KW_ONLY
    output_dir: Annotated[Path | None, "directory of the files (default: RUN, or a folder in it)"] = None


@dataclass(frozen=True)
class PictureSettings(Page, FolderSettings):
    """How pictures are drawn."""

    _: KW_ONLY
    dpi: Annotated[int, "dots per inch", Between(10, 1200)] = 300  # at fewer, letters vanish
    format: Annotated[str, "format of the pictures", OneOf(("png", "pdf", "svg"))] = "png"

    def load_beside(self) -> AbstractContextManager[Callable[[], object]]:
        """Load what draws, which takes seconds, beside the reading of rows; what is yielded waits for it."""
        return beside(partial(import_module, "analyze.drawing.figures"))

    def open_files(self) -> AbstractContextManager["FigureFiles"]:
        """Where all pictures of a command are made and written."""
        from analyze.drawing.figures import figure_files
        from analyze.drawing.page import COLUMN, TWO_COLUMNS, PageSize

        width = COLUMN if self.column else TWO_COLUMNS if self.two_columns else None
        return figure_files(self.dpi, self.format, PageSize(width, titles=not self.no_title))


LONGEST_PREFIX = 80  # bytes: file systems limit names, and a category's name follows it


def file_prefix(text: str) -> str:
    """The beginning of a file name; raises `ValueError` if it cannot be."""
    if not re.fullmatch(r"[\w.+-]*", text) or len(text.encode()) > LONGEST_PREFIX:
        raise ValueError(f"{short(text)} is not up to {LONGEST_PREFIX} bytes of letters, digits and . _ + -")
    return text


Prefix = Annotated[str, "begins each picture's file name", Checked(file_prefix)]


@dataclass(frozen=True)
class SeedSettings(Settings):
    """How images are resampled."""

    _: KW_ONLY
    seed: Annotated[int, "seed of what is drawn: resampled images, halves, random sets", Between(0, 2**32 - 1)] = 0


@dataclass(frozen=True)
class ResampleSettings(SeedSettings):
    """How often images are resampled."""

    _: KW_ONLY
    resamples: Annotated[int, "resamples of the images, for intervals", Between(100, 10**6)] = 10_000


@dataclass(frozen=True)
class DerivedSettings(Settings):
    """A run that is written."""

    output_dir: Annotated[Location, "directory of the run to write", Flag(metavar="OUT")]
    _: KW_ONLY
    overwrite: Annotated[bool, "replace the run in that directory"] = False
