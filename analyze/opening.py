"""What commands share: opening a run, and the folder that files go to."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas.cli import say
from schemas.columns import DEFAULT_FLOWS, TABLES
from schemas.errors import HeadflowError
from schemas.files.locations import Location, telling_name
from schemas.store.directory import check_directory, holds_run
from schemas.store.ledger import CHUNKS, JOBS
from schemas.store.thumbnails import THUMBNAILS
from schemas.text import counted

if TYPE_CHECKING:  # `validate` needs no pandas
    from analyze.tables.frames import Heads

OF_RUNS = {*TABLES, CHUNKS, JOBS, THUMBNAILS}  # names of a run's own folders


def opened(run: Location, prompt: str | None = None, **options: Any) -> "Heads":
    """Open a run; says so if it is not complete, or if something else must be known before its numbers.

    That is: its texts were given, its first tokens are no answers, or its image is read by cross-attention.

    Arguments as for `open_heads`.
    """
    from analyze.tables.frames import open_heads
    from schemas.validation.answers import not_answered

    heads, warning = open_heads(run, prompt, **options)
    if warning:
        say(f"warning: {warning}", error=True)
    if heads.run.manifest.texts_sha256 is not None:
        say(f"warning: {heads.run.path}: its texts were given: answers are read in its first tokens", error=True)
    if across := heads.run.manifest.across:
        say(f"warning: {heads.run.path}: {across}", error=True)
    if not heads.run.manifest.answers_in_texts and {*heads.task.probabilities} <= set(heads.samples):
        held = {name: heads.samples[name].to_numpy(dtype="float64") for name in heads.task.probabilities}
        if unanswered := not_answered(held, heads.task, heads.run.manifest.answer_tokens):
            say(f"warning: {heads.run.path}: {unanswered}", error=True)
    return heads


def with_flows(heads: "Heads", flows: Sequence[str], step: str | None) -> "tuple[Heads, tuple[str, ...]]":
    """The columns asked for, `DEFAULT_FLOWS` if no others are, as `flows_of`; then as `with_step`."""
    return with_step(heads, flows_of([heads], flows, DEFAULT_FLOWS), step)


def flows_of(runs: "Sequence[Heads]", flows: Sequence[str], default: Sequence[str]) -> Sequence[str]:
    """The columns asked for; of the default ones, where an image has no queries, those that all runs have."""
    manifests = [heads.run.manifest for heads in runs]
    if tuple(flows) != tuple(default) or not any(manifest.crossing for manifest in manifests):
        return flows
    return [flow for flow in flows if all(flow in manifest.flows for manifest in manifests)]


def with_step(heads: "Heads", flows: Sequence[str], step: str | None) -> "tuple[Heads, tuple[str, ...]]":
    """The columns asked for and the samples that have them, see `at_step`; says how many texts lack the step."""
    from analyze.tables.frames import at_step

    found, names = at_step(heads, flows, step)
    if without := int(heads.observed.sum() - found.observed.sum()):
        texts = counted(without, "text has", "texts have")
        say(f"warning: {heads.run.path}: {texts} no rows of the step {step}; their samples are left out", error=True)
    return found, names


def check_named_once(runs: "Sequence[Heads]") -> None:
    """Refuse to compare a run with itself, whatever path names it."""
    if len({heads.run.path.resolve() for heads in runs}) < len(runs):
        raise HeadflowError("a run is named twice; name each once")


def output_folder(asked: Path | None, heads: "Heads", name: str = "", *, check: bool = True) -> Path:
    """Where files go: into the folder asked for, else into one in the run.

    Args:
        check: whether files can be written there, before any costly work; without, the result can be printed at least.

    Raises:
        HeadflowError: the folder is a part of a run, or is another run, whose own results have the same names; or
            files cannot be written there.
    """
    folder = asked or heads.folder / name
    whole = folder.resolve()
    if whole != heads.run.path.resolve() and holds_run(whole):
        raise HeadflowError(
            f"{folder} is another run, with results of its own; choose another directory", setting="output_dir"
        )
    for each in (whole, *whole.parents):
        if each.name in OF_RUNS and holds_run(each.parent):
            table = each.name in TABLES
            what = "is for parts of a table, and pandas reads all of it" if table else f"is a part of {each.parent}"
            raise HeadflowError(f"{folder} {what}", setting="output_dir")
    if check:
        _check_folder(folder)
    return folder


def name_with(how: str, heads: "Heads", other: "Heads") -> str:
    """A name in the folder of a run for what is about another run too, such as `compared_with_B`."""
    return f"{how}_{telling_name(other.run.path, beside=heads.run.path)}"


def check_no_folder(file: Path) -> None:
    """Refuse a folder that has the name of the file that is to be written, before any costly work."""
    if file.is_dir():
        raise HeadflowError(f"{file} is a directory, and the page is a file of that name", setting="output_dir")


def _check_folder(folder: Path) -> None:
    """Check that files can be written to a folder; where it was not there, it is not made."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        check_directory(folder)
    except HeadflowError as error:
        raise HeadflowError(str(error), setting="output_dir") from None
    finally:
        for each in missing:
            with suppress(OSError):  # something else is in it by now
                each.rmdir()
