"""The samples of several runs of the same settings, as one run: `python -m analyze merge RUN... OUT`."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pandas as pd

from analyze.derived.samples import check_output, write_samples
from analyze.tables.frames import Heads, incomplete, taken_out
from schemas.errors import HeadflowError
from schemas.files.locations import Location
from schemas.manifest import MERGE
from schemas.store.identity import IDENTITY
from schemas.store.ledger import mostly_other_images
from schemas.store.run import Run
from schemas.text import listed, short

# Which samples a run has, not how they were observed
SELECTION = ("num_chunks", "derived", "question_file_sha256", "columns")


def merge(runs: Sequence[Heads], out: Location, *, overwrite: bool) -> Run:
    """Write the samples of all runs, in the order given; returns the new run.

    If the runs are not on one question file, `row` and the file's name and hash become null.

    Raises:
        HeadflowError: the runs differ in a setting, in weights or in images, or have a sample in common; or one cannot
            be read, or the new one not be written.
    """
    check_output(out, [heads.run.path for heads in runs], overwrite=overwrite)
    first = runs[0].run.manifest
    for heads in runs[1:]:
        _check_settings(runs[0].run, heads.run)
    _check_samples(runs)
    one_file = first.question_file_sha256 is not None and all(
        _same(runs, name) for name in ("question_file_sha256", "columns")
    )
    if one_file:
        _check_images(runs)
    manifest = replace(
        first,
        num_chunks=1,
        derived=MERGE,
        question_file=first.question_file if one_file else None,
        question_file_sha256=first.question_file_sha256 if one_file else None,
        columns=first.columns if one_file else {},
    )
    ledgers = [ledger for heads in runs for ledger in heads.run.ledgers.values()] if one_file else []
    return write_samples(
        out,
        manifest,
        [(heads.run, set(heads.samples["sample_id"].astype(str))) for heads in runs],
        {"command": "merge", "runs": [str(heads.run.path) for heads in runs]},
        images={name: each for ledger in ledgers for name, each in ledger.images.items()},
        change={} if one_file else {"row": None},
        overwrite=overwrite,
    )


def warnings(runs: Sequence[Heads]) -> Iterator[str]:
    """Warn of samples that none of the runs has; a chunk may be in any of them."""
    for heads in runs:
        yield from taken_out(heads.run, len(heads.samples))
        if heads.run.manifest.num_chunks == 1:
            yield from incomplete(heads.run, len(heads.samples))
    for number in sorted({heads.run.manifest.num_chunks for heads in runs} - {1}):
        some = [heads.run for heads in runs if heads.run.manifest.num_chunks == number]
        complete = {chunk for run in some for chunk in run.chunks_complete}
        if missing := [chunk for chunk in range(number) if chunk not in complete]:
            yield f"chunks {listed(missing, 20)} of {number} are not complete in any of the runs"


def _same(runs: Sequence[Heads], name: str) -> bool:
    return all(getattr(heads.run.manifest, name) == getattr(runs[0].run.manifest, name) for heads in runs)


def _check_settings(one: Run, other: Run) -> None:
    """Raise `HeadflowError` if two runs differ in what decides the values of a sample."""
    where = f"{one.path} and {other.path} cannot be merged"
    for name in IDENTITY:
        values = [getattr(run.manifest, name) for run in (one, other)]
        if name not in SELECTION and values[0] != values[1]:
            raise HeadflowError(
                f"{where}: `{name}` is {short(values[0])} in the one and {short(values[1])} in the other"
            )
    weights = [{each.weights for each in run.ledgers.values() if each.rows("heads")} - {None} for run in (one, other)]
    if all(weights) and weights[0] != weights[1]:
        raise HeadflowError(f"{where}: they were computed with different weights of that name")


def _check_samples(runs: Sequence[Heads]) -> None:
    """Raise `HeadflowError` if two runs have a sample in common."""
    owner: dict[str, Location] = {}
    for heads in runs:
        names = heads.samples["sample_id"].astype(str).tolist()
        if other := next((owner[name] for name in names if name in owner), None):
            twice = [name for name in names if owner.get(name) == other]
            both = f"{other} and {heads.run.path} both have {listed(twice)}"
            if _differ(next(each for each in runs if each.run.path == other), heads, twice):
                raise HeadflowError(
                    f"{both}, which are other questions: give questions ids of their own, or extract both question "
                    "files as one run, which numbers ids that come again"
                )
            raise HeadflowError(f"{both}; take these samples out of one of them with `subset`")
        owner |= dict.fromkeys(names, heads.run.path)


def _differ(one: Heads, other: Heads, names: Sequence[str]) -> bool:
    """Whether samples of the same ids are other questions in two runs."""

    def asked(heads: Heads) -> pd.DataFrame:
        samples = heads.samples.assign(sample_id=heads.samples["sample_id"].astype(str)).set_index("sample_id")
        return samples.loc[list(names), ["question", "image"]].astype(object)

    return not asked(one).equals(asked(other))


def _check_images(runs: Sequence[Heads]) -> None:
    """Raise `HeadflowError` if runs on one question file had other images of the same names."""
    ledgers = [ledger for heads in runs for ledger in heads.run.ledgers.values() if ledger.rows("heads")]
    names = [name for ledger in ledgers[1:] for name in mostly_other_images(ledgers[0], ledger)]
    images = pd.concat([heads.samples[["image", "image_sha256"]] for heads in runs]).dropna().drop_duplicates()
    names += images.loc[images["image"].duplicated(), "image"].tolist()
    if names:
        raise HeadflowError(f"the runs had other images of the same names: {listed(list(dict.fromkeys(names)))}")
