"""`validate`, `subset`, `merge`: what is done with runs as they are."""

from dataclasses import KW_ONLY, dataclass
from typing import Annotated

from analyze.commands.shared_settings import DerivedSettings, PromptSettings, RunSettings, WorkerSettings
from analyze.opening import opened
from analyze.results import Result
from schemas.cli import say
from schemas.commands.settings import Flag, Settings
from schemas.errors import HeadflowError
from schemas.files.locations import Location
from schemas.text import counted
from schemas.validation.run import validate


@dataclass(frozen=True)
class ValidateSettings(WorkerSettings, RunSettings):
    """Settings of `validate`."""


@dataclass(frozen=True)
class SubsetSettings(DerivedSettings, PromptSettings, RunSettings):
    """Settings of `subset`."""

    _: KW_ONLY
    prompt: Annotated[str | None, "the wording to read, of a run that asks in several (default: all of them)"] = None
    categories: Annotated[tuple[str, ...] | None, "samples of these categories (default: all)"] = None
    query: Annotated[
        str | None, 'samples whose row fits, as `"n_question > 20"` (see pandas.query)', Flag(metavar="QUERY")
    ] = None
    heads_query: Annotated[
        str | None, 'samples with a row of heads that fits, as `"layer == 5 and a2v > 0.5"`', Flag(metavar="QUERY")
    ] = None


@dataclass(frozen=True)
class RunsSettings(Settings):
    """Several runs."""

    runs: Annotated[tuple[Location, ...], "directories of runs", Flag(metavar="RUN")]


@dataclass(frozen=True)
class MergeSettings(DerivedSettings, RunsSettings):
    """Settings of `merge`."""


def validate_run(settings: ValidateSettings) -> int:
    """`validate`: one line for each thing that is wrong."""
    wrong = 0
    with settings.open_workers() as workers:
        for line in validate(settings.run, workers):
            say(line)
            wrong += 1
    found = counted(wrong, "problem") if wrong else "valid"
    say(f"{settings.run}: {found}")
    return 1 if wrong else 0


def subset_run(settings: SubsetSettings) -> Result:
    """`subset`: some samples of a run."""
    from analyze.derived.subset import subset

    heads = opened(settings.run, settings.prompt, mixed=settings.prompt is None)
    out = str(settings.output_dir)
    if settings.categories is not None and out in {*heads.categories} - {*settings.categories}:
        raise HeadflowError(
            f"{out} is a category of the run, and would be a directory; a list has commas: --categories A,B",
            setting="output_dir",
        )
    run = subset(
        heads,
        settings.output_dir,
        categories=settings.categories,
        query=settings.query,
        heads_query=settings.heads_query,
        overwrite=settings.overwrite,
    )
    return Result(about=[f"{run.samples_asked} of {counted(len(heads.samples), 'sample')} in {settings.output_dir}"])


def merge_runs(settings: MergeSettings) -> Result:
    """`merge`: the samples of several runs."""
    from analyze.derived.merge import merge, warnings
    from analyze.tables.frames import open_heads

    runs = [open_heads(path, mixed=True)[0] for path in settings.runs]
    for warning in warnings(runs):
        say(f"warning: {warning}", error=True)
    run = merge(runs, settings.output_dir, overwrite=settings.overwrite)
    number = f"{counted(run.samples_asked or 0, 'sample')} of {counted(len(runs), 'run')}"
    return Result(about=[f"{number} in {settings.output_dir}"])
