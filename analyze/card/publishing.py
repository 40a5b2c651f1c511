"""The copy of a run that is published: parts written again, ledgers and manifest without what is withheld."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from analyze.card.withheld import (
    emptied,
    emptied_columns,
    model_name,
    public_ledger,
    public_manifest,
    withheld_columns,
    without,
)
from analyze.derived.samples import check_output
from analyze.tables.frames import Heads, wordings
from schemas.columns import FLOW_NAMES
from schemas.errors import HeadflowError
from schemas.files.locations import Location, ObjectPath
from schemas.files.writing import write_text, write_whole
from schemas.manifest import to_json
from schemas.store.directory import (
    files_of_run,
    holds_run,
    new_directory,
    record_outputs,
    refuse_foreign_run,
    refuse_inside_run,
    remove_begun,
    remove_empty,
    remove_run,
)
from schemas.store.jobs import job_names, job_path, open_job
from schemas.store.ledger import CHUNKS, MANIFEST, Ledger, ledger_path
from schemas.store.part_files import write_table
from schemas.store.run import Run
from schemas.store.thumbnails import THUMBNAILS, find_thumbnails, observed_hashes, write_thumbnail

_SAMPLES = "samples"


def publish(run: Run, out: Location, files: Mapping[str, bytes], *, with_texts: bool, overwrite: bool) -> None:
    """Write a copy of a run, and files beside it.

    Args:
        files: their contents by their names in `out`, such as `README.md`.
        with_texts: keep questions, answers, boxes, objects, thumbnails, and texts that the model was given.
        overwrite: replace the run that is in `out`.

    Raises:
        HeadflowError: there is another run or other files in `out`; or the run cannot be read, or `out` not be written.
    """
    _check_place(run, out, overwrite=overwrite)
    with new_directory(out):
        if holds_run(out):
            remove_run(out)
        written = [out / name for name in files]
        try:
            _write_run(run, out, model=model_name(run), with_texts=with_texts)
            for file, content in zip(written, files.values(), strict=True):
                file.parent.mkdir(parents=True, exist_ok=True)
                write_whole(file, content)
            record_outputs(out, [file for file in written if isinstance(file, Path)])
        except BaseException:  # what is written is no run, and nobody may take it for one
            _remove(out, written)
            raise


def _check_place(run: Run, out: Location, *, overwrite: bool) -> None:
    """Raise `HeadflowError` if the folder that is to be published would have other files than those written here."""
    check_output(out, [run.path], overwrite=overwrite)
    refuse_inside_run(out)
    if out.resolve() in run.path.resolve().parents:
        raise HeadflowError(f"{run.path} lies in {out}, and would be published with it; choose another directory")
    if out.exists() and not out.is_dir():
        raise HeadflowError(f"{out} is a file, not a directory; choose another directory")
    refuse_foreign_run(out)
    if other := _other_file(out):
        raise HeadflowError(
            f"{out} holds {other}, which would be published with the run; move it away, or choose another directory"
        )


def _other_file(out: Location) -> str | None:
    """A file in a directory that is not removed with its run, but for hidden ones, such as those of git."""
    if isinstance(out, ObjectPath):
        return None if holds_run(out) else next((file.name for file in out.glob("[!.]*")), None)
    own = {str(file) for file in files_of_run(out)}
    for file in sorted(out.rglob("*")):
        name = file.relative_to(out)
        if not (file.is_dir() or str(file) in own or any(part.startswith(".") for part in name.parts)):
            return name.as_posix()
    return None


def _remove(out: Location, files: Sequence[Location]) -> None:
    """Remove what was written in vain, and the folders that are empty then."""
    for file in files:
        file.unlink(missing_ok=True)
    remove_begun(out)
    if isinstance(out, ObjectPath):
        return
    folders = [out / THUMBNAILS, *(parent for file in files for parent in file.parents)]
    remove_empty([*(each for each in folders if isinstance(each, Path) and out in each.parents), out])


def _write_run(run: Run, out: Location, *, model: str | None, with_texts: bool) -> None:
    """Write the manifest first and each ledger after its parts, as readers count what ledgers name; then the jobs.

    Args:
        model: the name of the model, as it is published.
    """
    columns, tables = withheld_columns(run, with_texts=with_texts), run.tables
    given = emptied_columns(run, with_texts=with_texts)
    for folder in (CHUNKS, *tables):
        (out / folder).mkdir(parents=True, exist_ok=True)
    write_text(out / MANIFEST, to_json(public_manifest(run, model)))
    for chunk, ledger in run.ledgers.items():
        _copy_parts(run, out, ledger, columns, given)
        write_text(ledger_path(out / CHUNKS, chunk), to_json(public_ledger(ledger, tables)))
    for name in job_names(run):
        _write_run(open_job(run, name).own, job_path(out, name), model=model, with_texts=False)
    if with_texts:
        _copy_thumbnails(run, out)


def _copy_parts(
    run: Run, out: Location, ledger: Ledger, columns: Sequence[str], given: Mapping[str, Mapping[str, str | int]]
) -> None:
    """Write the parts of a ledger again: only with the contract's columns, as others may hold anything."""
    for part in ledger.parts:
        for table in run.tables:
            if table in part.rows:
                content = emptied(run.read_part(run.path / table / part.name), given.get(table, {}))
                write_table(out / table / part.name, without(content, columns) if table == _SAMPLES else content)


def _copy_thumbnails(run: Run, out: Location) -> None:
    """Copy the thumbnails of images that were observed; their names are hashes, so none leads elsewhere."""
    observed = observed_hashes(run)
    for file in find_thumbnails(run.path):
        if file.stem in observed:
            write_thumbnail(out, file.stem, file.read_bytes())


FIGURES = "figures"
_SHOWN = ("png", "svg")  # formats that a page shows
_FLOWS = "|".join(map(re.escape, FLOW_NAMES))
_NAME = re.compile(
    rf"[\w.+-]*_(overall_stacked_hist|layers_stacked_hist(_[vqa])?|layers_head_bars_({_FLOWS})|head_map_({_FLOWS}))\.({'|'.join(_SHOWN)})"
)
WORDING = re.compile(r"[\w+-]+")  # names of wordings that can name a folder


def find_pictures(heads: Heads) -> dict[str, Path]:
    """The pictures that there are, by the names that they get beside the card, such as `figures/mme_head_map_t2v.png`.

    They lie in the folder where `plots` writes by default; those of wordings in folders of their own.
    """
    folders = {FIGURES: heads.folder}
    for name in wordings(heads):
        if WORDING.fullmatch(name):
            folders[f"{FIGURES}/prompt_{name}"] = heads.folder / f"prompt_{name}"
    return {
        f"{target}/{file.name}": file
        for target, folder in folders.items()
        for file in sorted(folder.glob("*"))
        if _NAME.fullmatch(file.name) and file.is_file()
    }
